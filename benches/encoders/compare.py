"""MiniLM on the function `embed` and on onnxruntime: the same texts, in one run, taking turns.

The function is the real binary behind HTTP; onnxruntime runs in this process, which spares it that way. What is
compared: the time of one text at several lengths, the cosine to onnxruntime's f32 over all test questions of banking77,
the accuracy of the nearest class centroid, and the throughput over all of them, tokenizing included.
"""

import argparse
import csv
import http.client
import json
import os
import pathlib
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import onnxruntime
from onnxruntime.quantization import QuantType, quantize_dynamic
from tokenizers import Tokenizer

ROUNDS = 40
LENGTHS = (16, 128)
MAX_TOKENS = 256
BATCH = 32


class Function:
    """The binary `embed`, serving a store of one model."""

    def __init__(self, binary, store, threads, isa):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        settings = {"EMBER_STORE": store, "PORT": str(self.port), "EMBER_HOST": "127.0.0.1", "EMBER_LOG": "error"}
        settings |= {"EMBER_THREADS": str(threads)} | ({"EMBER_ISA": isa} if isa else {})
        start = time.perf_counter()
        self.process = subprocess.Popen([binary], env=os.environ | settings)
        while True:
            try:
                self.embed(["How do I locate my card?"])
                break
            except ConnectionError:
                if self.process.poll() is not None:
                    sys.exit(f"{binary} ended with {self.process.returncode}")
        self.first_answer_ms = (time.perf_counter() - start) * 1000

    def call(self, path, body):
        if not hasattr(self, "connection"):
            connection = http.client.HTTPConnection("127.0.0.1", self.port)
            connection.connect()
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connection = connection
        self.connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
        response = self.connection.getresponse()
        answer = json.loads(response.read())
        if response.status != 200:
            sys.exit(f"{path}: {response.status} {answer}")
        return answer

    def embed(self, texts):
        return np.array(self.call("/embed", {"inputs": texts}), dtype=np.float32)

    def infer(self, ids):
        tensor = {"shape": list(ids.shape), "datatype": "INT64", "data": ids.ravel().tolist()}
        ones = tensor | {"data": [1] * ids.size}
        zeros = tensor | {"data": [0] * ids.size}
        inputs = [{"name": "input_ids"} | tensor, {"name": "attention_mask"} | ones, {"name": "token_type_ids"} | zeros]
        return self.call("/v2/models/minilm/infer", {"inputs": inputs})

    def stop(self):
        self.process.kill()
        self.process.wait()


class Peer:
    """A session of onnxruntime, with the mean pooling that sentence-transformers adds."""

    def __init__(self, model, threads):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def infer(self, ids, mask=None):
        mask = np.ones_like(ids) if mask is None else mask
        feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        hidden = self.session.run(None, feed)[0]
        return (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdims=True)

    def embed(self, tokenizer, texts):
        """Sorted by length, in padded batches; unit length."""
        encoded = [encoding.ids[:MAX_TOKENS] for encoding in tokenizer.encode_batch(texts)]
        order = sorted(range(len(texts)), key=lambda i: len(encoded[i]))
        out = np.zeros((len(texts), 384), np.float32)
        for start in range(0, len(order), BATCH):
            batch = order[start : start + BATCH]
            longest = max(len(encoded[i]) for i in batch)
            ids = np.zeros((len(batch), longest), np.int64)
            mask = np.zeros_like(ids)
            for row, i in enumerate(batch):
                ids[row, : len(encoded[i])] = encoded[i]
                mask[row, : len(encoded[i])] = 1
            out[batch] = self.infer(ids, mask)
        return out / np.linalg.norm(out, axis=1, keepdims=True)


def quartiles(values):
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{middle:.3f} ({low:.3f}-{high:.3f})"


def timed(work):
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1000


def take_turns(contenders, rounds):
    times = {name: [] for name in contenders}
    for turn in range(rounds + 3):
        for name, work in contenders.items():
            elapsed = timed(work)
            if turn >= 3:
                times[name].append(elapsed)
    return times


