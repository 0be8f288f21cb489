"""`/predict`, `/models` and `/healthz`: the answers are onnxruntime's, whatever the form of the request."""

import io
import re
import signal
import socket

import numpy as np
import pytest
from PIL import Image

from support import reference
from support.answers import SEVEN, THREE, assert_prediction, base64_of, png, refusal
from support.processes import ROOT, environment

TABLES = ("diagnosis", "credit")


def test_health_answers_without_a_model(predict_server, tmp_path):
    server = predict_server(EMBER_STORE=str(tmp_path))
    response = server.get("/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


def test_models_are_listed_and_described_as_their_recipes_say(served):
    listed = {model["name"]: model for model in served.get("/models").json()["models"]}
    assert {"credit", "diagnosis", "digits"} <= listed.keys()
    assert not any(model["default"] for model in listed.values())
    for name in listed.keys() & {"credit", "diagnosis", "digits"}:
        recipe, model = reference.recipe(name), served.get(f"/models/{name}").json()
        assert model["name"] == name
        assert re.fullmatch("[0-9a-f]{64}", model["digest"])
        assert model["package_bytes"] > 10_000
        for field in ("task", "description", "licence"):
            assert model[field] == recipe[field]
        features = [feature["name"] for feature in recipe.get("features", [])]
        assert [feature["name"] for feature in model["features"]] == features
        assert [shown["title"] for shown in model["examples"]] == [shown["title"] for shown in recipe["examples"]]
        assert (model["image"] is not None) == ("image" in recipe)
    loaded = {model["name"]: model["loaded"] for model in served.get("/models").json()["models"]}
    assert loaded["diagnosis"] is True


def test_tensors_are_described_with_the_names_of_the_protocol(served):
    diagnosis = served.get("/models/diagnosis").json()
    assert diagnosis["inputs"] == [{"name": "input", "dtype": "FP32", "shape": ["N", 30]}]
    outputs = {output["name"]: output for output in diagnosis["outputs"]}
    assert outputs["label"] == {"name": "label", "dtype": "INT64", "shape": ["N"], "role": "label"}
    assert outputs["probability"]["role"] == "probabilities"
    assert diagnosis["labels"] == ["malignant", "benign"]
    credit = served.get("/models/credit").json()
    assert {spec["dtype"] for spec in credit["inputs"]} == {"FP32", "BYTES"}
    status = next(feature for feature in credit["features"] if feature["name"] == "status")
    assert (status["dtype"], set(status["choices"])) == ("BYTES", {"A11", "A12", "A13", "A14"})


@pytest.mark.parametrize("model", TABLES)
def test_a_row_as_a_list_and_as_an_object_gets_the_answer_of_onnxruntime(served, model):
    for row in reference.random_rows(model, 20):
        [expected] = reference.probabilities(model, reference.feeds(model, [row]))
        for value in (row, reference.as_object(model, row)):
            response = served.predict(model, value)
            assert response.status_code == 200, response.text
            answer = response.json()
            assert answer["model"] == model
            assert_prediction(answer, expected)


@pytest.mark.parametrize("model", TABLES)
def test_many_rows_get_the_answers_of_onnxruntime_in_their_order(served, model):
    rows = reference.random_rows(model, 64)
    expected = reference.probabilities(model, reference.feeds(model, rows))
    mixed = [row if index % 2 else reference.as_object(model, row) for index, row in enumerate(rows)]
    for value in (rows, mixed):
        response = served.predict(model, value)
        assert response.status_code == 200, response.text
        predictions = response.json()["predictions"]
        assert len(predictions) == 64
        for prediction, one in zip(predictions, expected, strict=True):
            assert_prediction(prediction, one)


@pytest.mark.parametrize("model", TABLES)
def test_a_list_of_one_row_is_answered_as_a_list(served, model):
    row = reference.random_rows(model, 1)
    answer = served.predict(model, row).json()
    assert len(answer["predictions"]) == 1
    assert "predicted_label" not in answer


def test_outputs_are_those_of_the_graph(served):
    rows = reference.random_rows("diagnosis", 3)
    expected = reference.run("diagnosis", reference.feeds("diagnosis", rows))
    one = served.predict("diagnosis", rows[0]).json()["outputs"]
    assert one["label"] == int(expected["label"][0])
    assert one["probability"] == pytest.approx([float(expected["probability"][0, 0])], abs=1e-6)
    many = [prediction["outputs"] for prediction in served.predict("diagnosis", rows).json()["predictions"]]
    assert [outputs["label"] for outputs in many] == expected["label"].tolist()


@pytest.mark.parametrize("model", TABLES)
def test_examples_are_answered_as_their_titles_say(served, model):
    for shown in served.get(f"/models/{model}").json()["examples"]:
        answer = served.predict(model, shown["input"]).json()
        if "clearly" in shown["title"]:
            assert answer["predicted_label"] in shown["title"]
            assert max(answer["probabilities"].values()) > 0.8


def test_an_image_gets_the_answer_of_onnxruntime_for_its_pixels(served):
    pixels = np.zeros((8, 8), dtype=np.uint8)
    pixels[1:7, 3:5] = [[120, 200], [180, 255], [90, 255], [0, 255], [0, 240], [0, 255]]
    [expected] = reference.probabilities("digits", {"image": (pixels / 255).astype(np.float32).reshape(1, 1, 8, 8)})
    picture = png(Image.fromarray(pixels, "L"))
    answer = served.post("/models/digits/predict", data=picture, headers={"content-type": "image/png"}).json()
    assert_prediction(answer, expected)
    assert_prediction(served.predict("digits", base64_of(picture)).json(), expected)


def test_dark_on_light_is_the_same_as_light_on_dark(served):
    light = Image.open(io.BytesIO(SEVEN)).convert("L")
    dark = light.point(lambda value: 255 - value)
    answers = [served.predict("digits", base64_of(png(image))).json() for image in (light, dark)]
    assert answers[0]["probabilities"] == pytest.approx(answers[1]["probabilities"], abs=1e-4)


@pytest.mark.parametrize("size", [(8, 8), (64, 64), (280, 280), (200, 120), (1, 1), (3, 500)])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "1", "P", "LA", "I;16"])
def test_an_image_of_any_size_and_colour_is_answered(served, size, mode):
    picture = Image.open(io.BytesIO(SEVEN)).convert("L").resize(size)
    picture = Image.fromarray(np.asarray(picture).astype(np.uint16) * 257) if mode == "I;16" else picture.convert(mode)
    response = served.predict("digits", base64_of(png(picture)))
    assert response.status_code == 200, response.text
    if min(size) >= 64:
        assert response.json()["predicted_label"] == "7"


