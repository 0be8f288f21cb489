"""Models of tables and images made smaller: channels and trees taken out, layers quantized, calibrated with data."""

import csv
import json

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from support.processes import ROOT
from test_cli import assert_refused

MODELS = ROOT / "models"
FEATURES, HIDDEN, CLASSES = 12, 64, 5


def pack(emberlite, source, *arguments) -> dict:
    return emberlite.json("pack", source, "-o", "small.ember", *arguments)


def answers(serve, package, inputs) -> list[dict]:
    """The predictions of a package that is served."""
    server = serve(package)
    found = []
    for value in inputs:
        response = server.post("/predict", json={"input": value})
        assert response.status_code == 200, response.text
        body = response.json()
        found += body.get("predictions", [body])
    return found


def examples(manifest: dict) -> list:
    return [example["input"] for example in manifest["examples"]]


def largest_shift(before: list[dict], after: list[dict]) -> float:
    """By how much a probability differs at most."""
    pairs = [(a["probabilities"], b["probabilities"]) for a, b in zip(before, after, strict=True)]
    return max(abs(a[label] - b[label]) for a, b in pairs for label in a)


def mlp(path, seed: int = 0) -> None:
    """A classifier of two dense layers over standardised columns, as PyTorch exports them."""
    rng = np.random.default_rng(seed)
    weights = {
        "first.weight": rng.normal(0, 1 / np.sqrt(FEATURES), (HIDDEN, FEATURES)),
        "first.bias": rng.normal(0, 0.1, HIDDEN),
        "second.weight": rng.normal(0, 1 / np.sqrt(HIDDEN), (HIDDEN, HIDDEN)),
        "second.bias": rng.normal(0, 0.1, HIDDEN),
        "third.weight": rng.normal(0, 2 / np.sqrt(HIDDEN), (CLASSES, HIDDEN)),
        "third.bias": rng.normal(0, 0.1, CLASSES),
    }
    nodes = []
    last = "input"
    for name in ("first", "second", "third"):
        nodes.append(helper.make_node("Gemm", [last, f"{name}.weight", f"{name}.bias"], [name], transB=1))
        nodes.append(helper.make_node("Relu", [name], [f"{name}_relu"]))
        last = f"{name}_relu"
    nodes[-1] = helper.make_node("Softmax", ["third"], ["probabilities"], axis=-1)
    graph = helper.make_graph(
        nodes,
        "mlp",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", FEATURES])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", CLASSES])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


@pytest.fixture
def network(tmp_path):
    path = tmp_path / "network.onnx"
    mlp(path)
    return path


@pytest.fixture
def rows() -> np.ndarray:
    return np.random.default_rng(7).normal(size=(300, FEATURES)).astype(np.float32)


@pytest.fixture
def table(tmp_path, rows):
    """The rows as a CSV file."""
    path = tmp_path / "rows.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([f"column {index}" for index in range(FEATURES)])
        writer.writerows(rows.tolist())
    return path


def reference(path, rows: np.ndarray) -> np.ndarray:
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"input": rows})[0]


def served(serve, package, rows: np.ndarray) -> np.ndarray:
    predictions = answers(serve, package, [rows.tolist()])
    return np.array([list(prediction["probabilities"].values()) for prediction in predictions])


# Quantized


@pytest.mark.parametrize(("scheme", "bound"), [("f16", 2e-3), ("int8", 0.05), ("q4", 0.3)])
def test_dense_layers_are_quantized_and_answer_nearly_as_onnxruntime_does(emberlite, serve, network, rows, scheme, bound):
    plain = pack(emberlite, network)
    assert "quantization" not in plain["manifest"]
    labels = ",".join(f"class {index}" for index in range(CLASSES))
    report = pack(emberlite, network, "--quantize", scheme, "--labels", labels)
    quantization = report["manifest"]["quantization"]
    assert quantization["scheme"] == scheme
    assert {layer["name"] for layer in quantization["layers"]} == {"first", "second", "third"}
    assert report["package_bytes"] < plain["package_bytes"]
    got = served(serve, emberlite.folder / "small.ember", rows[:64])
    difference = np.abs(got - reference(network, rows[:64]))
    assert difference.max() < bound
    assert report["manifest"]["quantization"]["agreement"]["max_abs_difference"] < bound


