"""The same of Emberlite's schemes: each packs the encoder anew, and the package is served and asked.

`python schemes.py --emberlite BINARY --folder MODEL --onnx minilm.onnx --banking77 FOLDER [SCHEME …]` prints JSON as
`onnxruntime_quantize.py` does, with the `formats` of the layers counted. The reference is the ONNX file in onnxruntime.
"""

import argparse
import base64
import collections
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

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "encoders"))

from accuracy import Banking77, cosines
from peer import Peer

SCHEMES = {
    "int8": ["--quantize", "int8"],
    "int8, smooth": ["--quantize", "int8", "--smooth"],
    "int8-static min-max": ["--quantize", "int8-static", "--range", "min-max"],
    "int8-static percentile": ["--quantize", "int8-static", "--range", "percentile"],
    "int8-static entropy": ["--quantize", "int8-static", "--range", "entropy"],
    "int8-static percentile, smooth": ["--quantize", "int8-static", "--range", "percentile", "--smooth"],
    "q4": ["--quantize", "q4"],
    "q4-awq": ["--quantize", "q4-awq"],
    "q4-calibrated": ["--quantize", "q4-calibrated"],
    "q4-calibrated, smooth": ["--quantize", "q4-calibrated", "--smooth"],
    "auto 0.01": ["--quantize", "auto", "--budget", "0.01"],
    "auto 0.005": ["--quantize", "auto", "--budget", "0.005"],
    "int8, trimmed": ["--quantize", "int8", "--trim"],
    "q4-calibrated, trimmed": ["--quantize", "q4-calibrated", "--trim"],
    "auto 0.008, trimmed": ["--quantize", "auto", "--budget", "0.008", "--trim"],
}


class Served:
    """A package behind `emberlite serve`, on one thread; `prepare` runs in its process before it."""

    def __init__(self, binary, package, prepare=None):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        environment = os.environ | {"EMBER_THREADS": "1", "EMBER_LOG": "error"}
        command = [binary, "serve", package, "--port", str(self.port)]
        self.process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, preexec_fn=prepare)
        self.connection = self.connect()

    def connect(self):
        while True:
            connection = http.client.HTTPConnection("127.0.0.1", self.port)
            try:
                connection.connect()
            except ConnectionError:
                if self.process.poll() is not None:
                    sys.exit(f"emberlite serve ended with {self.process.returncode}")
                time.sleep(0.01)
                continue
            return connection

    def ask(self, path, body):
        self.connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
        response = self.connection.getresponse()
        answer = json.loads(response.read())
        if response.status != 200:
            sys.exit(f"{response.status} {answer}")
        return response, answer

    def tell(self, prompt, seed):
        """What a language model goes on with."""
        body = {"model": "minilm", "prompt": prompt, "max_tokens": 220, "temperature": 1.0, "seed": seed}
        return prompt + self.ask("/v1/completions", body)[1]["choices"][0]["text"]

    def call(self, texts):
        body = {"input": texts, "encoding_format": "base64", "model": "minilm"}
        response, answer = self.ask("/v1/embeddings", body)
        vectors = (base64.b64decode(one["embedding"]) for one in answer["data"])
        timing = dict(part.split(";dur=") for part in response.headers["server-timing"].split(", "))
        return np.stack([np.frombuffer(vector, np.float32) for vector in vectors]), float(timing["run"])

    def milliseconds(self, text):
        """How long the model took for a text, as the server says."""
        return self.call([text])[1]

    def embed(self, texts):
        return np.concatenate([self.call(texts[start : start + 64])[0] for start in range(0, len(texts), 64)])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--emberlite", required=True)
    parser.add_argument("--folder", type=pathlib.Path, required=True, help="the encoder's Hugging Face folder")
    parser.add_argument("--onnx", type=pathlib.Path, required=True)
    parser.add_argument("--banking77", type=pathlib.Path, required=True, help="folder with train.csv and test.csv")
    parser.add_argument("--texts", type=int, default=None, help="how many test texts are compared [default: all]")
    parser.add_argument("--calibration", help="texts to calibrate with [default: the training part]")
    parser.add_argument("schemes", nargs="*", default=list(SCHEMES))
    arguments = parser.parse_args()
    data = Banking77(arguments.banking77)
    count = arguments.texts or len(data.texts)
    data.texts, data.labels = data.texts[:count], data.labels[:count]
    reference = Peer(arguments.onnx, arguments.folder / "tokenizer.json", 1).embed(data.texts)
    train = arguments.banking77 / "train.csv"
    texts = arguments.calibration or train
    with tempfile.TemporaryDirectory() as folder:
        package = pathlib.Path(folder) / "minilm.ember"
        for scheme in arguments.schemes:
            options = ["--vocab-from" if option == "--trim" else option for option in SCHEMES[scheme]]
            options += [str(train)] if "--vocab-from" in options else []
            command = [arguments.emberlite, "pack", arguments.folder, "--name", "minilm", "--calibration", texts]
            start = time.perf_counter()
            packed = subprocess.run([*command, "--json", "-o", package, *options], check=True, capture_output=True)
            took = time.perf_counter() - start
            manifest = json.loads(packed.stdout)["manifest"]
            with Served(arguments.emberlite, package) as served:
                vectors = served.embed(data.texts)
                near = cosines(vectors, reference)
                times = [served.call([text])[1] for text in data.texts[: min(count, 200)]]
                account = {
                    "bytes": package.stat().st_size,
                    "cosine": {"mean": float(near.mean()), "least": float(near.min())},
                    "accuracy": data.nearest_centroid(served.embed, vectors),
                    "ms": statistics.median(times),
                    "formats": collections.Counter(layer["format"] for layer in manifest["quantization"]["layers"]),
                    "pack_s": round(took, 1),
                }
            print(json.dumps({scheme: account}), flush=True)


if __name__ == "__main__":
    main()
