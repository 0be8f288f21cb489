"""A server of OpenAI's completions, as a process of its own: Emberlite's function `generate`, or llama.cpp's `llama-server`."""

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass

HOST = "127.0.0.1"


@dataclass
class Written:
    """A completion: when it was asked for, when its first and last text came in seconds after that, and what it was."""

    asked: float
    first: float
    last: float
    tokens: int
    text: str


class Server:
    """A process that answers `POST /v1/completions`; `options` go into every request."""

    def __init__(self, command, port, environment=(), options=()):
        self.port, self.options = port, dict(options)
        self.started = time.perf_counter()
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(command, env=os.environ | dict(environment), **quiet)

    def ask(self, body):
        """The answer of the server as soon as it takes requests: until then it refuses, or says that it is loading."""
        while True:
            connection = http.client.HTTPConnection(HOST, self.port)
            try:
                connection.connect()
                connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection.request("POST", "/v1/completions", body, {"content-type": "application/json"})
                answer = connection.getresponse()
            except ConnectionError:
                if self.process.poll() is not None:
                    sys.exit(f"{self.process.args[0]} ended with {self.process.returncode}")
                time.sleep(0.0005)
                continue
            if answer.status == 503:
                answer.read()
                time.sleep(0.0005)
                continue
            if answer.status != 200:
                sys.exit(f"{self.process.args[0]}: {answer.status} {answer.read().decode()}")
            return answer

    def write(self, prompt, tokens):
        """Goes on with token ids by `tokens` tokens, always the likeliest."""
        body = {"prompt": prompt, "max_tokens": tokens, "temperature": 0, "stream": True}
        body |= {"stream_options": {"include_usage": True}} | self.options
        asked = time.perf_counter()
        answer = self.ask(json.dumps(body))
        first, last, text, made = None, None, "", None
        for line in answer:
            if not line.startswith(b"data: ") or line == b"data: [DONE]\n":
                continue
            event = json.loads(line[6:])
            piece = "".join(choice["text"] for choice in event.get("choices", ()))
            if piece:
                last = time.perf_counter() - asked
                first = first or last
                text += piece
            if event.get("usage"):
                made = event["usage"]["completion_tokens"]
        if made != tokens:
            sys.exit(f"{self.process.args[0]} wrote {made} tokens instead of {tokens}")
        return Written(asked, first, last, tokens, text)

    def stop(self):
        """Lets the process do nothing until it is its turn."""
        self.process.send_signal(signal.SIGSTOP)

    @contextlib.contextmanager
    def turn(self):
        self.process.send_signal(signal.SIGCONT)
        yield self
        self.stop()

    def peak_bytes(self):
        """The most memory it had: its own and what it mapped and touched."""
        with open(f"/proc/{self.process.pid}/status") as status:
            return int(re.search(r"VmHWM:\s*(\d+) kB", status.read())[1]) * 1024

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def free_port():
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def emberlite(binary, store, threads, context):
    """The function `generate` on a store of one model. Drafts are off: random weights repeat themselves, which would flatter."""
    port = free_port()
    environment = {"EMBER_STORE": str(store), "PORT": str(port), "EMBER_HOST": HOST, "EMBER_LOG": "error"}
    environment |= {"EMBER_THREADS": str(threads), "EMBER_SPECULATE": "false", "EMBER_CONTEXT_TOKENS": str(context)}
    return Server([str(binary)], port, environment)


def llama(binary, model, threads, context, warm_up):
    """`llama-server` with one slot, and caches and batches as it comes."""
    port = free_port()
    command = [str(binary), "-m", str(model), "-t", str(threads), "-tb", str(threads), "-c", str(context), "-np", "1"]
    command += ["--host", HOST, "--port", str(port), "--no-webui", *([] if warm_up else ["--no-warmup"])]
    return Server(command, port, options={"cache_prompt": False, "ignore_eos": True})
