"""Objects that consume reads: requests as JSON Lines, tables as CSV, pictures."""

import csv
import io
import json

import pytest

from support import reference
from support.messages import batch, classify, failed, predict
from support.processes import ROOT
from support.queues import Queue

SEVEN = (ROOT / "models/digits/seven.png").read_bytes()
THREE = (ROOT / "models/digits/three.jpg").read_bytes()


def table(model: str, rows: list[list]) -> str:
    """Rows as CSV, with the names of the features."""
    text = io.StringIO()
    names = [feature["name"] for feature in reference.recipe(model)["features"]]
    csv.writer(text).writerows([names, *rows])
    return text.getvalue()


def put(bucket: str, key: str) -> dict:
    """What S3 tells of a new object."""
    s3 = {"bucket": {"name": bucket}, "object": {"key": key}}
    return {"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": s3}]}


def lines(*values) -> str:
    return "".join(value if isinstance(value, str) else json.dumps(value) + "\n" for value in values)


def test_a_table_is_answered_row_by_row(consume, results):
    rows = reference.random_rows("credit", 700)
    results.put("credit/applicants.csv", table("credit", rows))
    assert consume.invoke(put(results.name, "in/credit/applicants.csv")) is None
    [key] = results.keys()
    assert key.startswith("credit/applicants.csv/") and key.endswith(".jsonl")
    expected = reference.probabilities("credit", reference.feeds("credit", rows))
    answers = results.read(key)
    assert len(answers) == len(rows)
    for answer, probabilities in zip(answers, expected, strict=True):
        assert answer["probabilities"] == pytest.approx(probabilities, abs=1e-4)


def test_lines_are_answered_in_order_and_errors_are_answers(consume, results):
    asked = lines({"input": "My phone was stolen"}, "\n", "{\n", {"input": "Where is my card?", "model": "intents"}, {"model": "x"})
    results.put("intents/2026/questions.jsonl", asked)
    assert consume.invoke(put(results.name, "in/intents/2026/questions.jsonl")) is None
    [key] = results.keys()
    assert key.startswith("intents/2026/questions.jsonl/")
    first, broken, second, other = results.read(key)
    assert first["predicted_label"] == "lost_or_stolen_phone"
    assert (broken["error"]["code"], broken["line"]) == ("malformed_json", 3)
    assert second["predicted_label"] == "card_arrival"
    assert (other["error"]["code"], other["line"]) == ("bad_request", 5)


def test_pictures_are_answered_together(consume, results):
    places = {"a b+c.png": "7", "é.jpg": "3"}
    for name, content in zip(places, (SEVEN, THREE), strict=True):
        results.put(f"digits/{name}", content)
    told = [put(results.name, "in/digits/a+b%2Bc.png"), put(results.name, "in/digits/%C3%A9.jpg")]
    assert failed(consume.invoke(batch(*told))) == []
    found = {line["object"].rsplit("/", 1)[1]: line["answer"]["predicted_label"] for line in results.all()}
    assert found == places
    assert all(key.split("/")[1] in places for key in results.keys())


def test_a_request_names_an_object_and_its_model(consume, results):
    url = results.put("shared/questions.jsonl", lines({"input": "My phone was stolen"}))
    request = {"task": "classify", "model": "intents", "id": "7", "object": url}
    assert failed(consume.invoke(batch(request, request))) == []
    [key] = results.keys()
    assert key.startswith("intents/shared/questions.jsonl/")
    told = consume.invoke(request)
    assert told == {
        **{"id": "7", "task": "classify", "model": "intents", "object": url},
        "result": f"s3://{results.name}/out/{key}",
    }


def test_replies_tell_where_the_result_of_an_object_lies(consume_on_lambda, moto, results):
    replies = Queue(moto)
    consume = consume_on_lambda(**results.env, EMBER_REPLY_QUEUE_URL=replies.url)
    url = results.put("intents/questions.jsonl", lines({"input": "My phone was stolen"}))
    assert failed(consume.invoke(batch({"model": "intents", "object": url}))) == []
    [reply] = replies.take()
    assert json.loads(reply["body"])["result"].startswith(f"s3://{results.name}/out/intents/intents/questions.jsonl/")


REFUSED = [
    pytest.param("s3://{bucket}/elsewhere/intents/a.jsonl", "object_not_allowed", id="not among the inputs"),
    pytest.param("s3://other/in/intents/a.jsonl", "object_not_allowed", id="another bucket"),
    pytest.param("s3://{bucket}/in/intents/a.txt", "unsupported_media_type", id="no format that is read"),
    pytest.param("s3://{bucket}/in/intents/none.jsonl", "unknown_object", id="not there"),
    pytest.param("s3://{bucket}/in/nobody/a.jsonl", "unknown_model", id="no such model"),
    pytest.param("s3://{bucket}/in/a.jsonl", "unknown_model", id="no model named"),
    pytest.param("s3://{bucket}/in/intents/empty.csv", "bad_request", id="an empty table"),
    pytest.param("s3://{bucket}/in/intents/large.jsonl", "object_too_large", id="too large"),
    pytest.param("s3://{bucket}/in/digits/broken.png", "bad_image", id="no picture"),
    pytest.param("s3://{bucket}/in/intents/seven.png", "bad_image", id="a picture for a model of texts"),
]


@pytest.mark.parametrize(("url", "code"), REFUSED)
def test_an_object_that_can_never_be_answered_is_refused(consume_on_lambda, results, dead_letters, url, code):
    limited = {"EMBER_DEAD_LETTER_QUEUE_URL": dead_letters.url, "EMBER_MAX_OBJECT_BYTES": "1000"}
    consume = consume_on_lambda(**results.env, **limited)
    for key, content in {
        **{"nobody/a.jsonl": "{}", "intents/empty.csv": "", "intents/large.jsonl": "x" * 1001},
        **{"digits/broken.png": b"\x89PNG", "intents/seven.png": SEVEN},
    }.items():
        results.put(key, content)
    assert failed(consume.invoke(batch({"object": url.format(bucket=results.name)}))) == []
    [letter] = dead_letters.take()
    assert letter["code"] == code, letter
    assert results.keys() == []


def test_without_a_place_for_inputs_no_object_is_read(consume_on_lambda, results, dead_letters):
    url = results.put("intents/a.jsonl", lines({"input": "Hi"}))
    variables = {**results.env, "EMBER_INPUTS": "", "EMBER_DEAD_LETTER_QUEUE_URL": dead_letters.url}
    consume = consume_on_lambda(**variables)
    assert failed(consume.invoke(batch({"model": "intents", "object": url}, classify("Hi")))) == []
    [letter] = dead_letters.take()
    assert letter["code"] == "object_not_allowed" and "EMBER_INPUTS" in letter["reason"]


def test_a_model_of_tensors_reads_a_table_too(consume, results):
    rows = reference.random_rows("diagnosis", 3)
    results.put("diagnosis/rows.csv", table("diagnosis", [*rows, [1]]))
    assert consume.invoke(put(results.name, "in/diagnosis/rows.csv")) is None
    *answers, short = results.all()
    assert (short["error"]["code"], short["line"]) == ("bad_request", 5)
    assert len(answers) == 3
    assert failed(consume.invoke(batch(predict(rows[0])))) == []
    [alone] = [line for line in results.all() if "answer" in line]
    assert alone["answer"]["probabilities"] == pytest.approx(answers[0]["probabilities"], abs=1e-6)
