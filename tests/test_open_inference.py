"""The Open Inference Protocol v2, spoken by Triton's own client, unchanged."""

import json

import numpy as np
import onnx
import pytest
import requests
import tritonclient.http as triton
from onnx import TensorProto, helper
from tritonclient.utils import InferenceServerException

from support import reference

DTYPES = {
    "BOOL": (TensorProto.BOOL, [True, False, True]),
    "UINT8": (TensorProto.UINT8, [0, 1, 255]),
    "UINT16": (TensorProto.UINT16, [0, 1, 65_535]),
    "UINT32": (TensorProto.UINT32, [0, 1, 2**32 - 1]),
    "UINT64": (TensorProto.UINT64, [0, 2**53 + 1, 2**64 - 1]),
    "INT8": (TensorProto.INT8, [-128, 0, 127]),
    "INT16": (TensorProto.INT16, [-32_768, 0, 32_767]),
    "INT32": (TensorProto.INT32, [-(2**31), 0, 2**31 - 1]),
    "INT64": (TensorProto.INT64, [-(2**63), 2**53 + 1, 2**63 - 1]),
    "FP16": (TensorProto.FLOAT16, [-65_504, 0.5, 1 / 3]),
    "FP32": (TensorProto.FLOAT, [-3.4e38, 1e-40, 1 / 3]),
    "FP64": (TensorProto.DOUBLE, [-1.7e308, 5e-324, 1 / 3]),
    "BYTES": (TensorProto.STRING, ["", "plain", "Grüße, 世界 🔥"]),
}
JSON_AND_BINARY = pytest.mark.parametrize("binary", [False, True], ids=["json", "binary"])


@pytest.fixture
def client(served):
    with triton.InferenceServerClient(f"127.0.0.1:{served.port}") as client:
        yield client


