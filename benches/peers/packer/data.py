"""Data of the demo models as their training scripts split it, written as files that the command reads."""

import csv
import json
import subprocess
import sys

import numpy as np
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static
from schemes import Served
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

STORIES = {"calibration": 1000, "held-out": 5000}
STORIES_EACH = 40


def split_digits():
    data = load_digits()
    parts = train_test_split(data.images, data.target, test_size=0.25, stratify=data.target, random_state=0)
    x_train, x_test, y_train, y_test = parts
    return (as_input(x_train), y_train), (as_input(x_test), y_test)


def as_input(images):
    return (images[:, None] / 16).astype(np.float32)


def digits(model, folder):
    """Training images, a third as they are and the others distorted as in training, the held-out ones with their labels, and
    the latter as arrays."""
    sys.path.insert(0, str(model))
    from strokes import distort, faded, read, smooth

    (x_train, _), held_out = split_digits()
    rng = np.random.default_rng(0)
    seen = [
        image if at % 3 == 0 else faded(read(distort(smooth(image[0] * 16), rng)), rng) for at, image in enumerate(x_train)
    ]
    files = folder / "digits-train.jsonl", folder / "digits-test.jsonl"
    files[0].write_text("\n".join(json.dumps({"image": [image.tolist()]}) for image in map(np.asarray, seen)))
    lines = [
        json.dumps({"input": {"image": [image.tolist()]}, "label": str(label)}) for image, label in zip(*held_out, strict=True)
    ]
    files[1].write_text("\n".join(lines))
    return *files, held_out


class Images(CalibrationDataReader):
    def __init__(self, images):
        self.feeds = iter([{"image": images[at : at + 1]} for at in range(len(images))])

    def get_next(self):
        return next(self.feeds, None)


def quantized_digits(source, folder):
    """The net in onnxruntime's int8, by its dynamic and its static quantization."""
    (images, _), _ = split_digits()
    dynamic, static = folder / "digits-dynamic.onnx", folder / "digits-static.onnx"
    # Its dynamic convolutions take unsigned weights alone.
    quantize_dynamic(source, dynamic, weight_type=QuantType.QUInt8)
    yield "dynamic", dynamic
    quantize_static(source, static, Images(images[:256]), quant_format=QuantFormat.QDQ, per_channel=True)
    yield "static", static


def credit(source, model, folder):
    """Tables of the applicants to calibrate with and of those that are held out."""
    sys.path.insert(0, str(model))
    from columns import COLUMNS, LEFT_OUT

    table = [line.split() for line in source.read_text().splitlines() if line]
    kept = [at for at, name in enumerate(COLUMNS) if name not in LEFT_OUT]
    risks = [{"1": "good", "2": "bad"}[row[-1]] for row in table]
    train, test, train_risks, test_risks = train_test_split(table, risks, test_size=0.25, stratify=risks, random_state=0)
    names = list(COLUMNS)
    files = folder / "credit-train.csv", folder / "credit-test.csv"
    for file, rows, labels in zip(files, (train, test), (train_risks, test_risks), strict=True):
        with file.open("w", newline="") as lines:
            writer = csv.writer(lines)
            writer.writerow([*(names[at] for at in kept), "label"])
            writer.writerows([*(row[at] for at in kept), label] for row, label in zip(rows, labels, strict=True))
    return files


def stories(emberlite, model, folder):
    """Options that name stories which the model itself tells, some to calibrate with and others to measure on."""
    package = folder / "stories.ember"
    packed = [emberlite, "pack", model, "--name", "minilm", "--quantize", "none", "-o", package]
    subprocess.run([str(part) for part in packed], check=True, stdout=subprocess.DEVNULL)
    options = []
    with Served(emberlite, package) as served:
        for (part, first), option in zip(STORIES.items(), ("--calibration", "--perplexity"), strict=True):
            file = folder / f"stories-{part}.jsonl"
            texts = [served.tell("Once upon a time", seed) for seed in range(first, first + STORIES_EACH)]
            file.write_text("\n".join(json.dumps({"text": text}) for text in texts))
            options += [option, file]
    return options
