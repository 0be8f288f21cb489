"""The function consume on AWS Lambda: what it answers to the events of queues, buckets and schedules."""

import json

import pytest

from support import endpoints, reference
from support.messages import WRONG, batch, classify, failed, predict
from support.processes import ROOT, environment
from support.queues import Queue

ROW = reference.random_rows("diagnosis", 1)[0]


# Batches of a queue


def test_the_results_of_a_batch_lie_in_the_bucket(consume, results):
    rows = reference.random_rows("diagnosis", 3)
    asked = [predict(row, id=str(place)) for place, row in enumerate(rows)]
    assert failed(consume.invoke(batch(*asked, classify("My phone was stolen")))) == []
    found = results.all()
    expected = reference.probabilities("diagnosis", reference.feeds("diagnosis", rows))
    for line in found:
        if line["model"] == "diagnosis":
            assert line["task"] == "predict"
            assert line["answer"]["probabilities"] == pytest.approx(expected[int(line["id"])], abs=1e-5)
            assert len(line["package"]) == 64
    [stolen] = [line for line in found if line["model"] == "intents"]
    assert stolen["answer"]["predicted_label"] == "lost_or_stolen_phone"
    assert sorted(line.get("id", "") for line in found) == ["", "0", "1", "2"]


def test_a_message_that_comes_twice_makes_one_result(consume, results):
    for _ in range(2):
        assert failed(consume.invoke(batch(predict(ROW), predict(ROW)))) == []
    [key] = results.keys()
    [line] = results.read(key)
    assert key == f"diagnosis/{key.removeprefix('diagnosis/')}" and len(key) == len("diagnosis/.jsonl") + 64
    assert line["answer"]["model"] == "diagnosis"


POISON = [
    pytest.param("{", "bad_request", "JSON", id="no JSON"),
    pytest.param("[1]", "bad_request", "an object", id="no object"),
    pytest.param(json.dumps(WRONG), "wrong_shape", "30", id="wrong shape"),
    pytest.param(json.dumps({"task": "predict", "model": "nobody", "input": 1}), "unknown_model", "nobody", id="no model"),
    pytest.param(json.dumps({"task": "paint", "model": "digits", "input": 1}), "bad_request", "classify", id="no task"),
    pytest.param(json.dumps({"task": "embed", "model": "intents", "input": "x"}), "wrong_task", "classify", id="wrong task"),
    pytest.param(json.dumps({"model": "intents"}), "bad_request", "input", id="no input"),
    pytest.param(json.dumps({"model": "intents", "inputt": "x"}), "malformed_json", "inputt", id="unknown field"),
]


@pytest.mark.parametrize(("poison", "code", "part"), POISON)
def test_a_message_that_can_never_work_goes_to_the_dead_letter_queue(consume, results, dead_letters, poison, code, part):
    assert failed(consume.invoke(batch(predict(ROW), poison, classify("Where is my card?")))) == []
    [letter] = dead_letters.take()
    assert (letter["body"], letter["code"], letter["message_id"]) == (poison, code, "1")
    assert part in letter["reason"]
    assert len(results.keys()) == 2


def test_without_a_dead_letter_queue_such_a_message_fails(consume_on_lambda, results):
    consume = consume_on_lambda(**results.env)
    assert failed(consume.invoke(batch(predict(ROW), WRONG, predict(ROW, id="2")))) == ["1"]
    assert len(results.keys()) == 2


def test_results_that_have_no_place_fail_and_what_needs_none_is_done(consume_on_lambda, results, dead_letters):
    variables = {**results.env, "EMBER_RESULTS": "s3://no-such-bucket/out", "EMBER_DEAD_LETTER_QUEUE_URL": dead_letters.url}
    consume = consume_on_lambda(**variables)
    assert failed(consume.invoke(batch(predict(ROW), WRONG))) == ["0"]
    assert [letter["message_id"] for letter in dead_letters.take()] == ["1"]


def test_what_is_not_done_in_time_is_given_back(consume_on_lambda, results):
    with endpoints.silent() as endpoint:
        consume = consume_on_lambda(**{**results.env, "EMBER_S3_ENDPOINT": endpoint})
        assert failed(consume.invoke(batch(predict(ROW), predict(ROW, id="1")), seconds=3)) == ["0", "1"]
    assert not consume.process.has_ended()


def test_messages_of_one_model_run_as_one_batch(consume_on_lambda, results):
    consume = consume_on_lambda(**results.env, EMBER_LOG="debug")
    rows = reference.random_rows("diagnosis", 40)
    assert failed(consume.invoke(batch(*[predict(row) for row in rows]))) == []
    ran = [record for record in consume.process.records() if record.get("message") == "jobs answered"]
    assert [(record["model"], record["jobs"]) for record in ran] == [("diagnosis", 40)]
    assert len(results.keys()) == 40


# Order


