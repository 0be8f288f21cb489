"""The demo model `intents`, packed in int8, through the real binary: near transformers, and right on held-out questions."""

import csv
import json
import tomllib

import pytest

from support.processes import ROOT

FOLDER = ROOT / "models/intents"
BANKING77 = ROOT / "../shared/data/banking77/test.csv"


def classify(served, texts: list[str]) -> list[dict]:
    response = served.post("/models/intents/classify", json={"input": texts, "top_k": 1})
    assert response.status_code == 200, response.text
    return response.json()["predictions"]


def test_int8_answers_as_transformers_does_in_single_precision(served):
    reference = json.loads((FOLDER / "reference.json").read_text())
    predictions = classify(served, [one["text"] for one in reference])
    for prediction, expected in zip(predictions, reference, strict=True):
        assert prediction["predicted_label"] == expected["label"], expected["text"]
        assert prediction["probabilities"] == pytest.approx({expected["label"]: expected["probability"]}, abs=0.03)


def test_the_examples_mean_what_their_titles_say(served):
    examples = tomllib.loads((FOLDER / "pack.toml").read_text())["examples"]
    labels = [prediction["predicted_label"] for prediction in classify(served, [one["input"] for one in examples])]
    assert labels == [
        "card_arrival",
        "transaction_charged_twice",
        "change_pin",
        "lost_or_stolen_phone",
        "wrong_amount_of_cash_received",
    ]


def test_the_package_is_small(served):
    assert served.get("/models/intents").json()["package_bytes"] <= 4_000_000


def test_held_out_questions_are_told_apart(served):
    if not BANKING77.is_file():
        pytest.skip("the questions of BANKING77 are not here, so the accuracy on them is not tested")
    with BANKING77.open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    labels = [row["category"].lower().rstrip("?") for row in rows]
    texts = [row["text"] for row in rows]
    predictions = [one for at in range(0, len(texts), 64) for one in classify(served, texts[at : at + 64])]
    right = sum(one["predicted_label"] == label for one, label in zip(predictions, labels, strict=True))
    assert right / len(labels) >= 0.85
