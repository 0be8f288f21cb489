"""MiniLM over a queue: the function `consume` and a Python worker with onnxruntime, in one run, taking turns.

Both read their own queue and write into their own bucket, all of it moto's, on the same cores. While one works the other is
stopped (SIGSTOP). A turn is from letting a worker go, with its queue filled, until its queue is empty.
"""

import argparse
import base64
import json
import os
import pathlib
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

import boto3
import numpy as np
from botocore.config import Config

TEXTS_PER_MESSAGE = 32
MESSAGES = 40
POLL_SECONDS = 0.02
AWS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Moto:
    """SQS and S3 on this machine."""

    def __init__(self):
        self.url = f"http://127.0.0.1:{free_port()}"
        command = [pathlib.Path(sys.executable).with_name("moto_server"), "-H", "127.0.0.1", "-p", self.url.rpartition(":")[2]]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while True:
            try:
                urllib.request.urlopen(f"{self.url}/moto-api/")
                return
            except OSError:
                if self.process.poll() is not None:
                    sys.exit(f"moto ended with {self.process.returncode}")
                time.sleep(0.05)

    def client(self, service):
        return boto3.client(service, endpoint_url=self.url, config=Config(proxies={}))


class Worker:
    """A process with its queue and its bucket, stopped while it is not its turn."""

    def __init__(self, name, moto, start):
        self.sqs, self.s3, self.bucket = moto.client("sqs"), moto.client("s3"), f"bench-{name}"
        self.s3.create_bucket(Bucket=self.bucket)
        self.queue = self.sqs.create_queue(QueueName=self.bucket)["QueueUrl"]
        self.process = start(self)

    def turn(self, messages):
        """Texts a second over these messages."""
        self.process.send_signal(signal.SIGSTOP)
        for start in range(0, len(messages), 10):
            entries = [{"Id": str(at), "MessageBody": body} for at, body in enumerate(messages[start : start + 10])]
            self.sqs.send_message_batch(QueueUrl=self.queue, Entries=entries)
        start = time.perf_counter()
        self.process.send_signal(signal.SIGCONT)
        while self.left():
            time.sleep(POLL_SECONDS)
            if self.process.poll() is not None:
                sys.exit(f"{self.bucket} ended with {self.process.returncode}")
        took = time.perf_counter() - start
        self.process.send_signal(signal.SIGSTOP)
        return len(messages) * TEXTS_PER_MESSAGE / took

    def left(self):
        """How many messages are not done: a worker deletes one when its result is written."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        attributes = self.sqs.get_queue_attributes(QueueUrl=self.queue, AttributeNames=names)["Attributes"]
        return sum(int(attributes[name]) for name in names)

    def keys(self):
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix="out/")
        return [entry["Key"] for page in pages for entry in page.get("Contents", [])]

    def vectors(self):
        """The vectors of each message by its id."""
        found = {}
        for key in self.keys():
            line = json.loads(self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read())
            rows = [np.frombuffer(base64.b64decode(one["embedding"]), np.float32) for one in line["answer"]["data"]]
            found[line["id"]] = np.stack(rows)
        return found

    def end(self):
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait()


def messages(sentences, turn):
    """The bodies of a turn: no text comes twice."""
    bodies = []
    for number in range(MESSAGES):
        texts = [f"{sentences[(number + at) % len(sentences)]} {turn} {number} {at}" for at in range(TEXTS_PER_MESSAGE)]
        body = {"task": "embed", "model": "minilm", "id": f"{turn}-{number}", "input": texts, "encoding_format": "base64"}
        bodies.append(json.dumps(body))
    return bodies


def spread(values):
    low, middle, high = statistics.quantiles(values, n=4)
    digits = 0 if middle >= 100 else 2
    return f"{middle:.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--consume", required=True, help="the binary of the function consume")
    parser.add_argument("--store", required=True, help="a folder store with the model minilm")
    parser.add_argument("--onnx", required=True, help="MiniLM in onnxruntime's int8")
    parser.add_argument("--tokenizer", required=True, help="its tokenizer.json")
    parser.add_argument("--sentences", required=True, type=pathlib.Path, help="a file with a sentence a line")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=8)
    arguments = parser.parse_args()
    os.environ |= AWS
    sentences = arguments.sentences.read_text().split("\n")
    moto = Moto()
    log = tempfile.NamedTemporaryFile()

    def ours(worker):
        settings = {"EMBER_STORE": arguments.store, "EMBER_MODEL": "minilm", "EMBER_THREADS": str(arguments.threads)}
        settings |= {"EMBER_QUEUE_URL": worker.queue, "EMBER_RESULTS": f"s3://{worker.bucket}/out", "EMBER_LOG": "warn"}
        settings |= {"EMBER_S3_ENDPOINT": moto.url, "PORT": str(free_port()), "EMBER_HOST": "127.0.0.1"}
        return subprocess.Popen([arguments.consume], env=os.environ | settings, stdout=log)

    def its(worker):
        script = pathlib.Path(__file__).with_name("worker.py")
        words = [arguments.onnx, arguments.tokenizer, worker.queue, worker.bucket, str(arguments.threads)]
        environment = os.environ | {"AWS_ENDPOINT_URL": moto.url}
        process = subprocess.Popen([sys.executable, script, *words], env=environment, stdout=subprocess.PIPE)
        process.stdout.readline()
        return process

    workers = {"ours": Worker("ours", moto, ours), "its": Worker("its", moto, its)}
    rates = {name: [] for name in workers}
    try:
        for turn in range(arguments.rounds + 1):
            bodies = messages(sentences, turn)
            for name, worker in workers.items():
                rate = worker.turn(bodies)
                # The first turn warms up.
                if turn:
                    rates[name].append(rate)
        mine, others = (worker.vectors() for worker in workers.values())
        near = [(mine[name] * others[name]).sum(1).min() for name in others]
    finally:
        for worker in workers.values():
            worker.end()
        moto.process.kill()
    ratios = [one / other for one, other in zip(rates["ours"], rates["its"], strict=True)]
    print("| MiniLM over SQS | consume | Python with onnxruntime | ratio |\n|---|--:|--:|--:|")
    print(f"| texts a second, {arguments.threads} threads | {spread(rates['ours'])} | {spread(rates['its'])} | {spread(ratios)} |")
    print(f"\n{len(near)} messages of {TEXTS_PER_MESSAGE} texts; the least cosine of two vectors for a text is {min(near):.3f}.")


if __name__ == "__main__":
    main()
