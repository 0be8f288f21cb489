"""The real binaries as custom handlers of Azure Functions: by its variable and the shapes of its host."""

import json

import pytest

from support import endpoints, reference
from support.messages import WRONG, classify
from support.processes import ROOT, Server, environment

# What infra/azure/consume calls the function and its binding.
FUNCTION, BINDING = "work", "work"
ASKED = classify("My phone was stolen", id="7")


@pytest.fixture
def start(binaries, log_file):
    """Starts a function as the host does, which picks the port."""
    started = []

    def start(name: str, **variables: str) -> Server:
        own = {"FUNCTIONS_CUSTOMHANDLER_PORT": "0", "PORT": "1", "EMBER_STORE": str(ROOT), "EMBER_HOST": "127.0.0.1"}
        started.append(Server(name, [binaries.functions[name]], log_file(name), environment(**{**own, **variables})))
        return started[-1]

    yield start
    for server in started:
        server.stop()


def invocation(*messages, **metadata) -> dict:
    """What the host sends for a message of a queue."""
    data = {BINDING if not place else f"other{place}": message for place, message in enumerate(messages)}
    sys = {"MethodName": FUNCTION, "UtcNow": "2026-11-27T00:00:00Z", "RandGuid": "24ad4c06-24ad-4e5b-8294-3da9714877e9"}
    return {"Data": data, "Metadata": {"DequeueCount": "1", "Id": "800ae4b3", "sys": sys, **metadata}}


def invoke(server: Server, *messages):
    headers = {"X-Azure-Functions-InvocationId": "0b5e-1"}
    return server.post(f"/{FUNCTION}", json=invocation(*messages), headers=headers)


MESSAGES = [
    pytest.param(json.dumps(ASKED), id="a text"),
    pytest.param(json.dumps(json.dumps(ASKED)), id="a text within a text"),
    pytest.param(ASKED, id="JSON"),
]


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_is_answered_with_what_the_function_returns(start, message):
    response = invoke(start("consume"), message)
    assert response.status_code == 200
    answer = response.json()
    assert answer.keys() == {"Outputs", "Logs", "ReturnValue"}
    line = json.loads(answer["ReturnValue"])
    assert (line["id"], line["answer"]["predicted_label"]) == ("7", "lost_or_stolen_phone")


def test_where_results_have_a_place_nothing_is_returned(start, results):
    response = invoke(start("consume", **results.env), json.dumps(ASKED))
    assert response.json() == {"Outputs": {}, "Logs": [], "ReturnValue": None}
    assert [line["id"] for line in results.all()] == ["7"]


@pytest.mark.parametrize("message", [json.dumps(WRONG), "no JSON", "", 7])
def test_what_can_never_work_is_a_dead_letter_or_a_failure(start, results, dead_letters, message):
    refused = invoke(start("consume", **results.env), message)
    assert 400 <= refused.status_code < 500
    server = start("consume", **results.env, EMBER_DEAD_LETTER_QUEUE_URL=dead_letters.url)
    assert invoke(server, message).json()["ReturnValue"] is None
    [letter] = dead_letters.take()
    assert letter["message_id"] == "800ae4b3"


def test_an_invocation_that_is_none_is_refused(start):
    server = start("consume")
    assert invoke(server).status_code == 400
    assert invoke(server, "{}", "{}").status_code == 400
    assert server.post(f"/{FUNCTION}", json={"data": {}}).status_code == 400


def test_what_may_work_later_fails(start, results):
    with endpoints.denying() as endpoint:
        server = start("consume", **{**results.env, "EMBER_S3_ENDPOINT": endpoint})
        assert invoke(server, json.dumps(ASKED)).status_code == 503


def test_requests_by_http_pass_as_they_are(start):
    server = start("predict", EMBER_MODEL="diagnosis")
    row = reference.random_rows("diagnosis", 1)[0]
    assert server.post("/predict", json={"input": row}).json()["predicted_label"] in ("malignant", "benign")
    assert server.get("/healthz").status_code == 200
