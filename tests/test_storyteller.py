"""The demo model `storyteller` goes on as transformers does: models/storyteller/reference.json."""

import json

import pytest

from support.packages import Command
from support.processes import ROOT, Server, environment

FOLDER = ROOT / "models/storyteller"
REFERENCE = json.loads((FOLDER / "reference.json").read_text())
# What the folder's own settings for sampling would change.
GREEDY = {"temperature": 0, "repetition_penalty": 1, "max_tokens": 64}


@pytest.fixture(scope="module")
def start(binaries, log_file):
    """Starts the function `generate` over a store, with `storyteller` where no model is named."""
    started = []

    def start(store) -> Server:
        own = {"PORT": "0", "EMBER_HOST": "127.0.0.1", "EMBER_STORE": str(store), "EMBER_MODEL": "storyteller"}
        env = environment(**own, EMBER_CACHE_FORMAT="f32")
        started.append(Server("storyteller", [binaries.functions["generate"]], log_file("storyteller"), env))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture(scope="module")
def single_precision(binaries, tmp_path_factory, start) -> Server:
    """A server of the folder `model` whose weights nothing has rounded."""
    folder = tmp_path_factory.mktemp("storyteller")
    command = Command(binaries.emberlite, folder)
    command.json("pack", FOLDER / "model", "--name", "storyteller", "--quantize", "none", "-o", folder / "whole.ember")
    command.json("push", folder / "whole.ember", "--store", folder / "store")
    return start(folder / "store")


@pytest.fixture(scope="module")
def four_bits(start) -> Server:
    """A server of the package in force."""
    return start(ROOT)


def answer(server: Server, asked: dict) -> dict:
    """The text that is written, how it ended, and how many tokens were read and written."""
    path = "/v1/completions" if "prompt" in asked else "/v1/chat/completions"
    given = {key: asked[key] for key in ("prompt", "messages") if key in asked}
    response = server.post(path, json={**given, **GREEDY})
    assert response.status_code == 200, response.text
    [choice], usage = response.json()["choices"], response.json()["usage"]
    return {
        "text": choice["text"] if "prompt" in asked else choice["message"]["content"],
        "finish_reason": choice["finish_reason"],
        "tokens": [usage["prompt_tokens"], usage["completion_tokens"]],
    }


@pytest.mark.parametrize("expected", REFERENCE, ids=lambda one: one.get("prompt") or one["messages"][0]["content"])
def test_in_single_precision_it_writes_what_transformers_writes(single_precision, expected):
    assert answer(single_precision, expected) == {
        "text": expected["text"],
        "finish_reason": expected["finish_reason"],
        "tokens": [len(expected["prompt_tokens"]), len(expected["tokens"])],
    }


def test_in_four_bits_most_texts_begin_with_the_same_words(four_bits):
    def begins_alike(expected: dict) -> bool:
        ours = answer(four_bits, expected)
        assert ours["tokens"][0] == len(expected["prompt_tokens"])
        return ours["text"].split()[:3] == expected["text"].split()[:3]

    assert sum(map(begins_alike, REFERENCE)) > len(REFERENCE) / 2


def test_four_bits_cost_less_than_a_twentieth_of_the_perplexity(emberlite):
    digest = json.loads((FOLDER / "current.json").read_text())["digest"]
    perplexity = emberlite.json("inspect", FOLDER / f"{digest}.ember")["manifest"]["generate"]["perplexity"]
    assert 0 < perplexity["packed"] < 1.05 * perplexity["source"]
