"""The function consume where events are pushed to it: CloudEvents (Cloud Run, Knative) and Pub/Sub."""

import json

import pytest

from support import endpoints, reference
from support.messages import WRONG, classify, predict
from support.processes import wait_until
from support.pushed import FINALIZED, STRUCTURED, binary, pubsub, structured, unwrapped
from support.queues import Queue

ASKED = classify("My phone was stolen", id="7")
SHAPES = [
    pytest.param(binary(ASKED), id="binary"),
    pytest.param(structured(ASKED), id="structured"),
    pytest.param(structured(json.dumps(ASKED), datacontenttype="application/json"), id="structured, a text"),
    pytest.param(pubsub(ASKED), id="Pub/Sub"),
    pytest.param(unwrapped(ASKED), id="Pub/Sub without a wrapper"),
    pytest.param(pubsub({"specversion": "1.0", "id": "1", "source": "/", "type": "ask", "data": ASKED}), id="an event in a message"),
]


@pytest.fixture
def consume(consume_over_http, results, dead_letters):
    """The function with a bucket for results and a dead-letter queue."""
    return consume_over_http(**results.env, EMBER_DEAD_LETTER_QUEUE_URL=dead_letters.url)


def is_dead(queue: Queue) -> dict:
    [letter] = queue.take()
    return letter


@pytest.mark.parametrize("path", ["/", "/events"])
@pytest.mark.parametrize("event", SHAPES)
def test_an_event_is_answered_and_its_result_lies_in_the_bucket(consume, results, event, path):
    response = consume.post(path, **event)
    assert (response.status_code, response.content) == (204, b"")
    [line] = results.all()
    assert (line["id"], line["answer"]["predicted_label"]) == ("7", "lost_or_stolen_phone")


def test_an_event_that_comes_twice_makes_one_result(consume, results):
    for event in (pubsub(ASKED), pubsub(ASKED), binary(ASKED)):
        assert consume.post("/", **event).status_code == 204
    assert len(results.keys()) == 1


NEW_OBJECTS = [
    pytest.param(lambda place: binary(place, FINALIZED), id="binary"),
    pytest.param(lambda place: structured(place, FINALIZED), id="structured"),
    pytest.param(
        lambda place: pubsub(place, eventType="OBJECT_FINALIZE", bucketId=place["bucket"], objectId=place["name"]),
        id="a bucket's notification",
    ),
]


@pytest.mark.parametrize("event", NEW_OBJECTS)
def test_a_new_object_of_cloud_storage_is_read_from_its_bucket(consume, results, event):
    results.put("intents/a b+c.jsonl", '{"input": "My phone was stolen"}\n{"input": "Where is my card?"}\n')
    place = {"bucket": results.name, "name": "in/intents/a b+c.jsonl", "size": "72", "generation": "1"}
    assert consume.post("/", **event(place)).status_code == 204
    [key] = results.keys()
    assert [line["predicted_label"] for line in results.read(key)] == ["lost_or_stolen_phone", "card_arrival"]


NEVER = [
    pytest.param(binary(WRONG), "wrong_shape", id="wrong shape"),
    pytest.param(pubsub(WRONG), "wrong_shape", id="wrong shape, Pub/Sub"),
    pytest.param(pubsub("no JSON"), "bad_request", id="no JSON, Pub/Sub"),
    pytest.param(binary("no JSON"), "bad_request", id="no JSON"),
    pytest.param(pubsub(None), "bad_request", id="no data"),
    pytest.param(structured({"model": "nobody", "input": 1}), "unknown_model", id="no such model"),
    pytest.param(structured({}, "google.cloud.storage.object.v1.deleted"), "bad_request", id="a removed object"),
    pytest.param(binary({"bucket": "other", "name": "a.jsonl"}, FINALIZED), "object_not_allowed", id="another bucket"),
]


@pytest.mark.parametrize(("event", "code"), NEVER)
def test_what_can_never_work_is_a_dead_letter_and_does_not_come_again(consume, results, dead_letters, event, code):
    assert consume.post("/", **event).status_code == 204
    letter = is_dead(dead_letters)
    assert (letter["code"], letter["message_id"]) in {(code, "event-7"), (code, "message-7")}
    assert results.keys() == []


