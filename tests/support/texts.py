"""What transformers and sentence-transformers make of some texts, for the encoders in cli/tests/encoders/folders."""

import json
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from support.processes import ROOT

FOLDERS = ROOT / "cli" / "tests" / "encoders" / "folders"


@dataclass(frozen=True)
class Encoder:
    """A folder with its reference."""

    folder: str

    @property
    def path(self):
        return FOLDERS / self.folder

    @cached_property
    def reference(self) -> dict:
        return json.loads((self.path / "reference.json").read_text())

    @property
    def texts(self) -> list:
        """Texts, or pairs as lists of two."""
        return [text["text"] for text in self.reference["texts"]]

    @property
    def tokens(self) -> list[int]:
        """How many tokens each text has."""
        return [len(text["ids"]) for text in self.reference["texts"]]

    def outputs(self, name: str) -> np.ndarray:
        """The output of this name, a row for each text: the last case is the batch of all."""
        output = self.reference["cases"][-1]["outputs"][name]
        return np.array(output["data"], dtype=np.float32).reshape(output["shape"])


# By the names they are served under.
ENCODERS = {
    "sentences": Encoder("bert_sentence"),
    "intents": Encoder("bert_classifier"),
    "topics": Encoder("bert_multi_label"),
    "stars": Encoder("bert_regression"),
    # The first answers with its number, the second with the logistic function of it.
    "relevance": Encoder("bert_reranker"),
    "likeness": Encoder("roberta_reranker"),
}