def test_int8_tells_what_each_layer_costs_on_the_data_that_is_given(emberlite, network, table):
    report = pack(emberlite, network, "--quantize", "int8", "--calibration", table)
    quantization = report["manifest"]["quantization"]
    errors = [layer["error"] for layer in quantization["layers"]]
    assert errors == sorted(errors, reverse=True) and 0 < errors[0] < 0.01
    assert quantization["agreement"]["texts"] == 300
    assert quantization["agreement"]["labels"] > 0.97


def test_a_layer_is_kept_where_that_is_said(emberlite, network):
    quantization = pack(emberlite, network, "--quantize", "int8", "--keep", "third")["manifest"]["quantization"]
    assert {layer["name"]: layer["format"] for layer in quantization["layers"]} == {
        "first": "int8",
        "second": "int8",
        "third": "f16",
    }
    assert_refused(
        emberlite("pack", network, "--keep", "third"),
        "there is nothing to keep: a model of tensors is quantized with --quantize",
    )


def test_what_has_no_dense_layer_is_not_quantized(emberlite):
    assert_refused(
        emberlite("pack", MODELS / "credit", "--quantize", "int8"),
        "the model has no linear layer that is known as one: nothing can be quantized",
    )


# Pruned


def test_neurons_of_a_network_of_dense_layers_go(emberlite, network, table):
    report = pack(emberlite, network, "--prune", "neurons=25%", "--calibration", table)
    (step,) = report["manifest"]["pruning"]
    assert step["units"] == 2 * HIDDEN and 0 < step["removed"] <= HIDDEN / 2
    assert step["parameters_after"] < 0.9 * step["parameters_before"]
    assert step["loss"] < 0.05


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """Pictures to calibrate with: the examples moved by a pixel, and blends of two of them."""
    rng = np.random.default_rng(1)
    file = tmp_path_factory.mktemp("digits") / "digits.jsonl"
    strokes = np.zeros((40, 8, 8))
    for image in strokes:
        for _ in range(3):
            (y, x), (height, width) = rng.integers(0, 6, 2), rng.integers(1, 5, 2)
            image[y : y + height, x : x + width] = rng.uniform(0.4, 1)
    with file.open("w") as lines:
        for image in strokes:
            lines.write(json.dumps({"input": [[image.tolist()]]}) + "\n")
    return file


def test_a_quarter_of_the_channels_goes_and_the_digits_are_read_as_before(emberlite, serve, digits):
    report = pack(emberlite, MODELS / "digits", "--prune", "channels=25%", "--calibration", digits)
    (step,) = report["manifest"]["pruning"]
    assert (step["units"], step["removed"]) == (80, 20)
    assert step["parameters_after"] < 0.75 * step["parameters_before"]
    inputs = examples(report["manifest"])
    after = answers(serve, emberlite.folder / "small.ember", inputs)
    whole = emberlite.folder / "whole.ember"
    emberlite.json("pack", MODELS / "digits", "-o", whole)
    before = answers(serve, whole, inputs)
    assert [answer["predicted_label"] for answer in after] == [answer["predicted_label"] for answer in before]


def test_half_of_the_trees_go_and_the_examples_are_judged_alike(emberlite, serve):
    report = pack(emberlite, MODELS / "credit", "--prune", "trees=50%")
    (step,) = report["manifest"]["pruning"]
    assert (step["units"], step["removed"]) == (200, 100)
    assert step["parameters_after"] < 0.6 * step["parameters_before"]
    inputs = examples(report["manifest"])
    after = answers(serve, emberlite.folder / "small.ember", inputs)
    whole = emberlite.folder / "whole.ember"
    emberlite.json("pack", MODELS / "credit", "-o", whole)
    before = answers(serve, whole, inputs)
    assert largest_shift(before, after) < 0.1


@pytest.mark.parametrize(("model", "step"), [("digits", "channels=50%"), ("credit", "trees=25%")])
def test_the_same_recipe_gives_the_same_package(emberlite, model, step):
    first, second = (pack(emberlite, MODELS / model, "--prune", step)["digest"] for _ in range(2))
    assert first == second


def test_data_that_does_not_fit_the_model_is_refused_with_its_line(emberlite, network, tmp_path):
    file = tmp_path / "wrong.jsonl"
    file.write_text(json.dumps({"input": [0.0] * FEATURES}) + "\n" + json.dumps({"input": [0.0, 1.0]}) + "\n")
    refused = emberlite("pack", network, "--quantize", "int8", "--calibration", file)
    assert_refused(refused, "line 2 of wrong.jsonl does not fit the model")


def test_a_model_without_channels_says_so(emberlite, network):
    assert_refused(emberlite("pack", network, "--prune", "channels=50%"), "the model has no channels that can be taken out")
