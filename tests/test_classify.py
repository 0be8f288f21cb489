"""`/classify` and `/predict` of a text model: the answers are transformers', in both forms, and as JSON Lines."""

import json
import socket

import numpy as np
import pytest

from support import clouds
from support.answers import refusal
from support.texts import ENCODERS


@pytest.fixture(scope="module")
def server(text_servers):
    return text_servers["classify"]


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("path", ["classify", "predict"])
def test_labels_have_the_probabilities_of_transformers(server, path):
    encoder = ENCODERS["intents"]
    expected = softmax(encoder.outputs("logits"))
    labels = server.get("/models/intents").json()["labels"]
    response = server.post(f"/models/intents/{path}", json={"input": encoder.texts, "all": True})
    assert response.status_code == 200, response.text
    for prediction, row in zip(response.json()["predictions"], expected, strict=True):
        assert prediction["predicted_label"] == labels[int(row.argmax())]
        assert prediction["probabilities"] == pytest.approx(dict(zip(labels, row.tolist(), strict=True)), abs=1e-5)
        assert list(prediction["probabilities"].values()) == sorted(prediction["probabilities"].values(), reverse=True)


def test_one_text_is_answered_alone_with_as_many_labels_as_wanted(server):
    one = server.post("/models/intents/classify", json={"input": "My card has not arrived.", "top_k": 1}).json()
    assert one["model"] == "intents"
    assert list(one["probabilities"]) == [one["predicted_label"]]


def test_the_form_of_text_embeddings_inference_gets_its_answers(server):
    encoder = ENCODERS["intents"]
    expected = softmax(encoder.outputs("logits"))
    body = {"inputs": [[text] for text in encoder.texts], "truncate": True}
    batch = server.post("/models/intents/predict", json=body).json()
    for prediction, row in zip(batch, expected, strict=True):
        assert [score["score"] for score in prediction] == pytest.approx(sorted(row, reverse=True), abs=1e-5)
    single = server.post("/models/intents/predict", json={"inputs": encoder.texts[0]}).json()
    assert single[0]["score"] == pytest.approx(expected[0].max(), abs=1e-5)


def test_many_labels_may_be_right(server):
    encoder = ENCODERS["topics"]
    expected = 1 / (1 + np.exp(-encoder.outputs("logits")))
    labels = server.get("/models/topics").json()["labels"]
    answer = server.post("/models/topics/classify", json={"input": encoder.texts, "threshold": 0.45}).json()
    for prediction, row in zip(answer["predictions"], expected, strict=True):
        likely = {label for label, value in zip(labels, row, strict=True) if value >= 0.45}
        assert set(prediction["predicted_labels"]) == likely
        assert prediction["probabilities"] == pytest.approx(dict(zip(labels, row.tolist(), strict=True)), abs=1e-5)


def test_a_regression_answers_its_number(server):
    encoder = ENCODERS["stars"]
    answer = server.post("/models/stars/classify", json={"input": encoder.texts[0]}).json()
    assert list(answer["values"].values()) == pytest.approx(encoder.outputs("logits")[0].tolist(), abs=1e-5)


def test_pairs_are_judged_together(server):
    encoder = ENCODERS["likeness"]
    pairs = [{"text": first, "text_pair": second} for first, second in encoder.texts]
    answer = server.post("/models/likeness/classify", json={"input": pairs}).json()
    expected = 1 / (1 + np.exp(-encoder.outputs("logits")[:, 0]))
    got = [next(iter(prediction["probabilities"].values())) for prediction in answer["predictions"]]
    assert got == pytest.approx(expected.tolist(), abs=1e-5)


def test_refusals_have_the_shape_of_the_request(server):
    refusal(server.post("/models/sentences/classify", json={"input": "a"}), 422, "wrong_task")
    error = refusal(server.post("/models/intents/classify", json={"input": "a " * 99, "truncate": False}), 422, "text_too_long")
    assert error["expected"].startswith("at most ") and error["got"].endswith(" tokens")
    refusal(server.post("/models/intents/classify", json={"input": []}), 422, "empty_input")
    refusal(server.post("/models/intents/classify", json={"inputt": "a"}), 400, "malformed_json")
    refusal(server.post("/models/intents/classify", data="a", headers={"Content-Type": "text/plain"}), 415, "unsupported_media_type")
    peer = server.post("/models/intents/classify", json={"inputs": "a " * 99})
    assert (peer.status_code, peer.json()["error_type"]) == (413, "validation")


def test_the_function_answers_a_lambda_event(lambda_function, text_store):
    function = lambda_function("classify", EMBER_STORE=str(text_store), EMBER_MODEL="intents")
    answer = function.invoke(clouds.event("classify-url"))
    assert answer["statusCode"] == 200, answer
    assert clouds.body_of(answer)["predicted_label"]


class Stream:
    """A JSON Lines request that is sent and read at the same time."""

    def __init__(self, server, path: str):
        self._socket = socket.create_connection(("127.0.0.1", server.port))
        self._socket.settimeout(30)
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/jsonl\r\nTransfer-Encoding: chunked"
        self._socket.sendall(f"{head}\r\n\r\n".encode())
        self._received = b""

    def send(self, *requests) -> None:
        data = "".join(f"{request if isinstance(request, str) else json.dumps(request)}\n" for request in requests)
        self._socket.sendall(b"%x\r\n%s\r\n" % (len(data.encode()), data.encode()))

    def end(self) -> None:
        self._socket.sendall(b"0\r\n\r\n")

    def lines(self, count: int) -> list:
        """The answers, once there are this many."""
        while len(found := self._lines()) < count:
            data = self._socket.recv(65536)
            assert data, self._received
            self._received += data
        return found

    def _lines(self) -> list:
        _, _, body = self._received.partition(b"\r\n\r\n")
        return [json.loads(line) for line in body.split(b"\n") if line.startswith(b"{") and line.endswith(b"}")]

    def close(self) -> None:
        self._socket.close()


def test_lines_are_answered_while_others_are_still_to_come(server):
    stream = Stream(server, "/models/intents/classify")
    try:
        stream.send({"input": "My card has not arrived."})
        [first] = stream.lines(1)
        stream.send("nonsense", {"input": []}, {"input": "Why?"})
        stream.end()
        answers = stream.lines(4)
    finally:
        stream.close()
    assert answers[0] == first
    assert [answer.get("line") for answer in answers] == [None, 2, 3, None]
    assert [answer["error"]["code"] for answer in answers[1:3]] == ["malformed_json", "empty_input"]
    assert "predicted_label" in answers[3]


def test_a_long_stream_is_answered_line_by_line_as_single_requests_are(server):
    texts = ENCODERS["intents"].texts * 500
    body = "".join(json.dumps({"input": text}) + "\n" for text in texts)
    response = server.post("/models/intents/classify", data=body, headers={"Content-Type": "application/x-ndjson"})
    assert response.headers["content-type"] == "application/x-ndjson"
    answers = [json.loads(line) for line in response.text.splitlines()]
    assert len(answers) == len(texts)
    single = [server.post("/models/intents/classify", json={"input": text}).json() for text in ENCODERS["intents"].texts]
    for answer, expected in zip(answers, single * 500, strict=True):
        assert answer["predicted_label"] == expected["predicted_label"]
        assert answer["probabilities"] == pytest.approx(expected["probabilities"], abs=1e-5)
