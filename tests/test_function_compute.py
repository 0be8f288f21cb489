"""The real binaries as Alibaba Cloud Function Compute runs them: by its variables, paths and headers."""

import json

import pytest
import requests

from support import endpoints, reference
from support.messages import WRONG, batch, classify, failed, predict
from support.processes import ROOT, Server, environment, is_open
from support.pushed import structured

ROW = reference.random_rows("diagnosis", 1)[0]


def headers(path: str, request_id: str = "1-65f0-abc") -> dict[str, str]:
    """What Function Compute adds to every request."""
    return {
        **{"x-fc-request-id": request_id, "x-fc-control-path": path, "x-fc-function-name": "emberlite"},
        **{"x-fc-region": "cn-hangzhou", "x-fc-account-id": "123456789012", "Content-Type": "application/octet-stream"},
    }


@pytest.fixture
def start(binaries, log_file):
    """Starts a function on Function Compute; its models are those of the checkout."""
    started = []

    def start(name: str, **variables: str) -> Server:
        own = {"FC_FUNCTION_NAME": name, "FC_REGION": "cn-hangzhou", "FC_SERVER_PORT": "0", "PORT": "1"}
        own |= {"EMBER_STORE": str(ROOT), "EMBER_HOST": "127.0.0.1", "EMBER_MODEL": "diagnosis"}
        started.append(Server(name, [binaries.functions[name]], log_file(name), environment(**{**own, **variables})))
        return started[-1]

    yield start
    for server in started:
        server.stop()


def initialize(server: Server) -> requests.Response:
    return server.post("/initialize", headers=headers("/initialize"))


def invoke(server: Server, event, **kwargs) -> requests.Response:
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    return server.post("/invoke", data=body, headers=headers("/invoke", **kwargs))


def test_it_listens_on_port_9000_where_no_other_is_told(binaries, log_file):
    if is_open(9000):
        pytest.skip("somebody listens on port 9000")
    env = environment(FC_FUNCTION_NAME="predict", EMBER_STORE=str(ROOT), EMBER_HOST="127.0.0.1")
    server = Server("predict", [binaries.predict], log_file("predict"), env)
    try:
        assert server.port == 9000
    finally:
        server.stop()


@pytest.mark.parametrize("name", ["predict", "consume"])
def test_it_is_initialized_when_its_model_is_there(start, name):
    server = start(name, EMBER_PRELOAD="0")
    response = initialize(server)
    assert (response.status_code, response.headers["x-fc-status"]) == (200, "200")
    assert {"name": "diagnosis", "loaded": True, "default": True} in server.get("/models").json()["models"]
    assert "FC Initialize Start RequestId: 1-65f0-abc\n" in server.log()
    assert "FC Initialize End RequestId: 1-65f0-abc\n" in server.log()


def test_one_whose_model_cannot_be_loaded_is_not_initialized(start):
    with endpoints.denying() as endpoint:
        server = start("predict", EMBER_STORE="s3://ember", EMBER_S3_ENDPOINT=endpoint)
        response = initialize(server)
    assert (response.status_code, response.headers["x-fc-status"]) == (404, "404")
    # What is logged meanwhile names the invocation.
    assert server.wait_for_record(message="request failed")["spans"][0]["request_id"] == "1-65f0-abc"


def test_requests_by_http_pass_unchanged(start):
    server = start("predict")
    told = {**headers("/http-invoke"), "Content-Type": "application/json"}
    response = server.post("/predict", json={"input": ROW}, headers=told)
    assert response.status_code == 200 and "x-fc-status" not in response.headers
    response = server.post("/predict", json={"input": [1.0]}, headers=told)
    assert response.status_code == 422 and "x-fc-status" not in response.headers
    assert server.log().count("FC Invoke End RequestId: 1-65f0-abc\n") == 2


def test_an_event_is_answered_with_its_result(start):
    server = start("consume")
    response = invoke(server, classify("My phone was stolen", id="7"))
    assert (response.status_code, response.headers["x-fc-status"]) == (200, "200")
    assert response.json()["answer"]["predicted_label"] == "lost_or_stolen_phone"
    lines = [line for line in server.log().splitlines() if line.startswith("FC ")]
    assert lines == ["FC Invoke Start RequestId: 1-65f0-abc", "FC Invoke End RequestId: 1-65f0-abc"]


@pytest.mark.parametrize("event", [b"{", WRONG, classify("x", model="nobody")])
def test_an_event_that_cannot_be_answered_is_a_failure(start, event):
    server = start("consume")
    response = invoke(server, event)
    assert (response.status_code, response.headers["x-fc-status"]) == (404, "404")
    assert response.json()["error"]["code"] in {"malformed_json", "wrong_shape", "unknown_model"}
    assert "FC Invoke End RequestId: 1-65f0-abc, Error: Unhandled function error\n" in server.log()


def test_events_are_told_from_requests_as_on_lambda(start, results, dead_letters):
    server = start("consume", **results.env, EMBER_DEAD_LETTER_QUEUE_URL=dead_letters.url)
    event = json.loads(structured(predict(ROW))["data"])
    assert invoke(server, event).json() is None
    assert [line["model"] for line in results.all()] == ["diagnosis"]
    assert failed(invoke(server, batch(classify("Where is my card?"), WRONG)).json()) == []
    assert len(results.keys()) == 2
    event = json.loads(structured(WRONG)["data"])
    assert invoke(server, event, request_id="8").json() is None
    assert {letter["message_id"] for letter in dead_letters.take()} == {"1", "8"}


def test_elsewhere_nobody_is_initialized_or_invoked(consume_over_http):
    server = consume_over_http()
    for path in ("/initialize", "/invoke"):
        assert server.post(path, json=classify("x")).status_code == 404
    assert "FC " not in server.log()