def test_png_jpeg_base64_and_data_urls_are_all_images(served):
    def raw(image, media_type):
        return served.post("/models/digits/predict", data=image, headers={"content-type": media_type})

    answers = [
        (raw(SEVEN, "image/png"), "7"),
        (raw(THREE, "image/jpeg"), "3"),
        (served.predict("digits", base64_of(SEVEN)), "7"),
        (served.predict("digits", f"data:image/png;base64,{base64_of(SEVEN)}"), "7"),
        (served.predict("digits", f"data:image/jpeg;base64,{base64_of(THREE)}"), "3"),
    ]
    for response, label in answers:
        assert response.status_code == 200, response.text
        assert response.json()["predicted_label"] == label
    many = served.predict("digits", [base64_of(SEVEN), base64_of(THREE)]).json()["predictions"]
    assert [prediction["predicted_label"] for prediction in many] == ["7", "3"]


def test_an_image_model_takes_a_tensor_with_and_without_the_batch_dimension(served):
    tensor = np.random.default_rng(3).random((2, 1, 8, 8), dtype=np.float32)
    expected = reference.probabilities("digits", {"image": tensor})
    predictions = served.predict("digits", tensor.tolist()).json()["predictions"]
    for prediction, one in zip(predictions, expected, strict=True):
        assert_prediction(prediction, one)
    assert_prediction(served.predict("digits", tensor[0].tolist()).json(), expected[0])


