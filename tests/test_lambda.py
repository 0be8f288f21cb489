"""On AWS Lambda: the sample events through the real binary, its packages in S3."""

import base64
import json
import subprocess
import sys
from pathlib import Path

import pytest

from support import endpoints, reference
from support.clouds import body_of, event
from support.object_store import BUCKET, Shop, serve, stall, status
from support.processes import ROOT, environment, free_port, is_open, wait_until


@pytest.fixture
def function(lambda_function, bucket, packages, emberlite):
    """The function, its demo models in a bucket."""
    for package in packages.values():
        emberlite.json("push", package.file, "--store", bucket.url, env=bucket.env)
    return lambda_function(**bucket.env)


def test_every_sample_event_is_tested():
    predict = {"predict-url", "predict-image-url", "models-url", "predict-wrong-shape-url"}
    gateways = {"predict-api-v1", "predict-api-v2", "predict-alb"}
    tested = predict | gateways | {"embed-url", "classify-url", "generate-url"}
    # Those of consume are in test_consume_events.py.
    events = {path.stem for path in (ROOT / "events").glob("*.json")}
    assert {name for name in events if not name.startswith("consume-")} == tested


def test_a_prediction_is_answered_cold_and_warm(function):
    row = list(reference.example("diagnosis").values())
    [expected] = reference.probabilities("diagnosis", reference.feeds("diagnosis", [row]))
    for _ in ("cold", "warm"):
        answer = function.invoke(event("predict-url"))
        assert answer["statusCode"] == 200, answer
        assert answer["headers"]["content-type"] == "application/json"
        body = body_of(answer)
        assert (body["model"], body["predicted_label"]) == ("diagnosis", "malignant")
        assert body["probabilities"] == pytest.approx(expected, abs=1e-5)
    assert sum(record.get("message") == "package loaded" for record in function.process.records()) == 1


def test_an_image_comes_through_the_base64_of_lambda(function):
    payload = event("predict-image-url")
    assert base64.b64decode(payload["body"]) == (ROOT / "models/digits/seven.png").read_bytes()
    for _ in ("cold", "warm"):
        answer = function.invoke(payload)
        assert (answer["statusCode"], body_of(answer)["predicted_label"]) == (200, "7")


def test_models_are_listed_before_and_after_one_is_loaded(function):
    for loaded in (False, True):
        answer = function.invoke(event("models-url"))
        models = {model["name"]: model["loaded"] for model in body_of(answer)["models"]}
        assert models == {"credit": False, "diagnosis": loaded, "digits": False}
        function.invoke(event("predict-url"))


def test_a_wrong_shape_is_refused_with_the_right_one(function):
    for _ in ("cold", "warm"):
        answer = function.invoke(event("predict-wrong-shape-url"))
        error = body_of(answer)["error"]
        assert (answer["statusCode"], error["code"]) == (422, "wrong_shape")
        assert "30" in error["expected"] and "3" in error["got"]


@pytest.mark.parametrize(
    ("name", "label"), [("predict-api-v1", "malignant"), ("predict-api-v2", "7"), ("predict-alb", "malignant")]
)
def test_gateways_and_load_balancers_are_answered_as_they_expect(function, name, label):
    answer = function.invoke(event(name))
    assert answer["statusCode"] == 200, answer
    assert body_of(answer)["predicted_label"] == label
    headers = answer["headers"]
    if name != "predict-api-v2":
        # These two read only lists of headers, where they are set up to.
        headers = {name: value for name, [value] in answer["multiValueHeaders"].items()}
    assert headers["content-type"] == "application/json"
    if name == "predict-alb":
        assert answer["statusDescription"].startswith("200")


@pytest.mark.parametrize("path", ["/models", "/prod/models"])
def test_the_stage_of_an_api_is_no_part_of_the_path(function, path):
    payload = event("predict-api-v2")
    payload |= {"rawPath": path, "body": None, "isBase64Encoded": False}
    payload["requestContext"]["http"] |= {"method": "GET", "path": path}
    answer = function.invoke(payload)
    assert answer["statusCode"] == 200 and "models" in body_of(answer)


def test_binary_answers_of_the_protocol_come_as_base64(function):
    payload = event("predict-url")
    payload["rawPath"] = payload["requestContext"]["http"]["path"] = "/v2/models/diagnosis/infer"
    row = ", ".join(map(str, reference.random_rows("diagnosis", 1)[0]))
    wanted = '{"name": "probability", "parameters": {"binary_data": true}}'
    given = f'{{"name": "input", "shape": [1, 30], "datatype": "FP32", "data": [{row}]}}'
    payload["body"] = f'{{"inputs": [{given}], "outputs": [{wanted}]}}'
    answer = function.invoke(payload)
    assert (answer["statusCode"], answer["isBase64Encoded"]) == (200, True), answer
    headers = {name.lower(): value for name, value in answer["headers"].items()}
    assert headers["content-type"] == "application/octet-stream"
    body = base64.b64decode(answer["body"])
    assert len(body) == int(headers["inference-header-content-length"]) + 4


def test_a_path_that_is_not_there_is_refused(function):
    payload = event("models-url")
    payload["rawPath"] = payload["requestContext"]["http"]["path"] = "/nowhere"
    answer = function.invoke(payload)
    assert (answer["statusCode"], body_of(answer)["error"]["code"]) == (404, "not_found")