def test_a_dead_letter_can_be_pushed_again(consume, results, dead_letters):
    event = pubsub(classify(["x"], model="nobody"))
    assert consume.post("/", **event).status_code == 204
    assert json.loads(is_dead(dead_letters)["body"]) == event["json"]


def test_what_no_dead_letter_queue_can_take_is_refused(consume, dead_letters):
    assert consume.post("/", **pubsub(classify("x" * 300_000, model="nobody"))).status_code == 422
    assert dead_letters.is_empty()


@pytest.mark.parametrize(("event", "code"), NEVER)
def test_without_a_dead_letter_queue_it_is_refused_as_never(consume_over_http, results, event, code):
    response = consume_over_http(**results.env).post("/", **event)
    # Brokers come again after 404: nobody may be there yet.
    assert 400 <= response.status_code < 500 and response.status_code not in (404, 408, 429)
    assert response.json()["error"]["code"] == code


UNREADABLE = [
    pytest.param({"data": b"{", "headers": {"Content-Type": STRUCTURED}}, 400, id="no JSON"),
    pytest.param({"data": b"{}", "headers": {"Content-Type": STRUCTURED}}, 400, id="no event"),
    pytest.param({"data": b"[]", "headers": {"Content-Type": "application/cloudevents-batch+json"}}, 415, id="a batch"),
    pytest.param({"data": b"{}", "headers": {"Ce-Specversion": "1.0", "Ce-Id": "%C0%A0"}}, 400, id="a header that is no text"),
    pytest.param({"data": b"x" * 3000}, 413, id="too large"),
]


@pytest.mark.parametrize(("request_", "status"), UNREADABLE)
def test_a_request_that_carries_no_event_is_refused(consume_over_http, results, request_, status):
    consume = consume_over_http(**results.env, EMBER_MAX_BODY_BYTES="2000")
    assert consume.post("/", **request_).status_code == status
    assert consume.get("/").status_code == 405


def test_a_failure_that_may_pass_is_told_so_that_the_event_comes_again(consume_over_http, results, dead_letters):
    with endpoints.denying() as endpoint:
        variables = {**results.env, "EMBER_S3_ENDPOINT": endpoint, "EMBER_DEAD_LETTER_QUEUE_URL": dead_letters.url}
        response = consume_over_http(**variables).post("/", **pubsub(ASKED))
    assert response.status_code == 503 and int(response.headers["Retry-After"]) > 0
    assert dead_letters.is_empty()


def test_results_go_to_the_queue_for_replies(consume_over_http, moto):
    replies = Queue(moto)
    assert consume_over_http(EMBER_REPLY_QUEUE_URL=replies.url).post("/", **binary(ASKED)).status_code == 204
    [reply] = replies.take()
    assert (reply["message_id"], json.loads(reply["body"])["id"]) == ("event-7", "7")


def test_where_results_have_no_place_the_answer_is_an_event_that_a_broker_takes(consume_over_http):
    consume = consume_over_http()
    for event in (binary(ASKED), structured(ASKED)):
        response = consume.post("/", **event)
        assert response.status_code == 200
        assert response.json()["answer"]["predicted_label"] == "lost_or_stolen_phone"
        told = {name: response.headers[f"ce-{name}"] for name in ("specversion", "id", "source", "type")}
        assert told == {"specversion": "1.0", "id": "event-7", "source": "/emberlite/consume", "type": "emberlite.answer"}
        assert response.headers["content-type"] == "application/json"
    response = consume.post("/", **pubsub(ASKED))
    assert response.json()["id"] == "7" and "ce-id" not in response.headers


def test_a_request_that_is_no_event_is_answered_directly(consume, results):
    response = consume.post("/", json=ASKED)
    assert response.json()["answer"]["predicted_label"] == "lost_or_stolen_phone"
    assert results.keys() == []
    assert consume.post("/", json=WRONG).status_code == 422


def test_it_reads_a_queue_beside_what_is_pushed(consume_over_http, queue, results):
    consume = consume_over_http(**results.env, EMBER_QUEUE_URL=queue.url)
    queue.send(predict(reference.random_rows("diagnosis", 1)[0]))
    assert consume.post("/", **binary(ASKED)).status_code == 204
    wait_until(lambda: len(results.keys()) == 2, "both are answered", process=consume)
