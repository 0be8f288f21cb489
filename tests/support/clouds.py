"""AWS Lambda on this machine: cargo-lambda's runtime interface, and one of our own that sets real deadlines."""

import base64
import contextlib
import json
import queue
import time
import uuid
from pathlib import Path

import requests

from support.endpoints import Handler, listening
from support.processes import ROOT, Process, environment, free_port, is_open, wait_until


def event(name: str) -> dict:
    """A sample event."""
    return json.loads((ROOT / "events" / f"{name}.json").read_text())


def body_of(answer: dict):
    """The JSON in a function URL's answer."""
    text = answer["body"]
    return json.loads(base64.b64decode(text) if answer.get("isBase64Encoded") else text)


class Function:
    """The real binary as Lambda runs it: `cargo lambda watch` hands it the events."""

    def __init__(self, binary: Path, cargo_lambda: Path, logs: tuple[Path, Path], **variables: str):
        port = free_port()
        watch = ["lambda", "watch", "--only-lambda-apis", "--ignore-changes", "-P", port, "-A", "127.0.0.1"]
        url = f"http://127.0.0.1:{port}"
        name = binary.name
        self._invocations = f"{url}/2015-03-31/functions/{name}/invocations"
        runtime = {
            "AWS_LAMBDA_RUNTIME_API": f"{url}/.rt/{name}",
            "AWS_LAMBDA_FUNCTION_NAME": name,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            # Not the folder of the machine that all tests share.
            "EMBER_CACHE_DIR": "none",
        }
        self._emulator = Process("cargo lambda watch", [cargo_lambda, *watch], logs[0], environment())
        self._emulator.wait_for_log("starting Runtime server")
        wait_until(lambda: is_open(port), "the emulator listens", process=self._emulator)
        self.process = Process(name, [binary], logs[1], environment(**{**runtime, **variables}))

    def invoke(self, payload: dict) -> dict:
        """What the function answers."""
        response = requests.post(self._invocations, json=payload, timeout=60)
        assert response.status_code == 200, f"{response.status_code} {response.text}\n{self.process.log()}"
        return response.json()

    def stop(self) -> None:
        self.process.stop()
        self._emulator.stop()


class RuntimeInterface:
    """The runtime interface of Lambda, for one event at a time, with a deadline that is a time."""

    def __init__(self, address: str, events: queue.Queue, answers: queue.Queue):
        self.address = address
        self._events, self._answers = events, answers

    def invoke(self, payload: dict, seconds: float) -> dict:
        """What the function answers to an event that it has this long for, from when it asks for it."""
        return json.loads(self.invoke_raw(payload, seconds))

    def invoke_raw(self, payload: dict, seconds: float) -> bytes:
        """What the function answers, as it stands on the wire."""
        path, body = self._hand_over(payload, seconds)
        assert path.endswith("/response"), f"{path}: {body!r}"
        return body

    def fail(self, payload: dict, seconds: float) -> dict:
        """The error that the function ends an event with."""
        path, body = self._hand_over(payload, seconds)
        assert path.endswith("/error"), f"{path}: {body!r}"
        return json.loads(body)

    def _hand_over(self, payload: dict, seconds: float) -> tuple[str, bytes]:
        self._events.put((json.dumps(payload).encode(), seconds))
        return self._answers.get(timeout=seconds + 20)


class Invoked:
    """A function that serves the events of a runtime interface."""

    def __init__(self, interface: RuntimeInterface, process: Process):
        self._interface, self.process = interface, process

    def invoke(self, payload, seconds: float = 60):
        return self._interface.invoke(payload, seconds)

    def fail(self, payload, seconds: float = 60) -> dict:
        return self._interface.fail(payload, seconds)


@contextlib.contextmanager
def runtime_interface():
    """A runtime interface that runs within the block."""
    events, answers = queue.Queue(), queue.Queue()

    class Runtime(Handler):
        def answer(self, body):
            if self.command == "POST":
                answers.put((self.path, body))
                self.send(202, [], b"{}")
                return
            payload, seconds = events.get()
            deadline_ms = int((time.time() + seconds) * 1000)
            headers = {
                "Lambda-Runtime-Aws-Request-Id": uuid.uuid4().hex,
                "Lambda-Runtime-Deadline-Ms": str(deadline_ms),
                "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:eu-central-1:123456789012:function:predict",
                "Content-Type": "application/json",
            }
            self.send(200, list(headers.items()), payload)

    with listening(Runtime) as address:
        yield RuntimeInterface(address, events, answers)