def test_a_model_that_is_pushed_later_is_served_without_a_restart(lambda_function, bucket, packages, emberlite):
    function = lambda_function(**{**bucket.env, "EMBER_STORE": f"{bucket.url}/later"})
    answer = function.invoke(event("predict-url"))
    assert (answer["statusCode"], body_of(answer)["error"]["code"]) == (404, "unknown_model")
    emberlite.json("push", packages["diagnosis"].file, "--store", f"{bucket.url}/later", env=bucket.env)
    assert function.invoke(event("predict-url"))["statusCode"] == 200
    assert not function.process.has_ended()


def test_a_wrong_variable_ends_the_function_with_its_name(binaries, start_process):
    env = environment(AWS_LAMBDA_RUNTIME_API="127.0.0.1:9", EMBER_STORE="gs://bucket")
    process = start_process("predict", [binaries.predict], env)
    assert process.wait() != 0
    assert "EMBER_STORE" in process.log()


def on_lambda(runtime_interface, **variables: str) -> dict[str, str]:
    """The environment of a function that serves the events of this runtime interface."""
    return environment(
        AWS_LAMBDA_RUNTIME_API=runtime_interface.address,
        AWS_LAMBDA_FUNCTION_NAME="predict",
        AWS_LAMBDA_FUNCTION_MEMORY_SIZE="1769",
        AWS_LAMBDA_FUNCTION_VERSION="$LATEST",
        **{"EMBER_CACHE_DIR": "none", **variables},
    )


def test_the_deadline_is_answered_before_it_comes(binaries, runtime_interface, start_process):
    with endpoints.silent() as endpoint:
        env = on_lambda(runtime_interface, EMBER_STORE="s3://packages", EMBER_S3_ENDPOINT=endpoint)
        process = start_process("predict", [binaries.predict], env)
        answer = runtime_interface.invoke(event("predict-url"), seconds=2)
    assert (answer["statusCode"], body_of(answer)["error"]["code"]) == (504, "deadline")
    assert not process.has_ended()


def test_requests_within_the_deadline_are_answered(binaries, runtime_interface, start_process):
    start_process("predict", [binaries.predict], on_lambda(runtime_interface, EMBER_STORE=str(ROOT)))
    for _ in ("cold", "warm"):
        answer = runtime_interface.invoke(event("predict-url"), seconds=20)
        assert (answer["statusCode"], body_of(answer)["predicted_label"]) == (200, "malignant")


def lambda_on_shop(binaries, runtime_interface, start_process, address: str, **variables: str):
    """The function on a store of a stand-in for S3."""
    store = {"EMBER_STORE": f"s3://{BUCKET}", "EMBER_S3_ENDPOINT": f"http://{address}", "EMBER_MODEL": "diagnosis"}
    return start_process("predict", [binaries.predict], on_lambda(runtime_interface, **{**store, **variables}))


def test_the_model_is_loaded_before_the_first_event_comes(binaries, runtime_interface, start_process, packages):
    shop = Shop(packages["diagnosis"])
    with serve(shop) as address:
        process = lambda_on_shop(binaries, runtime_interface, start_process, address)
        process.wait_for_record(message="package loaded")
        read = len(shop.requests)
        answer = runtime_interface.invoke(event("predict-url"), seconds=20)
    assert (answer["statusCode"], body_of(answer)["predicted_label"]) == (200, "malignant")
    assert len(shop.requests) == read


def test_a_load_that_fails_before_the_first_event_is_answered_and_tried_again(
    binaries, runtime_interface, start_process, packages
):
    shop = Shop(packages["diagnosis"])
    shop.always(shop.key, status(500, "InternalError"))
    with serve(shop) as address:
        process = lambda_on_shop(binaries, runtime_interface, start_process, address)
        process.wait_for_record(level="ERROR", model="diagnosis")
        answer = runtime_interface.invoke(event("predict-url"), seconds=20)
        assert (answer["statusCode"], body_of(answer)["error"]["code"]) == (503, "store_unreachable")
        assert int(answer["headers"]["retry-after"]) > 0
        shop.always(shop.key, None)
        assert runtime_interface.invoke(event("predict-url"), seconds=20)["statusCode"] == 200


def test_a_load_that_takes_too_long_keeps_nobody_beyond_the_deadline(
    binaries, runtime_interface, start_process, packages
):
    shop = Shop(packages["diagnosis"])
    shop.always(shop.key, stall(100))
    with serve(shop) as address:
        patient = {"EMBER_STORE_TIMEOUT_SECONDS": "60"}
        process = lambda_on_shop(binaries, runtime_interface, start_process, address, **patient)
        answer = runtime_interface.invoke(event("predict-url"), seconds=2)
        assert (answer["statusCode"], body_of(answer)["error"]["code"]) == (504, "deadline")
        assert not process.has_ended()
        shop.released.set()


@pytest.mark.timeout(600)
def test_cargo_lambda_watch_and_invoke_work_from_the_checkout(start_process):
    program, port = Path(sys.executable).with_name("cargo-lambda"), free_port()
    address = ["-P", port, "-A", "127.0.0.1"]
    watch = [program, "lambda", "watch", "--ignore-changes", *address]
    process = start_process("cargo lambda watch", watch, environment(EMBER_STORE="."))
    wait_until(lambda: is_open(port), "the emulator listens", process=process)
    sample = ["--data-file", "events/predict-url.json"]
    done = subprocess.run(
        [str(part) for part in (program, "lambda", "invoke", "predict", *address, *sample)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment(),
        timeout=540,
    )
    assert done.returncode == 0, done.stderr + process.log()
    assert body_of(json.loads(done.stdout))["predicted_label"] == "malignant"