def test_in_a_fifo_queue_a_group_ends_at_its_first_failure(consume_on_lambda, results):
    consume = consume_on_lambda(**results.env)
    asked = [classify("one"), WRONG, classify("two"), classify("three"), classify("four")]
    answer = consume.invoke(batch(*asked, queue="work.fifo", groups=["a", "a", "a", "b", "a"]))
    assert failed(answer) == ["1", "2", "4"]
    # What is behind the failure has no result yet.
    assert len(results.keys()) == 2


def test_a_dead_letter_does_not_end_its_group(consume_on_lambda, moto, results):
    dead = Queue(moto, fifo=True)
    consume = consume_on_lambda(**results.env, EMBER_DEAD_LETTER_QUEUE_URL=dead.url)
    asked = [classify("one"), WRONG, classify("two")]
    assert failed(consume.invoke(batch(*asked, queue="work.fifo", groups=["a", "a", "a"]))) == []
    [letter] = dead.take()
    assert (letter["code"], letter["group"]) == ("wrong_shape", "a")
    assert len(results.keys()) == 2


# Replies


def test_results_go_to_the_queue_for_replies(consume_on_lambda, moto):
    replies = Queue(moto)
    consume = consume_on_lambda(EMBER_REPLY_QUEUE_URL=replies.url)
    assert failed(consume.invoke(batch(classify("My phone was stolen", id="7")))) == []
    [reply] = replies.take()
    line = json.loads(reply["body"])
    assert (reply["id"], reply["message_id"], line["id"]) == ("7", "0", "7")
    assert line["answer"]["predicted_label"] == "lost_or_stolen_phone"


def test_a_result_too_large_for_a_message_is_told_by_its_place(consume_on_lambda, moto, results):
    replies, large = Queue(moto), classify(["Where is my card?"] * 2000, all=True)
    consume = consume_on_lambda(**results.env, EMBER_REPLY_QUEUE_URL=replies.url)
    assert failed(consume.invoke(batch(large))) == []
    [key] = results.keys()
    [reply] = replies.take()
    told = json.loads(reply["body"])
    assert told["result"] == f"s3://{results.name}/out/{key}" and "answer" not in told
    assert len(results.read(key)[0]["answer"]["predictions"]) == 2000


def test_a_function_without_a_place_for_results_does_not_start(binaries, start_process):
    env = environment(EMBER_STORE=str(ROOT), PORT="0", EMBER_QUEUE_URL="http://127.0.0.1:9/1/work")
    process = start_process("consume", [binaries.functions["consume"]], env)
    assert process.wait() != 0
    assert "EMBER_RESULTS" in process.log()


def test_only_this_function_links_the_client_of_queues(binaries):
    names = [name for name, binary in binaries.functions.items() if b"AmazonSQS" in binary.read_bytes()]
    assert names == ["consume"]


# Other events


def test_a_request_is_answered_directly(consume, results):
    told = consume.invoke(classify("My phone was stolen"))
    assert told["answer"]["predicted_label"] == "lost_or_stolen_phone"
    assert results.keys() == []


def test_a_direct_request_that_is_wrong_ends_with_the_code_of_its_error(consume):
    error = consume.fail(WRONG)
    assert error["errorType"] == "wrong_shape"
    assert "30" in error["errorMessage"]
    for wrong in ([], "text", {"model": "digits"}, {"Records": [{"eventSource": "aws:sqs"}]}):
        assert consume.fail(wrong)["errorType"] == "bad_request"
    assert not consume.process.has_ended()


def test_a_text_is_written_on_request(consume):
    told = consume.invoke({"model": "storyteller", "prompt": "Once upon a time", "max_tokens": 8, "stream": True})
    assert told["task"] == "generate"
    [choice] = told["answer"]["choices"]
    assert choice["text"] and choice["finish_reason"] == "length"


def test_texts_become_vectors(consume_on_lambda, results, text_store):
    consume = consume_on_lambda(**{**results.env, "EMBER_STORE": str(text_store)})
    asked = [{"task": "embed", "model": "sentences", "input": text} for text in ("a cat", "a dog")]
    assert failed(consume.invoke(batch(*asked))) == []
    vectors = [line["answer"]["data"][0]["embedding"] for line in results.all()]
    assert len(vectors) == 2 and len(vectors[0]) == len(vectors[1]) > 1


def test_a_notice_that_cannot_be_answered_ends_in_the_dead_letter_queue_or_as_an_error(consume_on_lambda, results, dead_letters):
    notice = {"source": "aws.events", "detail-type": "Scheduled Event", "detail": WRONG}
    consume = consume_on_lambda(**results.env, EMBER_DEAD_LETTER_QUEUE_URL=dead_letters.url)
    assert consume.invoke(notice) is None
    [letter] = dead_letters.take()
    assert json.loads(letter["body"]) == notice and letter["code"] == "wrong_shape"


def test_a_notice_is_an_error_where_there_is_no_dead_letter_queue(consume_on_lambda, results):
    notice = {"source": "aws.events", "detail-type": "Scheduled Event", "detail": WRONG}
    assert consume_on_lambda(**results.env).fail(notice)["errorType"] == "wrong_shape"
