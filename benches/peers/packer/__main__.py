"""What packing costs and wins, beside onnxruntime's quantization of the same models on the same data.

Everything is packed and verified by the real command; what is measured was not calibrated with. Runs of encoders take turns,
text by text.
"""

import argparse
import contextlib
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

import data
import memory
import numpy as np
import onnxruntime
from onnxruntime_quantize import quantized, rows
from schemes import Served
from turns import in_turns, spread

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "encoders"))

from accuracy import Banking77, cosines
from peer import Peer

# What MiniLM is packed by: the row, and the options; {train} stands for the texts to calibrate with.
MINILM = {
    "int8": ["--quantize", "int8"],
    "int8-static, percentile": ["--quantize", "int8-static", "--range", "percentile"],
    "q4-calibrated": ["--quantize", "q4-calibrated"],
    "int8, vocabulary trimmed": ["--quantize", "int8", "--vocab-from", "{train}"],
    "auto, vocabulary trimmed": ["--quantize", "auto", "--budget", "0.001", "--vocab-from", "{train}"],
    "int8, neurons=25%, heads=25%": ["--quantize", "int8", "--prune", "neurons=25%", "--prune", "heads=25%"],
    "int8, blocks=25%": ["--quantize", "int8", "--prune", "blocks=25%"],
    "int8, blocks=50%": ["--quantize", "int8", "--prune", "blocks=50%"],
    "int8, weights=50%": ["--quantize", "int8", "--prune", "weights=50%"],
}
# Demo models: what is packed of them, and by which options.
INTENTS = {
    "int8": ["--quantize", "int8"],
    "int8, low-rank=52%": ["--quantize", "int8", "--prune", "low-rank=52%"],
    "int8, blocks=50%": ["--quantize", "int8", "--prune", "blocks=50%"],
    "int8, weights=81%": ["--quantize", "int8", "--prune", "weights=81%"],
}
DIGITS = {"f32": [], "channels=25%": ["--prune", "channels=25%"], "channels=50%": ["--prune", "channels=50%"]}
CREDIT = {"f32": [], "trees=50%": ["--prune", "trees=50%"], "trees=75%": ["--prune", "trees=75%"]}
LANGUAGE = {
    **{scheme: ["--quantize", scheme] for scheme in ("int8", "q4", "q4-calibrated")},
    "int8, weights=50%": ["--quantize", "int8", "--prune", "weights=50%"],
    "int8, blocks=25%": ["--quantize", "int8", "--prune", "blocks=25%"],
}
TIMED = 200


class Bench:
    def __init__(self, arguments, folder):
        self.arguments, self.folder = arguments, folder

    def pack(self, source, name, options):
        """The package's file, and what the packer says of it."""
        file = self.folder / f"{name}.ember".replace(" ", "-").replace("=", "").replace("%", "")
        command = [self.arguments.emberlite, "pack", source, "--name", "minilm", "--json", "-o", file, *options]
        return file, json.loads(output(command))

    def verify(self, source, package, examples):
        command = [self.arguments.emberlite, "verify", source, package, "--data", examples, "--json", "--rounds", "0"]
        return json.loads(output(command))

    def minilm(self):
        """Sizes, cosines and times of MiniLM on banking77's held-out questions."""
        arguments = self.arguments
        questions = Banking77(arguments.banking77)
        train = arguments.banking77 / "train.csv"
        exact = Peer(arguments.onnx, arguments.minilm / "tokenizer.json", 1)
        reference = exact.embed(questions.texts)
        f32_bytes = arguments.onnx.stat().st_size
        packages = {}
        print("| MiniLM on banking77 | size | of the ONNX file | mean cosine | least | nearest centroid |")
        print("|---|--:|--:|--:|--:|--:|")

        def row(name, size, vectors, embed):
            near = cosines(vectors, reference)
            accuracy = questions.nearest_centroid(embed, vectors)
            part = f"{size / f32_bytes:.3f}"
            print(f"| {name} | {size / 1e6:.2f} MB | {part} | {near.mean():.4f} | {near.min():.4f} | {accuracy:.4f} |", flush=True)

        row("onnxruntime, f32", f32_bytes, reference, exact.embed)
        calibration = rows(exact.tokenizer, questions.train, 128)
        files = dict(quantized(arguments.onnx, self.folder, calibration))
        for name, file in files.items():
            peer = Peer(file, arguments.minilm / "tokenizer.json", 1)
            row(f"onnxruntime, {name}", file.stat().st_size, peer.embed(questions.texts), peer.embed)
        for name, options in MINILM.items():
            options = [option.format(train=train) for option in options]
            packages[name], _ = self.pack(arguments.minilm, name, ["--calibration", train, *options])
            with Served(arguments.emberlite, packages[name]) as served:
                vectors = served.embed(questions.texts)
                row(f"Emberlite, {name}", packages[name].stat().st_size, vectors, served.embed)
        dynamic = Peer(files["dynamic"], arguments.minilm / "tokenizer.json", 1)
        texts = questions.texts[:TIMED]
        self.turns(packages, dynamic, texts)
        pack = lambda name, options: self.pack(arguments.minilm, name, ["--calibration", train, *options])  # noqa: E731
        memory.table(arguments.emberlite, pack, packages["int8"], packages["int8, weights=50%"], texts)

    def turns(self, packages, peer, texts):
        """Times of the same texts, one after the other, against int8 and against onnxruntime's int8."""
        with contextlib.ExitStack() as stack:
            served = {name: stack.enter_context(Served(self.arguments.emberlite, file)) for name, file in packages.items()}
            contenders = {name: one.milliseconds for name, one in served.items()}
            tokens = lambda text: np.array([peer.tokenizer.encode(text).ids])  # noqa: E731
            times = in_turns(contenders | {"onnxruntime, dynamic": lambda text: peer.infer_ms(tokens(text))}, texts)
        print("\n| MiniLM, one text, one thread | ms | against int8 | against onnxruntime, dynamic |\n|---|--:|--:|--:|")
        for name, own in times.items():
            ratios = [spread(own, times[other]) for other in ("int8", "onnxruntime, dynamic")]
            print(f"| {name} | {statistics.median(own):.2f} | {ratios[0]} | {ratios[1]} |", flush=True)

    def labelled(self, title, source, calibration, examples, ways, peers=()):
        """Accuracy of a model that names classes, in each way that it is packed."""
        print(f"\n| {title} | size | parameters | accuracy | lost, points (95 % interval) |\n|---|--:|--:|--:|--:|")
        for name, account in peers:
            print(f"| onnxruntime, {name} | {account['bytes'] / 1e3:.1f} kB | | {account['accuracy']:.4f} | |")
        for name, options in ways.items():
            calibrate = ["--calibration", calibration] if options else []
            package, report = self.pack(source, name, [*calibrate, *options])
            compared = self.verify(source, package, examples)["comparison"]["outcome"]["accuracy"]
            pruning = report["manifest"].get("pruning", [])
            left = pruning[-1]["parameters_after"] / pruning[0]["parameters_before"] if pruning else 1
            lost = [-100 * compared[end] for end in ("difference", "high", "low")]
            print(
                f"| {name} | {package.stat().st_size / 1e3:.1f} kB | {left:.0%} | {compared['packed']:.4f} |"
                f" {lost[0]:.2f} ({lost[1]:.2f} to {lost[2]:.2f}) |",
                flush=True,
            )

    def language(self, title, source, options):
        """Perplexities of a language model before and after."""
        print(f"\n| {title} | size | perplexity | growth |\n|---|--:|--:|--:|")
        for name, scheme in LANGUAGE.items():
            package, report = self.pack(source, f"{title}-{name}", [*scheme, *options])
            measured = report["manifest"]["generate"]["perplexity"]
            growth = measured["packed"] / measured["source"] - 1
            size = package.stat().st_size / 1e3
            print(f"| {name} | {size:.1f} kB | {measured['source']:.3f} to {measured['packed']:.3f} | {growth:+.2%} |", flush=True)


