"""What the training scripts share: the recipe's writer and the check of an ONNX file against its Python model."""

import json
from pathlib import Path

import numpy as np
import onnxruntime


def write_recipe(path: Path, recipe: dict) -> None:
    """Writes `recipe` as TOML. Values are strings, numbers, lists of these, tables, or lists of tables."""
    path.write_text("\n".join(_toml_lines(recipe, ())).lstrip() + "\n")


def _toml_lines(table: dict, parents: tuple[str, ...]) -> list[str]:
    # A plain key written after a sub-table's header would belong to that sub-table.
    lines = [f"{_toml_key(k)} = {json.dumps(v)}" for k, v in table.items() if not _is_table(v)]
    for key, value in table.items():
        if not _is_table(value):
            continue
        name = (*parents, _toml_key(key))
        header = "[[{}]]" if isinstance(value, list) else "[{}]"
        for one in value if isinstance(value, list) else [value]:
            # A table that only holds tables needs no header of its own.
            head = ["", header.format(".".join(name))] if any(not _is_table(v) for v in one.values()) else []
            lines += [*head, *_toml_lines(one, name)]
    return lines


def _is_table(value) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and bool(value) and isinstance(value[0], dict))


def _toml_key(key: str) -> str:
    return key if key.isascii() and key.replace("_", "").replace("-", "").isalnum() else json.dumps(key)


def check_onnx(path: Path, feeds: dict[str, np.ndarray], expected: list[np.ndarray], tolerance: float = 1e-5) -> float:
    """Runs the file on all rows, on 64 and on each alone; every output must be what `expected` says, row for row.

    Numbers may differ by `tolerance`, everything else not at all. Returns the largest difference seen.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    rows = len(expected[0])
    slices = [slice(0, rows), slice(0, 64), *(slice(i, i + 1) for i in range(rows))]
    worst = 0.0
    for rows_in in slices:
        outputs = session.run(None, {name: values[rows_in] for name, values in feeds.items()})
        for got, want in zip(map(_plain, outputs), expected, strict=True):
            want = want[rows_in]
            assert got.shape == want.shape, f"{path.name}: shape {got.shape}, expected {want.shape}"
            if got.dtype.kind != "f":
                assert (got == want).all(), f"{path.name}: labels differ"
                continue
            worst = max(worst, float(np.abs(got - want).max()))
            assert worst <= tolerance, f"{path.name}: differs by {worst}"
    return worst


def _plain(output) -> np.ndarray:
    """An output as an array: the maps of a ZipMap become rows, in the order of their keys."""
    if isinstance(output, list) and isinstance(output[0], dict):
        return np.array([[row[key] for key in sorted(row)] for row in output], dtype=np.float32)
    return np.asarray(output)
