"""The function consume without Lambda: it reads the queue itself."""

import json
import signal

import pytest

from support import endpoints, reference
from support.messages import WRONG, classify, predict
from support.processes import Server, environment, wait_until
from support.queues import Queue

ROW = reference.random_rows("diagnosis", 1)[0]


@pytest.fixture
def start_consume(consume_over_http, results, dead_letters):
    """Starts the function as a container does; its models are those of the checkout."""

    def start(queue: Queue, **variables: str) -> Server:
        own = {**results.env, "EMBER_QUEUE_URL": queue.url, "EMBER_DEAD_LETTER_QUEUE_URL": dead_letters.url}
        return consume_over_http(**{**own, **variables})

    return start


def test_messages_are_answered_and_deleted(start_consume, queue, results, dead_letters):
    server = start_consume(queue)
    for message in (classify("My phone was stolen"), predict(ROW), WRONG):
        queue.send(message)
    wait_until(queue.is_empty, "the queue is empty", process=server)
    assert {line["model"] for line in results.all()} == {"intents", "diagnosis"}
    [letter] = dead_letters.take()
    assert (letter["code"], json.loads(letter["body"])) == ("wrong_shape", WRONG)


def test_it_answers_over_http_whether_it_is_well(start_consume, queue):
    server = start_consume(queue)
    assert server.get("/healthz").json() == {"status": "ok"}
    assert "diagnosis" in {model["name"] for model in server.get("/models").json()["models"]}


def test_a_message_that_fails_comes_again(start_consume, moto, results):
    queue = Queue(moto)
    server = start_consume(queue, EMBER_DEAD_LETTER_QUEUE_URL="")
    queue.send(WRONG)

    def failures() -> list[dict]:
        return [record for record in server.records() if record.get("message") == "message failed"]

    wait_until(lambda: len(failures()) >= 2, "the message has come again", process=server)
    assert {failure["code"] for failure in failures()} == {"wrong_shape"}


def test_a_message_that_fails_too_often_is_moved_by_its_queue(start_consume, moto):
    dead = Queue(moto)
    redrive = json.dumps({"deadLetterTargetArn": dead.arn, "maxReceiveCount": "1"})
    queue = Queue(moto, RedrivePolicy=redrive)
    server = start_consume(queue, EMBER_DEAD_LETTER_QUEUE_URL="")
    queue.send(WRONG)
    wait_until(lambda: dead.waiting() == 1, "the message is a dead letter", process=server)


def test_a_message_is_kept_from_others_while_work_lasts(start_consume, moto, results):
    queue = Queue(moto)
    with endpoints.silent() as endpoint:
        # The answer is there, the bucket for results says nothing.
        server = start_consume(queue, EMBER_S3_ENDPOINT=endpoint, EMBER_QUEUE_VISIBILITY_SECONDS="3", EMBER_LOG="debug")
        queue.send(classify("My phone was stolen"))
        server.wait_for_record(message="jobs answered")
        seen = len(server.records())

        def times_kept() -> int:
            return sum(record.get("message") == "messages kept" for record in server.records()[seen:])

        wait_until(lambda: times_kept() >= 4, "the message was kept", process=server)
        assert (queue.waiting(), queue.in_hand()) == (0, 1)


def test_what_is_in_hand_is_finished_when_it_is_asked_to_stop(start_consume, queue, results):
    queue.send(classify(["Where is my card?"] * 3000))
    server = start_consume(queue)
    wait_until(lambda: queue.in_hand() == 1, "the message is in hand", process=server)
    server.signal(signal.SIGTERM)
    assert server.wait(20) == 0, server.log()
    assert queue.is_empty()
    assert len(results.keys()) == 1


def test_what_cannot_be_finished_is_given_back_at_once(start_consume, queue):
    with endpoints.silent() as endpoint:
        server = start_consume(queue, EMBER_S3_ENDPOINT=endpoint, EMBER_QUEUE_VISIBILITY_SECONDS="600")
        queue.send(classify("My phone was stolen"))
        wait_until(lambda: queue.in_hand() == 1, "the message is in hand", process=server)
        server.signal(signal.SIGTERM)
        assert server.wait(20) == 0, server.log()
    assert (queue.waiting(), queue.in_hand()) == (1, 0)


def test_one_that_waits_for_messages_stops_at_once(start_consume, queue):
    server = start_consume(queue)
    server.wait_for_record(message="reading queue")
    server.signal(signal.SIGTERM)
    assert server.wait(5) == 0, server.log()


def test_a_queue_that_cannot_be_read_is_asked_again(start_consume, moto, queue, results):
    server = start_consume(queue, EMBER_QUEUE_URL=queue.url + "-later", EMBER_QUEUE_BATCHES="1")
    server.wait_for_record(message="queue not read")
    assert server.get("/healthz").status_code == 200
    name = queue.url.rsplit("/", 1)[1] + "-later"
    later = Queue(moto, name=name)
    later.send(predict(ROW))
    wait_until(later.is_empty, "the queue is empty", process=server)
    assert len(results.keys()) == 1


def test_a_fifo_queue_is_read_in_order(start_consume, moto):
    queue, replies = Queue(moto, fifo=True), Queue(moto, fifo=True)
    asked = [f"{group}{number}" for number in range(12) for group in "ab"]
    for name in asked:
        queue.send(classify("Where is my card?", id=name), group=name[0])
    server = start_consume(queue, EMBER_REPLY_QUEUE_URL=replies.url)
    wait_until(queue.is_empty, "the queue is empty", process=server)
    answered = [reply["id"] for reply in replies.take()]
    for group in "ab":
        assert [name for name in answered if name[0] == group] == [name for name in asked if name[0] == group]


def test_serve_reads_a_queue_beside_its_page(binaries, log_file, queue, results):
    command = [binaries.emberlite, "serve", "--port", "0", "--queue", queue.url]
    env = environment(EMBER_LOG_FORMAT="json", **results.env)
    server = Server("emberlite serve", command, log_file("serve"), env)
    try:
        queue.send(predict(ROW))
        wait_until(queue.is_empty, "the queue is empty", process=server)
        assert len(results.keys()) == 1
        assert server.get("/").status_code == 200
        server.signal(signal.SIGTERM)
        assert server.wait(10) == 0
    finally:
        server.stop()