def output(command):
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} ended with {done.returncode}")
    return done.stdout


def digits_peers(source, held_out, folder):
    """onnxruntime's quantization of the digits: what its users get by its defaults."""
    images, labels = held_out
    for name, file in data.quantized_digits(source, folder):
        session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        guesses = session.run(None, {session.get_inputs()[0].name: images})[0].argmax(1)
        yield name, {"bytes": file.stat().st_size, "accuracy": float((guesses == labels).mean())}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--emberlite", required=True, type=pathlib.Path, help="the command")
    parser.add_argument("--minilm", required=True, type=pathlib.Path, help="its Hugging Face folder")
    parser.add_argument("--onnx", required=True, type=pathlib.Path, help="MiniLM as minilm_onnx.py writes it")
    parser.add_argument("--models", required=True, type=pathlib.Path, help="the demo models")
    parser.add_argument("--banking77", required=True, type=pathlib.Path, help="train.csv and test.csv")
    parser.add_argument("--german-credit", type=pathlib.Path, help="UCI's german.data")
    parser.add_argument("--tinystories", type=pathlib.Path, help="a folder of the model tinystories_260k")
    parser.add_argument("--only", choices=["minilm", "intents", "digits", "credit", "language"], help="one table")
    arguments = parser.parse_args()
    wanted = lambda name: arguments.only in (None, name)  # noqa: E731
    models = arguments.models
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        bench = Bench(arguments, folder)
        if wanted("minilm"):
            bench.minilm()
        if wanted("intents"):
            train, test = arguments.banking77 / "train.csv", arguments.banking77 / "test.csv"
            bench.labelled("intents on banking77", models / "intents/encoder", train, test, INTENTS)
        if wanted("digits"):
            train, test, held_out = data.digits(models / "digits", folder)
            peers = digits_peers(models / "digits/digits.onnx", held_out, folder)
            bench.labelled("digits, 450 held out", models / "digits", train, test, DIGITS, peers)
        if wanted("credit") and arguments.german_credit:
            train, test = data.credit(arguments.german_credit, models / "credit", folder)
            bench.labelled("credit, 250 held out", models / "credit", train, test, CREDIT)
        if wanted("language"):
            story = models / "storyteller"
            texts = ["--calibration", story / "calibration.txt", "--perplexity", story / "tale.txt"]
            bench.language("storyteller", story / "model", texts)
            if arguments.tinystories:
                bench.language("tinystories_260k", arguments.tinystories, data.stories(arguments.emberlite, arguments.tinystories, folder))


if __name__ == "__main__":
    main()
