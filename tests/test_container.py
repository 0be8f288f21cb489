"""A function as a container runs it: in a root folder that nobody may write, as nobody."""

from pathlib import Path

import pytest

from support import jail, reference
from support.processes import ROOT, Server, environment

pytestmark = pytest.mark.skipif(not jail.is_possible(), reason="no mounts can be made here")


@pytest.fixture
def contained(binaries, log_file, tmp_path_factory):
    """Starts a function in a root folder of its own, whose store has the models of the checkout."""
    started = []

    def start(name: str, **variables: str) -> Server:
        command = jail.command(tmp_path_factory.mktemp("root"), binaries.functions[name], ROOT / "models")
        own = {"EMBER_STORE": "/store", "EMBER_HOST": "127.0.0.1", "PORT": "0"}
        started.append(Server(name, command, log_file(name), environment(**{**own, **variables})))
        return started[-1]

    yield start
    for server in started:
        server.stop()


def test_it_answers_as_nobody_where_nothing_can_be_written(contained):
    server = contained("predict", EMBER_MODEL="diagnosis")
    rows = reference.random_rows("diagnosis", 2)
    expected = reference.probabilities("diagnosis", reference.feeds("diagnosis", rows))
    answers = server.predict("diagnosis", rows).json()["predictions"]
    for answer, probabilities in zip(answers, expected, strict=True):
        assert answer["probabilities"] == pytest.approx(probabilities, abs=1e-5)
    status = Path(f"/proc/{server.pid}/status").read_text()
    assert f"Uid:\t{jail.NOBODY}\t{jail.NOBODY}\t{jail.NOBODY}\t{jail.NOBODY}" in status
    assert "CapEff:\t0000000000000000" in status
    with pytest.raises(OSError, match="Read-only"):
        Path(f"/proc/{server.pid}/root/written").touch()


def test_a_cache_folder_that_cannot_be_written_is_done_without(contained):
    server = contained("predict", EMBER_MODEL="diagnosis", EMBER_CACHE_DIR="/store")
    assert server.predict("diagnosis", reference.random_rows("diagnosis", 1)).status_code == 200


def test_a_text_is_written_there_too(contained):
    asked = {"model": "storyteller", "prompt": "Once upon a time", "max_tokens": 4}
    assert contained("generate").post("/v1/completions", json=asked).json()["choices"][0]["text"]
