"""The function `embed`, as a process of its own behind HTTP."""

import base64
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import time

import numpy as np

TEXTS_PER_REQUEST = 256


class Function:
    """The binary `embed` on a store of one model, `minilm`; `first_answer_ms` is from exec to the first embedding."""

    def __init__(self, binary, store, threads, isa=None):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        settings = {"EMBER_STORE": str(store), "PORT": str(port), "EMBER_HOST": "127.0.0.1", "EMBER_LOG": "error"}
        settings |= {"EMBER_THREADS": str(threads)} | ({"EMBER_ISA": isa} if isa else {})
        start = time.perf_counter()
        self.process = subprocess.Popen([binary], env=os.environ | settings)
        self.connection = self.connect(port)
        self.embed(["How do I locate my card?"])
        self.first_answer_ms = (time.perf_counter() - start) * 1000

    def connect(self, port):
        while True:
            connection = http.client.HTTPConnection("127.0.0.1", port)
            try:
                connection.connect()
            except ConnectionError:
                if self.process.poll() is not None:
                    sys.exit(f"the function ended with {self.process.returncode}")
                time.sleep(0.0002)
                continue
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return connection

    def call(self, path, body):
        self.connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
        response = self.connection.getresponse()
        answer = json.loads(response.read())
        if response.status != 200:
            sys.exit(f"{path}: {response.status} {answer}")
        steps = dict(re.findall(r"(\w+);dur=([0-9.]+)", response.headers["server-timing"]))
        return answer, {step: float(took) for step, took in steps.items()}

    def embed(self, texts):
        """A vector of unit length for each text."""
        vectors = []
        for start in range(0, len(texts), TEXTS_PER_REQUEST):
            body = {"input": texts[start : start + TEXTS_PER_REQUEST], "encoding_format": "base64", "model": "minilm"}
            answer, _ = self.call("/v1/embeddings", body)
            decoded = (base64.b64decode(one["embedding"]) for one in answer["data"])
            vectors.extend(np.frombuffer(one, np.float32) for one in decoded)
        return np.stack(vectors)

    def infer_ms(self, ids):
        """How long the model runs on token ids, `[batch, tokens]`, as the function says."""
        tensor = {"shape": list(ids.shape), "datatype": "INT64", "data": ids.ravel().tolist()}
        ones, zeros = tensor | {"data": [1] * ids.size}, tensor | {"data": [0] * ids.size}
        inputs = [{"name": "input_ids"} | tensor, {"name": "attention_mask"} | ones, {"name": "token_type_ids"} | zeros]
        return self.call("/v2/models/minilm/infer", {"inputs": inputs})[1]["run"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