def read(file):
    with open(file, newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    return [row["text"] for row in rows], [row["category"] for row in rows]


def centroid_accuracy(embed, folder):
    texts, labels = read(folder / "train.csv")
    seen, chosen = {}, []
    for index, label in enumerate(labels):
        if seen.setdefault(label, 0) < 30:
            seen[label] += 1
            chosen.append(index)
    vectors = embed([texts[i] for i in chosen])
    names = sorted(set(labels))
    centroids = np.stack([np.mean([v for v, i in zip(vectors, chosen) if labels[i] == name], axis=0) for name in names])
    centroids /= np.linalg.norm(centroids, axis=1, keepdims=True)
    texts, labels = read(folder / "test.csv")
    guesses = (embed(texts) @ centroids.T).argmax(1)
    return float(np.mean([names[guess] == label for guess, label in zip(guesses, labels)]))


def in_chunks(function, texts, size=256):
    return np.concatenate([function.embed(texts[i : i + size]) for i in range(0, len(texts), size)])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--embed", required=True, help="the binary of the function embed")
    parser.add_argument("--store", required=True, help="a store whose only model is MiniLM, called minilm")
    parser.add_argument("--onnx", required=True, help="MiniLM as torch's legacy exporter writes it, last_hidden_state")
    parser.add_argument("--tokenizer", required=True, help="its tokenizer.json")
    parser.add_argument("--banking77", type=pathlib.Path, help="a folder with train.csv and test.csv")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--isa", help="EMBER_ISA of the function")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    arguments = parser.parse_args()

    tokenizer = Tokenizer.from_file(arguments.tokenizer)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    with tempfile.TemporaryDirectory() as folder:
        quantized = f"{folder}/int8.onnx"
        quantize_dynamic(arguments.onnx, quantized, per_channel=True, weight_type=QuantType.QInt8)
        exact = Peer(arguments.onnx, arguments.threads)
        peer = Peer(quantized, arguments.threads)
    function = Function(arguments.embed, arguments.store, arguments.threads, arguments.isa)
    try:
        print(f"exec to first embedding: {function.first_answer_ms:.1f} ms\n")
        print("| tokens | Emberlite, HTTP included, ms | onnxruntime int8, ms | ratio | onnxruntime f32, ms | ratio |")
        print("|--:|--:|--:|--:|--:|--:|")
        random = np.random.default_rng(1)
        for length in LENGTHS:
            ids = random.integers(1000, 20000, (1, length))
            ids[0, 0], ids[0, -1] = 101, 102
            times = take_turns(
                {
                    "ours": lambda: function.infer(ids),
                    "int8": lambda: peer.infer(ids),
                    "f32": lambda: exact.infer(ids),
                },
                arguments.rounds,
            )
            ratio = {name: quartiles([a / b for a, b in zip(times["ours"], times[name])]) for name in ("int8", "f32")}
            columns = [quartiles(times["ours"]), quartiles(times["int8"]), ratio["int8"], quartiles(times["f32"]), ratio["f32"]]
            print(f"| {length} | " + " | ".join(columns) + " |", flush=True)
        if arguments.banking77 is None:
            print("\nbanking77 is not there: no accuracy and no throughput")
            return
        texts, _ = read(arguments.banking77 / "test.csv")
        reference = exact.embed(tokenizer, texts)
        for name, embed in (("Emberlite", lambda t: in_chunks(function, t)), ("onnxruntime int8", lambda t: peer.embed(tokenizer, t))):
            cosines = (embed(texts) * reference).sum(1)
            accuracy = centroid_accuracy(embed, arguments.banking77)
            print(f"\n{name}: mean cosine to f32 {cosines.mean():.4f}, least {cosines.min():.4f}; nearest centroid {accuracy:.4f}", flush=True)
        print(f"\nonnxruntime f32: nearest centroid {centroid_accuracy(lambda t: exact.embed(tokenizer, t), arguments.banking77):.4f}")
        times = take_turns({"ours": lambda: in_chunks(function, texts), "int8": lambda: peer.embed(tokenizer, texts)}, 2)
        rate = {name: len(texts) / statistics.median(times[name]) * 1000 for name in times}
        print(f"\nthroughput: {rate['ours']:.0f} texts/s against {rate['int8']:.0f}: {rate['ours'] / rate['int8']:.2f} times")
    finally:
        function.stop()


if __name__ == "__main__":
    main()
