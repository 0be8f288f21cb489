"""Weights with many zeros: the package leaves the zeros out, and answers as before."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from support.blake3 import digest
from support.packages import flipped, sections
from support.sealed import metadata
from test_cli import assert_refused
from test_shrink_tensors import reference, served

FEATURES, HIDDEN, CLASSES = 96, 192, 5
#: Of the weights of the hidden layers; the last layer has none.
ZEROS = 0.5


def network(path, zeros: float) -> None:
    """A classifier of three dense layers; this share of the weights of two of them is zero, here and there."""
    rng = np.random.default_rng(3)
    nodes, weights, last, width = [], {}, "input", FEATURES
    for name, outputs in (("first", HIDDEN), ("second", HIDDEN), ("third", CLASSES)):
        weight = rng.normal(0, 1 / np.sqrt(width), (outputs, width))
        if name != "third":
            weight[rng.permuted(np.arange(weight.size).reshape(weight.shape) < zeros * weight.size)] = 0
        weights[name] = weight.astype(np.float32)
        nodes.append(helper.make_node("Gemm", [last, name], [f"{name}_sum"], transB=1))
        nodes.append(helper.make_node("Relu", [f"{name}_sum"], [f"{name}_relu"]))
        last, width = f"{name}_relu", outputs
    nodes[-1] = helper.make_node("Softmax", ["third_sum"], ["probabilities"], axis=-1)
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", FEATURES])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", CLASSES])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


@pytest.fixture
def pruned(tmp_path):
    path = tmp_path / "pruned.onnx"
    network(path, ZEROS)
    return path


@pytest.fixture
def rows() -> np.ndarray:
    return np.random.default_rng(7).normal(size=(20, FEATURES)).astype(np.float32)


def text(package: bytes) -> bytes:
    """The text of the manifest."""
    return metadata(package)["manifest"].encode()


def manifest(package: bytes) -> dict:
    """The manifest as it stands in the file."""
    return json.loads(text(package))


def whole(package: bytes, name: str) -> np.ndarray:
    """The elements of a section without its zeros, as the format says and nothing of Emberlite's."""
    section = manifest(package)["sections"][name]["sparse"]
    dtype = {"F32": "<f4", "F16": "<f2", "I8": "i1"}[section["dtype"]]
    start, end = sections(package)[name]
    count = int(np.prod(section["shape"]))
    mask_bytes = -(-count // 64) * 8
    mask = np.unpackbits(np.frombuffer(package[start : start + mask_bytes], np.uint8), bitorder="little")
    assert not mask[count:].any()
    elements = np.zeros(count, dtype)
    elements[mask[:count] == 1] = np.frombuffer(package[start + mask_bytes : end], dtype)
    return elements.reshape(section["shape"])


@pytest.mark.parametrize(("scheme", "size", "bound"), [("none", 0.55, 1e-4), ("f16", 0.6, 2e-3), ("int8", 0.75, 0.05)])
def test_zeros_take_no_room_and_change_no_answer(emberlite, serve, tmp_path, pruned, rows, scheme, size, bound):
    network(tmp_path / "dense.onnx", 0)
    dense = emberlite.json("pack", "dense.onnx", "-o", "dense.ember", "--quantize", scheme)
    packed = emberlite.json("pack", pruned, "-o", "pruned.ember", "--quantize", scheme)
    assert dense["manifest"]["format"] == 1 and packed["manifest"]["format"] == 2
    assert packed["package_bytes"] < size * dense["package_bytes"]
    assert np.abs(served(serve, tmp_path / "pruned.ember", rows) - reference(pruned, rows)).max() < bound


def test_a_section_without_zeros_reads_as_the_format_says(emberlite, tmp_path, pruned):
    emberlite.json("pack", pruned, "-o", "pruned.ember", "--quantize", "none")
    package = (tmp_path / "pruned.ember").read_bytes()
    found = {name for name, section in manifest(package)["sections"].items() if "sparse" in section}
    assert len(found) == 2
    weights = {init.name: numpy_helper.to_array(init) for init in onnx.load(pruned).graph.initializer}
    expected = sorted(np.sort(weights[name], None).tolist() for name in ("first", "second"))
    assert sorted(np.sort(whole(package, name), None).tolist() for name in found) == expected


def test_inspect_tells_which_sections_leave_zeros_out_and_the_size_they_then_have(emberlite, tmp_path, pruned):
    emberlite.json("pack", pruned, "-o", "pruned.ember", "--quantize", "none")
    report = emberlite.json("inspect", "pruned.ember")
    sparse = [section for section in report["sections"] if "zeros" in section]
    assert [section["zeros"] for section in sparse] == pytest.approx([ZEROS, ZEROS], abs=0.001)
    assert sorted(section["bytes"] for section in sparse) == [
        size // 8 + 4 * size // 2 for size in (FEATURES * HIDDEN, HIDDEN * HIDDEN)
    ]
    assert all(section["dtype"] == "F32" and np.prod(section["shape"]) % HIDDEN == 0 for section in sparse)
    stored = sum(section["bytes"] for section in sparse)
    assert stored < report["parts"]["linears"] < report["package_bytes"]
    assert sum(report["parts"].values()) == report["package_bytes"] == (tmp_path / "pruned.ember").stat().st_size
    assert emberlite("inspect", "pruned.ember").stdout.count("50.0 % zeros") == 2


def test_a_package_without_zeros_can_be_signed_and_encrypted(emberlite, serve, tmp_path, pruned, rows):
    emberlite.json("keygen", "release")
    emberlite.json("keygen", "--encryption")
    locked = ["--quantize", "none", "--sign", "release.key", "--encrypt", "package.key"]
    emberlite.json("pack", pruned, "-o", "locked.ember", *locked)
    report = emberlite.json("inspect", "locked.ember", "--key", "package.key", "--trust", "release.pub")
    assert report["trust"]["verdict"] == "trusted" and report["manifest"]["format"] == 2
    key = str(tmp_path / "package.key")
    found = served(lambda package: serve(package, EMBER_PACKAGE_KEY=key), tmp_path / "locked.ember", rows)
    assert np.abs(found - reference(pruned, rows)).max() < 1e-4


def test_a_mask_that_its_packer_got_wrong_is_told_with_its_section(emberlite, tmp_path, pruned):
    emberlite.json("pack", pruned, "-o", "pruned.ember", "--quantize", "none")
    package = (tmp_path / "pruned.ember").read_bytes()
    name = next(name for name, section in manifest(package)["sections"].items() if "sparse" in section)
    start, end = sections(package)[name]
    wrong = flipped(package, start)
    wrong = wrong.replace(digest(package[start:end]).encode(), digest(wrong[start:end]).encode())
    wrong = wrong.replace(digest(text(package)).encode(), digest(text(wrong)).encode())
    (tmp_path / "wrong.ember").write_bytes(wrong)
    assert_refused(emberlite("inspect", "wrong.ember"), "wrong.ember", name, "the mask marks")
