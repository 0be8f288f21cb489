"""What the tests of faults share: how long a store may be silent there, and what an answer has to be."""

import time

import pytest

from support import reference
from support.answers import refusal

ROW = reference.random_rows("diagnosis", 1)[0]
# What a store may be silent for in most of these tests, and what they then allow until an answer: the bound that the
# function keeps is eight times that, for the pointer and for the package, and the machine may be busy.
SILENCE = 0.6
IN_TIME = 2 * 8 * SILENCE + 10
PART = 4096
FAST = {
    "EMBER_STORE_TIMEOUT_SECONDS": str(SILENCE),
    "EMBER_DOWNLOAD_PART_BYTES": str(PART),
    "EMBER_REFRESH_SECONDS": "0",
    "EMBER_PRELOAD": "0",
}
# No request is made twice only because the machine is busy.
PATIENT = {"EMBER_STORE_TIMEOUT_SECONDS": "30"}


def ask(server):
    """The answer to a prediction, which has to come in time, whatever it is."""
    started = time.monotonic()
    response = server.predict("diagnosis", ROW)
    assert time.monotonic() - started < IN_TIME
    return response


def assert_right(response, shop) -> None:
    """A prediction as the reference gives it, by the package in force."""
    assert response.status_code == 200, response.text
    [expected] = reference.probabilities("diagnosis", reference.feeds("diagnosis", [ROW]))
    assert response.json()["probabilities"] == pytest.approx(expected, abs=1e-5)
    assert response.headers["x-emberlite-package"] == f"diagnosis@{shop.digest}"


def assert_unreachable(response) -> str:
    """A refusal that tells to come back; its message."""
    message = refusal(response, 503, "store_unreachable")["message"]
    assert int(response.headers["retry-after"]) > 0
    return message