def test_the_answer_tells_its_package_and_its_timing(served):
    response = served.predict("diagnosis", reference.example("diagnosis"))
    digest = served.get("/models/diagnosis").json()["digest"]
    assert response.headers["x-emberlite-package"] == f"diagnosis@{digest}"
    assert re.fullmatch(r"load;dur=[0-9.]+, run;dur=[0-9.]+", response.headers["server-timing"])


def test_the_body_names_the_model_of_predict(served):
    for model in ("diagnosis", "credit", "digits"):
        answer = served.post("/predict", json={"model": model, "input": reference.example(model)})
        assert (answer.status_code, answer.json()["model"]) == (200, model)


def test_the_default_model_answers_where_none_is_named(predict_server):
    server = predict_server(EMBER_STORE=str(ROOT), EMBER_MODEL="diagnosis")
    row = reference.random_rows("diagnosis", 1)[0]
    assert server.post("/predict", json={"input": row}).json()["model"] == "diagnosis"
    assert [model["name"] for model in server.get("/models").json()["models"] if model["default"]] == ["diagnosis"]


def test_the_only_model_answers_where_none_is_named(predict_server):
    server = predict_server(EMBER_STORE=str(ROOT), EMBER_MODELS="digits")
    assert server.post("/predict", json={"input": base64_of(SEVEN)}).json()["predicted_label"] == "7"
    assert [model["name"] for model in server.get("/models").json()["models"]] == ["digits"]
    refusal(server.predict("diagnosis", []), 404, "unknown_model")


def test_values_beyond_single_precision_are_still_answered_in_json(served):
    response = served.predict("diagnosis", [1e300] * 30)
    assert response.status_code in (200, 422)
    response.json()


# The process


def test_help_tells_every_variable(binaries, start_process):
    process = start_process("predict --help", [binaries.predict, "--help"], environment())
    assert process.wait() == 0
    variables = (
        "STORE MODEL MODELS REFRESH_SECONDS MAX_BODY_BYTES S3_ENDPOINT S3_PATH_STYLE THREADS LOG LOG_FORMAT HOST"
    )
    for name in [*(f"EMBER_{variable}" for variable in variables.split()), "PORT"]:
        assert name in process.log()


@pytest.mark.parametrize(
    ("name", "value"), [("EMBER_STORE", ""), ("EMBER_REFRESH_SECONDS", "soon"), ("EMBER_MODEL", "../x"), ("PORT", "x")]
)
def test_a_wrong_variable_stops_the_function_at_start_with_its_name(binaries, start_process, name, value):
    env = environment(**{"EMBER_STORE": str(ROOT), "PORT": "0", name: value})
    process = start_process("predict", [binaries.predict], env)
    assert process.wait() != 0
    assert name in process.log()


def test_requests_under_way_are_answered_before_the_server_stops(predict_server):
    server = predict_server(EMBER_STORE=str(ROOT))
    body = b'{"input": %s}' % str(reference.random_rows("diagnosis", 1)[0]).encode()
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        head = b"POST /models/diagnosis/predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        connection.sendall(head + b"Content-Length: %d\r\n\r\n%s" % (len(body), body[:10]))
        server.wait_for_log("listening")
        assert server.get("/healthz").status_code == 200
        server.signal(signal.SIGTERM)
        server.wait_for_log("stopping")
        connection.sendall(body[10:])
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    assert answer.startswith(b"HTTP/1.1 200"), answer
    assert b"predicted_label" in answer
    assert server.wait() == 0
