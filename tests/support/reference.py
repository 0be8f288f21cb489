"""What onnxruntime answers for the demo models' ONNX files, and rows to ask it with."""

import functools
import tomllib

import numpy as np
import onnxruntime

from support.processes import ROOT


@functools.cache
def recipe(model: str) -> dict:
    return tomllib.loads((ROOT / "models" / model / "pack.toml").read_text())


def example(model: str, index: int = 0):
    """The input of an example of the recipe."""
    return recipe(model)["examples"][index]["input"]


def random_rows(model: str, count: int, seed: int = 7) -> list[list]:
    """Rows whose values lie where the recipe says that values lie."""
    generator = np.random.default_rng(seed)

    def value(feature: dict):
        if "choices" in feature:
            return str(generator.choice(sorted(feature["choices"])))
        low, high = feature["minimum"], feature["maximum"]
        whole = all(float(bound).is_integer() for bound in (low, high)) and model == "credit"
        return float(generator.integers(low, high + 1)) if whole else round(float(generator.uniform(low, high)), 5)

    return [[value(feature) for feature in recipe(model)["features"]] for _ in range(count)]


def as_object(model: str, row: list) -> dict:
    names = (feature["name"] for feature in recipe(model)["features"])
    return dict(zip(names, row, strict=True))


@functools.cache
def _session(model: str) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(
        ROOT / "models" / model / f"{model}.onnx", options, providers=["CPUExecutionProvider"]
    )


def feeds(model: str, rows: list[list]) -> dict[str, np.ndarray]:
    """The tensors that rows of a table become."""
    if model == "diagnosis":
        return {"input": np.array(rows, dtype=np.float32)}
    names = [feature["name"] for feature in recipe(model)["features"]]
    columns = dict(zip(names, zip(*rows, strict=True), strict=True))
    dtypes = {
        spec.name: object if spec.type == "tensor(string)" else np.float32 for spec in _session(model).get_inputs()
    }
    return {name: np.array(columns[name], dtype=dtype).reshape(-1, 1) for name, dtype in dtypes.items()}


def run(model: str, tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Every output of the file; maps of probabilities become rows in the order of their sorted labels."""
    session = _session(model)
    outputs = {}
    for spec, output in zip(session.get_outputs(), session.run(None, tensors), strict=True):
        if isinstance(output, list):
            output = np.array([[row[label] for label in sorted(row)] for row in output], dtype=np.float32)
        outputs[spec.name] = output
    return outputs


def probabilities(model: str, tensors: dict[str, np.ndarray]) -> list[dict[str, float]]:
    """The probability of every label, a dictionary a row."""
    outputs = run(model, tensors)
    if model == "diagnosis":
        return [{"malignant": 1 - float(benign), "benign": float(benign)} for [benign] in outputs["probability"]]
    if model == "credit":
        return [{"bad": float(bad), "good": float(good)} for bad, good in outputs["output_probability"]]
    return [{str(digit): float(value) for digit, value in enumerate(row)} for row in outputs["probabilities"]]
