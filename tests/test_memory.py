"""Memory: a function that answers for days holds no more than one that has just warmed up."""

import http.client
import json

import pytest

from support import reference
from support.processes import ROOT

MIB = 1024 * 1024
REQUESTS = 10_000
WARM_UP = 2_000
# What an allocator may keep for itself; a leak of one kilobyte a request would be 10 MiB.
ALLOWED_BYTES = 4 * MIB


class Client:
    """One connection that is kept."""

    def __init__(self, port: int):
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def post(self, path: str, body: bytes, headers: dict[str, str]) -> int:
        self._connection.request("POST", path, body, headers)
        response = self._connection.getresponse()
        response.read()
        return response.status


def mixed_requests():
    """Requests of every kind in turn, with the status that each gets."""
    json_type = {"content-type": "application/json"}
    rows = reference.random_rows("diagnosis", 64)
    seven = (ROOT / "models/digits/seven.png").read_bytes()
    spec = {"name": "input", "shape": [1, 30], "datatype": "FP32", "data": rows[0]}
    credit = json.dumps({"input": reference.example("credit")}).encode()
    kinds = [
        ("/models/diagnosis/predict", json.dumps({"input": rows[0]}).encode(), json_type, 200),
        ("/models/diagnosis/predict", json.dumps({"input": rows}).encode(), json_type, 200),
        ("/models/credit/predict", credit, json_type, 200),
        ("/models/digits/predict", seven, {"content-type": "image/png"}, 200),
        ("/v2/models/diagnosis/infer", json.dumps({"inputs": [spec]}).encode(), json_type, 200),
        ("/models/diagnosis/predict", b'{"input": [1]}', json_type, 422),
        ("/models/diagnosis/predict", b'{"input"', json_type, 400),
        ("/nowhere", b"", {}, 404),
    ]
    number = 0
    while True:
        yield kinds[number % len(kinds)]
        number += 1


def unknown_models():
    """Requests for ever new models that are not there."""
    number = 0
    while True:
        yield f"/models/no-such-model-{number}/predict", b'{"input": [1]}', {"content-type": "application/json"}, 404
        number += 1


@pytest.mark.timeout(400)
@pytest.mark.parametrize("requests", [mixed_requests, unknown_models])
def test_memory_does_not_grow_over_ten_thousand_requests(predict_server, requests):
    server = predict_server(EMBER_STORE=str(ROOT), EMBER_REFRESH_SECONDS="1")
    client, pending = Client(server.port), requests()

    def send(count: int) -> None:
        for _ in range(count):
            path, body, headers, status = next(pending)
            assert client.post(path, body, headers) == status, path

    send(WARM_UP)
    before = server.resident_bytes()
    send(REQUESTS)
    grown = server.resident_bytes() - before
    assert grown <= ALLOWED_BYTES, f"{grown / MIB:.1f} MiB more than after the warm-up ({before / MIB:.1f} MiB)"
