"""MiniLM on the function `embed` and on onnxruntime: the same texts, in one run, taking turns.

The function is the real binary behind HTTP; onnxruntime runs in this process. A run of the model is what the function
says that it took (`Server-Timing`) against the time of `session.run`; throughput and starts are seen from outside, HTTP
and tokenizing included.
"""

import argparse
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
from accuracy import Banking77, cosines
from function import Function
from onnxruntime.quantization import QuantType, quantize_dynamic
from peer import Peer

LENGTHS = (16, 128)
WARM_UP = 5
# onnxruntime's threads spin for a while after a run: the next contender shall have the cores for itself, and its own
# threads awake, so that a run that does not count comes before each that does.
PAUSE_SECONDS = 0.15


class Bench:
    def __init__(self, arguments):
        self.binary, self.stores = arguments.embed, arguments.stores
        self.onnx, self.tokenizer = arguments.onnx, arguments.tokenizer
        self.rounds, self.isa = arguments.rounds, arguments.isa
        self.folder = tempfile.TemporaryDirectory()
        self.quantized = pathlib.Path(self.folder.name) / "int8.onnx"
        quantize_dynamic(self.onnx, self.quantized, per_channel=True, weight_type=QuantType.QInt8)

    def function(self, store, threads=1):
        return Function(self.binary, self.stores / store, threads, self.isa)

    def peer(self, int8, threads=1):
        return Peer(self.quantized if int8 else self.onnx, self.tokenizer, threads)

    def latency(self):
        """Medians of a run of one text, and of the ratios of neighbours in time."""
        peers = {"int8": self.peer(True), "f32": self.peer(False)}
        with self.function("int8") as int8, self.function("f32") as f32, self.function("bf16") as bf16:
            ours = {"int8": int8, "f32": f32, "bf16": bf16}
            for length in LENGTHS:
                contenders = {f"our {name}": function for name, function in ours.items()}
                contenders |= {f"its {name}": peer for name, peer in peers.items()}
                times = self.take_turns(contenders, length)
                for name, against in (("int8", "int8"), ("f32", "f32"), ("bf16", "f32")):
                    what = f"{length} tokens, {name} against {against}, ms"
                    row(what, times[f"our {name}"], times[f"its {against}"])

    def two_threads(self):
        peer = self.peer(True, threads=2)
        with self.function("int8", threads=2) as function:
            times = self.take_turns({"ours": function, "its": peer}, LENGTHS[-1])
            row(f"{LENGTHS[-1]} tokens, int8 against int8, two threads, ms", times["ours"], times["its"])

    def take_turns(self, contenders, length):
        random = np.random.default_rng(1)
        ids = random.integers(1000, 20000, (1, length))
        ids[0, 0], ids[0, -1] = 101, 102
        times = {name: [] for name in contenders}
        for turn in range(self.rounds + WARM_UP):
            for name, contender in contenders.items():
                time.sleep(PAUSE_SECONDS)
                contender.infer_ms(ids)
                took = contender.infer_ms(ids)
                if turn >= WARM_UP:
                    times[name].append(took)
        return times

    def starts(self):
        """From exec to the first embedding, from a folder; the peer imports its packages and reads its files."""
        ours, its = [], []
        command = [sys.executable, str(pathlib.Path(__file__).with_name("peer.py")), self.quantized, self.tokenizer]
        for _ in range(self.rounds // 4 + 1):
            with self.function("int8") as function:
                ours.append(function.first_answer_ms)
            start = time.perf_counter()
            subprocess.run(command, check=True)
            its.append((time.perf_counter() - start) * 1000)
        row("exec to first embedding, int8, ms", ours[1:], its[1:])

    def texts(self, folder):
        """Throughput, nearness to f32 and accuracy over all of banking77's test questions."""
        data = Banking77(folder)
        exact = self.peer(False)
        reference = exact.embed(data.texts)
        rates, vectors = {"ours": [], "its": []}, {}
        with self.function("int8") as function, self.function("trimmed") as trimmed:
            peer = self.peer(True)
            embeds = {"ours": function.embed, "its": peer.embed}
            for _ in range(3):
                for name, embed in embeds.items():
                    start = time.perf_counter()
                    vectors[name] = embed(data.texts)
                    rates[name].append(len(data.texts) / (time.perf_counter() - start))
            row("banking77, texts a second", rates["ours"], rates["its"])
            print(f"\n| {len(data.texts)} test questions of banking77 | int8 | onnxruntime int8 | onnxruntime f32 |")
            print("|---|--:|--:|--:|")
            near = {name: cosines(vectors[name], reference) for name in vectors}
            cells = [f"{near[name].mean():.4f} ({near[name].min():.4f})" for name in ("ours", "its")]
            print(f"| mean cosine to f32 (least) | {' | '.join(cells)} | 1 |")
            same = np.abs(trimmed.embed(data.texts) - vectors["ours"]).max()
            accuracy = [data.nearest_centroid(embeds[name], vectors[name]) for name in ("ours", "its")]
            accuracy.append(data.nearest_centroid(exact.embed, reference))
            print(f"| nearest centroid | {' | '.join(f'{part:.4f}' for part in accuracy)} |")
            print(f"| largest difference with the vocabulary trimmed | {same:.1e} | | |", flush=True)


def row(what, ours, its):
    ratios = [one / other for one, other in zip(ours, its)]
    print(f"| {what} | {spread(ours)} | {spread(its)} | {spread(ratios)} |", flush=True)


def spread(values):
    low, middle, high = statistics.quantiles(values, n=4)
    digits = 0 if middle >= 100 else 1 if middle >= 10 else 2
    return f"{middle:.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--embed", required=True, help="the binary of the function embed")
    parser.add_argument("--stores", required=True, type=pathlib.Path, help="the folder of the stores int8, f32, bf16, trimmed")
    parser.add_argument("--onnx", required=True, type=pathlib.Path, help="MiniLM as minilm_onnx.py writes it")
    parser.add_argument("--tokenizer", required=True, type=pathlib.Path, help="its tokenizer.json")
    parser.add_argument("--banking77", type=pathlib.Path, help="a folder with train.csv and test.csv")
    parser.add_argument("--isa", help="EMBER_ISA of the function")
    parser.add_argument("--rounds", type=int, default=60)
    arguments = parser.parse_args()

    bench = Bench(arguments)
    print("| MiniLM, one thread | Emberlite | onnxruntime | ratio |\n|---|--:|--:|--:|", flush=True)
    bench.latency()
    bench.two_threads()
    bench.starts()
    if arguments.banking77 is None:
        print("\nbanking77 is not there: no throughput and no accuracy")
    else:
        bench.texts(arguments.banking77)
    packages = {store.name: sum(file.stat().st_size for file in store.rglob("*.ember")) for store in arguments.stores.iterdir()}
    sizes = ", ".join(f"{name} {size / 1e6:.1f} MB" for name, size in sorted(packages.items()))
    print(f"\nPackages: {sizes}; the ONNX file {arguments.onnx.stat().st_size / 1e6:.1f} MB.")


if __name__ == "__main__":
    main()
