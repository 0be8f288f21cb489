"""Tensors as the fixtures hold them, and the inputs that the references are made on."""

import json

import numpy as np
import torch

# Batch and lengths of its rows; shorter rows are padded to the longest.
SHAPES = [[5], [9, 4], [12, 1, 7], [17, 17], [2]]


def tensor(array) -> dict:
    """{"dtype", "shape", "data"}; floats with 7 digits."""
    array = np.asarray(array)
    if array.dtype.kind == "f":
        data = [float(f"{value:.7g}") for value in array.ravel()]
        return {"dtype": "float32", "shape": list(array.shape), "data": data}
    return {"dtype": str(array.dtype), "shape": list(array.shape), "data": array.ravel().tolist()}


def inputs(lengths: list[int], padding: int, end: int, vocabulary: int, token_types: bool, seed: int) -> dict:
    """Random ids above 4, each row ended by `end` and padded with `padding`; types change within a row."""
    random = torch.Generator().manual_seed(seed)
    longest = max(lengths)
    ids = torch.randint(5, vocabulary, (len(lengths), longest), generator=random)
    mask = torch.zeros_like(ids)
    types = torch.zeros_like(ids)
    for row, length in enumerate(lengths):
        ids[row, length - 1] = end
        ids[row, length:] = padding
        mask[row, :length] = 1
        types[row, length // 2 : length] = 1
    made = {"input_ids": ids, "attention_mask": mask}
    return made | ({"token_type_ids": types} if token_types else {})


def write(path, made_by: str, rest: dict) -> None:
    """One line for each case, so that a change shows where it is."""
    cases = rest.pop("cases")
    head = json.dumps({"made_by": made_by} | rest, ensure_ascii=False)
    lines = ",\n".join(json.dumps(case, separators=(",", ":"), ensure_ascii=False) for case in cases)
    path.write_text(f'{head[:-1]}, "cases": [\n{lines}\n]}}\n')