@pytest.fixture(scope="module")
def echo_model(tmp_path_factory):
    """A model that gives back what it takes, twice side by side, in every type there is."""
    inputs, outputs, nodes = [], [], []
    for dtype, (element, _) in DTYPES.items():
        inputs.append(helper.make_tensor_value_info(f"in_{dtype}", element, ["N", 3]))
        outputs.append(helper.make_tensor_value_info(f"out_{dtype}", element, ["N", 6]))
        nodes.append(helper.make_node("Concat", [f"in_{dtype}"] * 2, [f"out_{dtype}"], axis=1))
    graph = helper.make_graph(nodes, "echo", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = tmp_path_factory.mktemp("echo") / "echo.onnx"
    onnx.save(model, path)
    return path


def tensor(name: str, array: np.ndarray, binary: bool = True) -> triton.InferInput:
    dtype = {"f": "FP32", "O": "BYTES"}[array.dtype.kind]
    made = triton.InferInput(name, list(array.shape), dtype)
    made.set_data_from_numpy(array.astype(np.float32) if dtype == "FP32" else array, binary_data=binary)
    return made


def diagnosis_input(rows: int, binary: bool = True) -> tuple[triton.InferInput, dict[str, np.ndarray]]:
    """The input for this many rows, and what onnxruntime answers to it."""
    feeds = reference.feeds("diagnosis", reference.random_rows("diagnosis", rows))
    return tensor("input", feeds["input"], binary), reference.run("diagnosis", feeds)


def assert_refused(call, status: int, *words: str) -> None:
    with pytest.raises(InferenceServerException) as caught:
        call()
    assert caught.value.status() == str(status), str(caught.value)
    for word in words:
        assert word in caught.value.message()


# Health and metadata


def test_server_and_models_are_live_and_ready(client):
    assert client.is_server_live()
    assert client.is_server_ready()
    for model in ("diagnosis", "credit", "digits"):
        assert client.is_model_ready(model)
        assert client.is_model_ready(model, "1")
    assert not client.is_model_ready("nosuch")
    assert not client.is_model_ready("diagnosis", "2")


def test_the_server_is_not_ready_without_its_store(predict_server, tmp_path):
    server = predict_server(EMBER_STORE=str(tmp_path / "nowhere"))
    with triton.InferenceServerClient(f"127.0.0.1:{server.port}") as client:
        assert client.is_server_live()
        assert not client.is_server_ready()


def test_metadata_tells_the_server_and_its_extensions(client):
    metadata = client.get_server_metadata()
    assert metadata["name"] == "emberlite"
    assert metadata["version"]
    assert "binary_tensor_data" in metadata["extensions"]


def test_metadata_tells_a_model_with_its_tensors(client):
    metadata = client.get_model_metadata("diagnosis")
    assert metadata["name"] == "diagnosis"
    assert metadata["versions"] == ["1"]
    assert metadata["inputs"] == [{"name": "input", "datatype": "FP32", "shape": [-1, 30]}]
    outputs = {output["name"]: output for output in metadata["outputs"]}
    assert outputs["label"] == {"name": "label", "datatype": "INT64", "shape": [-1]}
    assert outputs["probability"] == {"name": "probability", "datatype": "FP32", "shape": [-1, 1]}
    assert client.get_model_metadata("diagnosis", "1") == metadata
    credit = client.get_model_metadata("credit")
    assert {spec["datatype"] for spec in credit["inputs"]} == {"FP32", "BYTES"}


# Inference


@JSON_AND_BINARY
@pytest.mark.parametrize("rows", [1, 64])
def test_inference_gives_the_outputs_of_onnxruntime(client, binary, rows):
    given, expected = diagnosis_input(rows, binary)
    wanted = [triton.InferRequestedOutput(name, binary_data=binary) for name in expected]
    result = client.infer("diagnosis", [given], outputs=wanted)
    for name, output in expected.items():
        got = result.as_numpy(name)
        assert (got.dtype, got.shape) == (output.dtype, output.shape)
        np.testing.assert_allclose(got, output, atol=1e-6)


@JSON_AND_BINARY
def test_texts_and_numbers_go_in_side_by_side(client, binary):
    feeds = reference.feeds("credit", reference.random_rows("credit", 16))
    expected = reference.run("credit", feeds)
    result = client.infer("credit", [tensor(name, array, binary) for name, array in feeds.items()])
    labels = [label.decode() for label in result.as_numpy("output_label").tolist()]
    assert labels == expected["output_label"].tolist()
    np.testing.assert_allclose(result.as_numpy("output_probability"), expected["output_probability"], atol=1e-5)


@JSON_AND_BINARY
def test_images_go_in_as_tensors(client, binary):
    images = np.random.default_rng(5).random((4, 1, 8, 8), dtype=np.float32)
    expected = reference.run("digits", {"image": images})["probabilities"]
    result = client.infer("digits", [tensor("image", images, binary)], model_version="1")
    np.testing.assert_allclose(result.as_numpy("probabilities"), expected, atol=1e-5)


def test_only_the_requested_outputs_come_each_in_its_form(client):
    given, expected = diagnosis_input(2)
    wanted = [
        triton.InferRequestedOutput("probability", binary_data=False),
        triton.InferRequestedOutput("label", binary_data=True),
    ]
    result = client.infer("diagnosis", [given], outputs=wanted)
    by_name = {output["name"]: output for output in result.get_response()["outputs"]}
    assert by_name["probability"]["data"] == pytest.approx(expected["probability"].ravel().tolist(), abs=1e-6)
    assert by_name["label"]["parameters"] == {"binary_data_size": 16}
    assert result.as_numpy("label").tolist() == expected["label"].tolist()
    only = client.infer("diagnosis", [given], outputs=wanted[:1])
    assert [output["name"] for output in only.get_response()["outputs"]] == ["probability"]


def test_the_answer_repeats_the_request_id_and_names_the_model(client):
    given, _ = diagnosis_input(1)
    response = client.infer("diagnosis", [given], request_id="a-17").get_response()
    assert (response["id"], response["model_name"], response["model_version"]) == ("a-17", "diagnosis", "1")
    assert "id" not in client.infer("diagnosis", [given]).get_response()


def test_concurrent_inferences_each_get_their_own_answer(served):
    feeds = reference.feeds("diagnosis", reference.random_rows("diagnosis", 32))["input"]
    expected = reference.run("diagnosis", {"input": feeds})["probability"]
    with triton.InferenceServerClient(f"127.0.0.1:{served.port}", concurrency=8) as client:
        pending = [client.async_infer("diagnosis", [tensor("input", row[None])]) for row in feeds]
        for request, one in zip(pending, expected, strict=True):
            np.testing.assert_allclose(request.get_result().as_numpy("probability")[0], one, atol=1e-6)


@JSON_AND_BINARY
def test_every_dtype_passes_unharmed(serve, echo_model, binary):
    server = serve(echo_model)
    given, expected = [], {}
    for dtype, (_, values) in DTYPES.items():
        array = np.array([values], dtype=np.object_ if dtype == "BYTES" else triton.triton_to_np_dtype(dtype))
        made = triton.InferInput(f"in_{dtype}", [1, 3], dtype)
        # FP16 has no form in the JSON of Triton's client.
        made.set_data_from_numpy(array, binary_data=binary or dtype == "FP16")
        given.append(made)
        expected[f"out_{dtype}"] = np.tile(array, 2)
    wanted = [triton.InferRequestedOutput(name, binary_data=binary or name == "out_FP16") for name in expected]
    with triton.InferenceServerClient(f"127.0.0.1:{server.port}") as client:
        datatypes = {spec["name"]: spec["datatype"] for spec in client.get_model_metadata("echo")["inputs"]}
        assert datatypes == {f"in_{dtype}": dtype for dtype in DTYPES}
        result = client.infer("echo", given, outputs=wanted)
    for name, array in expected.items():
        got = result.as_numpy(name)
        texts = [value.decode() if isinstance(value, bytes) else value for value in got.ravel().tolist()]
        assert texts == array.ravel().tolist(), name


def test_json_data_may_be_flat_or_nested(served):
    row = reference.random_rows("diagnosis", 2)
    spec = {"name": "input", "shape": [2, 30], "datatype": "FP32"}
    answers = [
        served.post("/v2/models/diagnosis/infer", json={"inputs": [{**spec, "data": data}]}).json()["outputs"]
        for data in (row, [value for values in row for value in values])
    ]
    assert answers[0] == answers[1]


@JSON_AND_BINARY
def test_a_batch_of_none_is_answered_with_none(client, binary):
    result = client.infer("diagnosis", [tensor("input", np.zeros((0, 30), dtype=np.float32), binary)])
    assert result.get_response()["outputs"][1]["shape"] == [0, 1]


# Refusals, in the protocol's own body


def test_an_unknown_model_is_refused(client):
    given, _ = diagnosis_input(1)
    assert_refused(lambda: client.infer("nosuch", [given]), 404, "nosuch")
    assert_refused(lambda: client.get_model_metadata("nosuch"), 404, "nosuch")
    assert_refused(lambda: client.infer("diagnosis", [given], model_version="7"), 404, "7")


@JSON_AND_BINARY
def test_a_wrong_shape_is_refused_with_the_right_one(client, binary):
    given = tensor("input", np.zeros((1, 29), dtype=np.float32), binary)
    assert_refused(lambda: client.infer("diagnosis", [given]), 400, "input", "[N, 30]", "[1, 29]")


@JSON_AND_BINARY
def test_a_wrong_dtype_is_refused_with_the_right_one(client, binary):
    given = triton.InferInput("input", [1, 30], "FP64")
    given.set_data_from_numpy(np.zeros((1, 30)), binary_data=binary)
    assert_refused(lambda: client.infer("diagnosis", [given]), 400, "input", "FP32", "FP64")


def test_inputs_of_different_lengths_are_refused(client):
    feeds = reference.feeds("credit", reference.random_rows("credit", 3))
    feeds["amount"] = feeds["amount"][:2]
    given = [tensor(name, array) for name, array in feeds.items()]
    assert_refused(lambda: client.infer("credit", given), 400, "amount")


def test_missing_unknown_and_repeated_inputs_are_refused(client):
    given, _ = diagnosis_input(1)
    stranger = tensor("stranger", np.zeros((1, 1), dtype=np.float32))
    assert_refused(lambda: client.infer("diagnosis", [given, stranger]), 400, "stranger")
    assert_refused(lambda: client.infer("diagnosis", [given, given]), 400, "input")
    assert_refused(lambda: client.infer("diagnosis", []), 400, "input")
    wanted = [triton.InferRequestedOutput("nosuch")]
    assert_refused(lambda: client.infer("diagnosis", [given], outputs=wanted), 400, "nosuch", "probability")


def test_what_is_not_supported_is_refused_and_not_ignored(client):
    given, _ = diagnosis_input(1)
    ranked = [triton.InferRequestedOutput("probability", class_count=1)]
    assert_refused(lambda: client.infer("diagnosis", [given], outputs=ranked), 400, "classification")
    compressed = lambda: client.infer("diagnosis", [given], request_compression_algorithm="gzip")  # noqa: E731
    assert_refused(compressed, 415)


SPEC = {"name": "input", "shape": [1, 30], "datatype": "FP32"}


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"{", ""),
        (b"[]", ""),
        (b"{}", "inputs"),
        (json.dumps({"inputs": [{**SPEC, "data": [1.0]}]}).encode(), "30"),
        (json.dumps({"inputs": [{**SPEC, "data": ["x"] * 30}]}).encode(), "FP32"),
        (json.dumps({"inputs": [SPEC]}).encode(), "data"),
        (json.dumps({"inputs": [{**SPEC, "datatype": "FLOAT", "data": [1.0] * 30}]}).encode(), "FP32"),
        (json.dumps({"inputs": [{**SPEC, "shape": [-1, 30], "data": [1.0] * 30}]}).encode(), ""),
        (json.dumps({"inputs": [{**SPEC, "shape": [2**62, 30], "data": [1.0] * 30}]}).encode(), ""),
        (json.dumps({"inputs": [{**SPEC, "parameters": {"binary_data_size": 120}}]}).encode(), "120"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(served, body, word):
    response = served.post("/v2/models/diagnosis/infer", data=body, headers={"content-type": "application/json"})
    assert response.status_code == 400, response.text
    assert list(response.json()) == ["error"]
    assert word in response.json()["error"]


@pytest.mark.parametrize("length", ["x", "-1", "100000", "3"])
def test_a_wrong_header_length_is_refused(served, length):
    body = json.dumps({"inputs": [{**SPEC, "data": [1.0] * 30}]})
    headers = {"content-type": "application/octet-stream", "inference-header-content-length": length}
    response = served.post("/v2/models/diagnosis/infer", data=body, headers=headers)
    assert (response.status_code, list(response.json())) == (400, ["error"])


def test_binary_data_of_the_wrong_length_is_refused(served):
    for size, sent in ((119, 119), (120, 100), (120, 124)):
        head = json.dumps({"inputs": [{**SPEC, "parameters": {"binary_data_size": size}}]}).encode()
        headers = {"content-type": "application/octet-stream", "inference-header-content-length": str(len(head))}
        response = served.post("/v2/models/diagnosis/infer", data=head + bytes(sent), headers=headers)
        assert (response.status_code, list(response.json())) == (400, ["error"]), response.text


def test_broken_texts_are_refused(served):
    credit = reference.feeds("credit", reference.random_rows("credit", 1))
    for text in (b"\x05\x00\x00\x00A11", b"\x03\x00", b"\x02\x00\x00\x00\xff\xfe", b"\xff\xff\xff\xffA"):
        inputs = [
            {"name": name, "shape": [1, 1], "datatype": "FP32", "data": array.ravel().tolist()}
            for name, array in credit.items()
            if array.dtype == np.float32
        ]
        parameters = {"binary_data_size": len(text)}
        inputs.append({"name": "status", "shape": [1, 1], "datatype": "BYTES", "parameters": parameters})
        head = json.dumps({"inputs": inputs}).encode()
        headers = {"content-type": "application/octet-stream", "inference-header-content-length": str(len(head))}
        response = served.post("/v2/models/credit/infer", data=head + text, headers=headers)
        assert response.status_code == 400, response.text
        assert "status" in response.json()["error"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2/nowhere", 404),
        ("GET", "/v2/models/diagnosis/nowhere", 404),
        ("GET", "/v2/models/diagnosis/infer", 405),
        ("POST", "/v2", 405),
        ("POST", "/v2/models/diagnosis/ready", 405),
    ],
)
def test_paths_and_methods_are_refused_in_the_body_of_the_protocol(served, method, path, status):
    response = requests.request(method, served.url + path, timeout=60)
    assert response.status_code == status
    assert list(response.json()) == ["error"] and isinstance(response.json()["error"], str)


def test_an_oversize_body_is_refused(served):
    given = np.zeros((60_000, 30), dtype=np.float32)
    with triton.InferenceServerClient(f"127.0.0.1:{served.port}") as client:
        assert_refused(lambda: client.infer("diagnosis", [tensor("input", given)]), 413, "6291456")
