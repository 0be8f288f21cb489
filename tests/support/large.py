"""A model as large as one wants: a tower of dense layers of random weights, and what it answers."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from support.object_store import ObjectStore
from support.packages import Command, Package
from support.processes import Server

NAME = "tower"
INPUTS, WIDTH, OUTPUTS = 8, 2048, 4
# A layer between the first and the last one has 16 MiB of weights.
LAYER_BYTES = WIDTH * WIDTH * 4
# How large the package of the tests is.
MEBIBYTES = 1024 if os.environ.get("EMBER_TEST_LARGE") == "1" else 64
# No request is made twice only because the machine is busy.
PATIENT = {"EMBER_STORE_TIMEOUT_SECONDS": "60"}
ROW = [round(0.25 * at - 1, 2) for at in range(INPUTS)]


@dataclass(frozen=True)
class Tower:
    """The package, and what it answers to `ROW`."""

    package: Package
    expected: list[float]

    @property
    def key(self) -> str:
        return f"models/{NAME}/{self.package.digest}.ember"


def pack(command: Command, folder: Path, mebibytes: int) -> Tower:
    """Makes a package of so many MiB, a multiple of 16, and a little more."""
    source, package = folder / f"{NAME}.onnx", folder / f"{NAME}.ember"
    expected = write_onnx(source, mebibytes * 2**20 // LAYER_BYTES)
    report = command.json("pack", source, "--name", NAME, "--quantize", "none", "-o", package)
    source.unlink()
    return Tower(Package(package, report["digest"], report["manifest"]), expected)


def write_onnx(path: Path, layers: int) -> list[float]:
    """Writes the model; returns what it makes of `ROW`."""
    random = np.random.default_rng(7)
    sizes = [INPUTS, *[WIDTH] * (layers + 1), OUTPUTS]
    value, values = "x", np.array([ROW], np.float32)
    nodes, weights = [], []
    for number, (inputs, outputs) in enumerate(zip(sizes, sizes[1:])):
        weight = random.standard_normal((inputs, outputs), np.float32) * np.float32((2 / inputs) ** 0.5)
        weights.append(numpy_helper.from_array(weight, f"w{number}"))
        nodes.append(helper.make_node("MatMul", [value, f"w{number}"], [f"sum{number}"]))
        value, values = f"sum{number}", values @ weight
        if number <= layers:
            nodes.append(helper.make_node("Relu", [value], [f"layer{number}"]))
            value, values = f"layer{number}", np.maximum(values, 0)
    tensor = helper.make_tensor_value_info
    interface = [tensor("x", TensorProto.FLOAT, ["N", INPUTS])], [tensor(value, TensorProto.FLOAT, ["N", OUTPUTS])]
    graph = helper.make_graph(nodes, NAME, *interface, weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return values[0].tolist()


def store(tower: Tower) -> ObjectStore:
    """A store with the package in force."""
    store = ObjectStore()
    store.put(tower.key, tower.package.bytes())
    store.put(f"models/{NAME}/current.json", json.dumps({"digest": tower.package.digest}).encode())
    return store


def assert_right(server: Server, tower: Tower) -> None:
    """The function answers `ROW` as it has to."""
    response = server.predict(NAME, ROW)
    assert response.status_code == 200, response.text
    [answer] = response.json()["outputs"].values()
    assert answer == pytest.approx(tower.expected, rel=1e-3, abs=1e-3)
