"""What `/predict` and `/models` refuse: each with its status and code, what was expected and what came."""

import http.client
import socket
import zlib

import numpy as np
import pytest
import requests
from PIL import Image

from support import reference
from support.answers import SEVEN, base64_of, png, refusal
from support.processes import ROOT


def test_malformed_json_is_refused(served):
    for body in (b"", b"{", b'{"input": [1, 2', b"\xff\xfe", b'{"input": [1]} trailing', b"[" * 5000):
        response = served.post("/models/diagnosis/predict", data=body, headers={"content-type": "application/json"})
        refusal(response, 400, "malformed_json")


def test_a_body_without_input_is_refused(served):
    for body in ({}, {"inputs": [1]}, [1, 2], "text", None):
        response = served.post("/models/diagnosis/predict", json=body)
        assert response.status_code == 400, response.text
        assert response.json()["error"]["code"] in ("malformed_json", "bad_request")


def test_predict_without_a_name_lists_nothing_it_cannot_choose_from(served):
    error = refusal(served.post("/predict", json={"input": [1]}), 400, "bad_request")
    assert "several models" in error["message"]


def test_two_different_names_are_refused(served):
    body = {"model": "credit", "input": reference.random_rows("credit", 1)[0]}
    error = refusal(served.post("/models/diagnosis/predict", json=body), 400, "bad_request")
    assert "credit" in error["message"] and "diagnosis" in error["message"]


def test_a_row_of_the_wrong_length_is_refused_with_the_right_one(served):
    error = refusal(served.predict("diagnosis", [1.0, 2.0, 3.0]), 422, "wrong_shape")
    assert "30" in error["expected"] and "3" in error["got"]
    rows = reference.random_rows("diagnosis", 3)
    rows[1] = rows[1][:-1]
    error = refusal(served.predict("diagnosis", rows), 422, "wrong_shape")
    assert "30" in error["expected"] and "29" in error["got"]
    assert "row 1" in error["message"]


@pytest.mark.parametrize("value", [[], [[]], {}, 3.5, None, True, "text"])
def test_what_is_no_row_is_refused(served, value):
    response = served.predict("diagnosis", value)
    assert response.status_code == 422, response.text
    assert response.json()["error"]["code"] in ("wrong_shape", "missing_feature", "wrong_dtype")


@pytest.mark.parametrize("shape", [(7, 8), (8, 8), (1, 8, 9), (2, 3, 8, 8), (0, 1, 8, 8)])
def test_a_tensor_of_the_wrong_shape_is_refused(served, shape):
    error = refusal(served.predict("digits", np.zeros(shape).tolist()), 422, "wrong_shape")
    assert "8, 8" in error["expected"]


def test_a_ragged_tensor_is_refused(served):
    tensor = np.zeros((1, 8, 8)).tolist()
    tensor[0][3] = tensor[0][3][:-1]
    refusal(served.predict("digits", tensor), 422, "wrong_shape")


@pytest.mark.parametrize("value", ["many", True, [1.0], {"a": 1}])
def test_a_value_of_the_wrong_type_is_refused_with_its_feature(served, value):
    row = reference.as_object("diagnosis", reference.random_rows("diagnosis", 1)[0])
    error = refusal(served.predict("diagnosis", {**row, "mean area": value}), 422, "wrong_dtype")
    assert "mean area" in error["message"] and "FP32" in error["expected"]


def test_a_missing_number_may_be_null_and_a_category_may_not(served):
    diagnosis = {**reference.example("diagnosis"), "mean area": None}
    assert served.predict("diagnosis", diagnosis).status_code == 200
    error = refusal(served.predict("credit", {**reference.example("credit"), "status": None}), 422, "wrong_dtype")
    assert "status" in error["message"]


def test_an_unknown_category_is_refused_with_those_there_are(served):
    row = {**reference.example("credit"), "status": "A99"}
    error = refusal(served.predict("credit", row), 422, "wrong_dtype")
    assert "status" in error["message"] and "A99" in error["got"]
    assert all(choice in error["expected"] for choice in ("A11", "A12", "A13", "A14"))


def test_an_unknown_feature_is_refused_with_the_one_that_was_meant(served):
    row = dict(reference.example("diagnosis"))
    row["mean raduis"] = row.pop("mean radius")
    error = refusal(served.predict("diagnosis", row), 422, "unknown_feature")
    assert "mean raduis" in error["message"] and "mean radius" in error["message"]


def test_missing_features_are_all_named(served):
    row = dict(reference.example("credit"))
    del row["amount"], row["job"]
    error = refusal(served.predict("credit", row), 422, "missing_feature")
    assert "amount" in error["message"] and "job" in error["message"]
    error = refusal(served.predict("credit", [reference.example("credit"), row]), 422, "missing_feature")
    assert "row 1" in error["message"]


