"""What onnxruntime's own quantization makes of a sentence encoder: size, nearness to the source, accuracy, time.

`python onnxruntime_quantize.py --onnx minilm.onnx --tokenizer tokenizer.json --banking77 FOLDER` prints JSON in its last line: for each
scheme the file's `bytes`, the mean and the least `cosine` of the test texts' vectors to the source's, `accuracy` (the part
of the test texts whose nearest class centroid is their own class) and `ms`, the median time of the session for one text on
one thread.

Schemes: `quantize_dynamic` in int8, weights per channel; `quantize_static` in QDQ form with each way to find ranges, run on
texts of the training part. Matrices of weights and embeddings are quantized, products of activations are not: that is what
loses least.
"""

import argparse
import json
import pathlib
import statistics
import sys
import tempfile

import numpy as np
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "encoders"))

from accuracy import Banking77, cosines
from peer import Peer

METHODS = {
    "static min-max": CalibrationMethod.MinMax,
    "static percentile": CalibrationMethod.Percentile,
    "static entropy": CalibrationMethod.Entropy,
}
KINDS = ["MatMul", "Gather"]


class Texts(CalibrationDataReader):
    """Texts to calibrate with, one at a time."""

    def __init__(self, rows):
        feeds = [
            {"input_ids": row, "attention_mask": np.ones_like(row), "token_type_ids": np.zeros_like(row)}
            for row in rows
        ]
        self.feeds = iter(feeds)

    def get_next(self):
        return next(self.feeds, None)


def rows(tokenizer, texts, count):
    """Token ids of texts that have as many tokens as most: onnxruntime's histograms are of tensors of one shape."""
    encoded = [encoding.ids for encoding in tokenizer.encode_batch(texts)]
    length = statistics.mode(len(ids) for ids in encoded)
    chosen = [np.array([ids]) for ids in encoded if len(ids) == length]
    return chosen[:: max(1, len(chosen) // count)][:count]


def quantized(source, folder, calibration):
    """Each scheme with the file that it makes."""
    ready = folder / "ready.onnx"
    quant_pre_process(str(source), str(ready), skip_symbolic_shape=True)
    dynamic = folder / "dynamic.onnx"
    quantize_dynamic(ready, dynamic, weight_type=QuantType.QInt8, per_channel=True, op_types_to_quantize=KINDS)
    yield "dynamic", dynamic
    for name, method in METHODS.items():
        file = folder / f"{name.replace(' ', '-')}.onnx"
        quantize_static(
            ready,
            file,
            Texts(calibration),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            op_types_to_quantize=KINDS,
            calibrate_method=method,
            extra_options={"MatMulConstBOnly": True},
        )
        yield name, file


def measured(file, tokenizer, data, reference, count):
    peer = Peer(file, tokenizer, 1)
    vectors = peer.embed(data.texts[:count])
    near = cosines(vectors, reference if reference is not None else vectors)
    ids = [np.array([peer.tokenizer.encode(text).ids]) for text in data.texts[: min(count, 200)]]
    times = [peer.infer_ms(row) for row in ids[:20] + ids][20:]
    account = {
        "bytes": file.stat().st_size,
        "cosine": {"mean": float(near.mean()), "least": float(near.min())},
        "accuracy": data.nearest_centroid(peer.embed, vectors),
        "ms": statistics.median(times),
    }
    return account, vectors


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--onnx", type=pathlib.Path, required=True)
    parser.add_argument("--tokenizer", type=pathlib.Path, required=True)
    parser.add_argument("--banking77", type=pathlib.Path, required=True, help="folder with train.csv and test.csv")
    parser.add_argument("--calibrate", type=int, default=128, help="how many training texts give the ranges")
    parser.add_argument("--texts", type=int, default=None, help="how many test texts are compared [default: all]")
    arguments = parser.parse_args()
    data = Banking77(arguments.banking77)
    count = arguments.texts or len(data.texts)
    data.texts, data.labels = data.texts[:count], data.labels[:count]
    source, reference = measured(arguments.onnx, arguments.tokenizer, data, None, count)
    report = {"source": source}
    tokenizer = Peer(arguments.onnx, arguments.tokenizer, 1).tokenizer
    calibration = rows(tokenizer, data.train, arguments.calibrate)
    with tempfile.TemporaryDirectory() as folder:
        for name, file in quantized(arguments.onnx, pathlib.Path(folder), calibration):
            report[name], _ = measured(file, arguments.tokenizer, data, reference, count)
    # The calibration talks to standard output too: the report is its last line.
    print(json.dumps(report))


if __name__ == "__main__":
    main()
