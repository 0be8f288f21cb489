"""The sample events of services that bring work, each through the real binary."""

import json

import pytest

from support import reference
from support.clouds import event
from support.messages import failed
from support.processes import ROOT
from support.queues import Results
from test_consume_objects import table

# The bucket that the events name.
BUCKET = "emberlite-work"
QUESTIONS = ["My phone was stolen", "Where is my card?"]
TESTED = [
    *("consume-sqs", "consume-sqs-fifo", "consume-s3", "consume-sqs-s3", "consume-sns", "consume-sns-s3"),
    *("consume-schedule", "consume-direct"),
]


@pytest.fixture(scope="module")
def work(moto) -> Results:
    """The bucket of the events, with the objects that they name."""
    work = Results(moto, BUCKET)
    work.put("digits/a seven.png", (ROOT / "models/digits/seven.png").read_bytes())
    work.put("intents/questions.jsonl", "".join(json.dumps({"input": text}) + "\n" for text in QUESTIONS))
    work.put("credit/applicants.csv", table("credit", reference.random_rows("credit", 3)))
    return work


@pytest.fixture
def consume(consume_on_lambda, work, dead_letters):
    """The function with results in a place of the test's own."""
    variables = {**work.env, "EMBER_DEAD_LETTER_QUEUE_URL": dead_letters.url}
    for key in work.keys():
        work.client.delete_object(Bucket=work.name, Key=f"out/{key}")
    return consume_on_lambda(**variables)


def labels(work: Results) -> list[str]:
    lines = [line.get("answer", line) for line in work.all()]
    return sorted(line["predicted_label"] for line in lines)


def test_every_sample_event_is_tested():
    assert sorted(TESTED) == sorted(path.stem for path in (ROOT / "events").glob("consume-*.json"))
    named = (ROOT / "events/README.md").read_text()
    assert all(f"`{path.name}`" in named for path in (ROOT / "events").glob("*.json"))


def test_a_batch_of_a_queue(consume, work, dead_letters):
    assert failed(consume.invoke(event("consume-sqs"))) == []
    assert {key.split("/")[0] for key in work.keys()} == {"intents", "diagnosis", "credit"}
    [letter] = dead_letters.take()
    assert letter["code"] == "wrong_shape"


def test_a_batch_of_a_fifo_queue(consume_on_lambda, work):
    consume = consume_on_lambda(**work.env)
    records = event("consume-sqs-fifo")["Records"]
    # The second of its group can't be answered, so the third has to wait.
    assert failed(consume.invoke(event("consume-sqs-fifo"))) == [records[1]["messageId"], records[2]["messageId"]]


@pytest.mark.parametrize(("name", "expected"), [("consume-s3", ["7"]), ("consume-sns-s3", ["7"])])
def test_a_new_object(consume, work, name, expected):
    assert consume.invoke(event(name)) is None
    assert labels(work) == expected


def test_a_new_object_told_by_a_queue(consume, work):
    assert failed(consume.invoke(event("consume-sqs-s3"))) == []
    assert labels(work) == ["card_arrival", "lost_or_stolen_phone"]


def test_a_request_told_by_a_topic(consume, work):
    assert consume.invoke(event("consume-sns")) is None
    assert labels(work) == ["lost_or_stolen_phone"]


def test_a_schedule(consume, work):
    assert consume.invoke(event("consume-schedule")) is None
    [key] = work.keys()
    assert len(work.read(key)) == 3


def test_a_direct_invocation(consume, work):
    assert consume.invoke(event("consume-direct"))["answer"]["predicted_label"] == "lost_or_stolen_phone"
    assert work.keys() == []