def huge_png() -> bytes:
    """A picture of 30,000 by 30,000 pixels in a few kilobytes."""
    picture = bytearray(png(Image.new("L", (1, 1))))
    picture[16:24] = (30_000).to_bytes(4, "big") * 2
    picture[29:33] = zlib.crc32(picture[12:29]).to_bytes(4, "big")
    return bytes(picture)


BROKEN_IMAGES = {
    "nothing": b"",
    "text": b"not an image",
    "truncated": SEVEN[: len(SEVEN) // 2],
    "header only": SEVEN[:8],
    "gif": b"GIF89a" + bytes(64),
    "huge": huge_png(),
}


@pytest.mark.parametrize("kind", BROKEN_IMAGES)
def test_a_broken_image_is_refused(served, kind):
    image = BROKEN_IMAGES[kind]
    raw = served.post("/models/digits/predict", data=image, headers={"content-type": "image/png"})
    refusal(raw, 422, "bad_image")
    refusal(served.predict("digits", base64_of(image)), 422, "bad_image")


def test_text_that_is_no_base64_is_refused(served):
    for text in ("***", "data:image/png;base64,***", "data:text/plain,hello", "Zm9v"):
        refusal(served.predict("digits", text), 422, "bad_image")


def test_a_model_without_images_refuses_one(served):
    response = served.post("/models/diagnosis/predict", data=SEVEN, headers={"content-type": "image/png"})
    error = refusal(response, 422, "bad_image")
    assert "30 features" in error["message"]


@pytest.mark.parametrize("name", ["nosuch", "Diagnosis", "%2e%2e%2fetc", "a%2Fb", "x" * 300, "%F0%9F%94%A5"])
def test_an_unknown_model_is_refused(served, name):
    for response in (served.get(f"/models/{name}"), served.post(f"/models/{name}/predict", json={"input": [1]})):
        assert response.status_code == 404, response.text
        assert response.json()["error"]["code"] in ("unknown_model", "not_found")
    error = refusal(served.post("/predict", json={"model": "nosuch", "input": [1]}), 404, "unknown_model")
    assert "nosuch" in error["message"]


def test_an_unknown_path_is_refused(served):
    for path in ("/nowhere", "/models/diagnosis/nowhere", "/v1/predict", "/predict/"):
        error = refusal(served.get(path), 404, "not_found")
        assert path in error["message"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/predict"),
        ("PUT", "/predict"),
        ("GET", "/models/diagnosis/predict"),
        ("POST", "/models"),
        ("POST", "/healthz"),
        ("DELETE", "/models/diagnosis"),
        ("POST", "/openapi.json"),
    ],
)
def test_another_method_is_refused_with_those_allowed(served, method, path):
    response = requests.request(method, served.url + path, timeout=60)
    refusal(response, 405, "method_not_allowed")
    assert response.headers["allow"]


def test_head_is_answered_like_get_without_a_body(served):
    for path, status in (
        ("/healthz", 200),
        ("/models", 200),
        ("/openapi.json", 200),
        ("/nowhere", 404),
        ("/predict", 405),
    ):
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)
        connection.request("HEAD", path)
        response = connection.getresponse()
        assert (response.status, response.read()) == (status, b""), path
        connection.close()


def test_an_oversize_body_is_refused_with_the_limit(served):
    limit = 6_291_456
    within, over = b" " * limit, b" " * (limit + 1)
    headers = {"content-type": "application/json"}
    refusal(served.post("/models/diagnosis/predict", data=within, headers=headers), 400, "malformed_json")
    for body in (over, iter([over])):
        response = served.post("/models/diagnosis/predict", data=body, headers=headers)
        error = refusal(response, 413, "body_too_large")
        assert str(limit) in error["expected"]


def test_the_limit_of_bodies_is_configurable(predict_server):
    server = predict_server(EMBER_STORE=str(ROOT), EMBER_MAX_BODY_BYTES="1000")
    error = refusal(server.predict("diagnosis", [0.123456789] * 300), 413, "body_too_large")
    assert "1000" in error["expected"]


@pytest.mark.parametrize("media_type", ["text/plain", "image/gif", "multipart/form-data; boundary=x"])
def test_another_media_type_is_refused(served, media_type):
    response = served.post("/models/digits/predict", data=SEVEN, headers={"content-type": media_type})
    error = refusal(response, 415, "unsupported_media_type")
    assert "application/json" in error["expected"]


def test_a_compressed_body_is_refused(served):
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    refusal(served.post("/models/diagnosis/predict", data=b"\x1f\x8b", headers=headers), 415, "unsupported_media_type")


def test_a_broken_request_does_not_stop_the_server(served):
    for rubbish in (
        b"\x16\x03\x01\x02\x00",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nContent-Length: 10\r\n\r\nab",
    ):
        with socket.create_connection(("127.0.0.1", served.port), timeout=10) as connection:
            connection.sendall(rubbish)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(4096):
                pass
    assert served.get("/healthz").status_code == 200
