"""Processes under test: started on ports of their own, their logs kept, ended with the tests."""

import json
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

import psutil
import requests

ROOT = Path(__file__).resolve().parents[2]
FAKE_AWS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_REGION": "eu-central-1",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "SAM_CLI_TELEMETRY": "0",
    "NO_PROXY": "127.0.0.1,localhost",
    "no_proxy": "127.0.0.1,localhost",
}
# Every process that runs now; a failed test shows the ends of their logs.
RUNNING: list["Process"] = []


def environment(**variables: str) -> dict[str, str]:
    """The environment for a program under test: `variables`, and none of the machine's own for AWS or Emberlite."""
    ours = ("AWS_", "EMBER_", "_HANDLER", "LAMBDA_", "PORT")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**kept, **FAKE_AWS, **variables}


def target_folder() -> Path:
    """Where cargo puts the binaries that are tested."""
    target = ROOT / os.environ.get("CARGO_TARGET_DIR", "target")
    return target / os.environ.get("EMBER_TEST_PROFILE", "debug")


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def is_open(port: int) -> bool:
    """Whether somebody listens on this port."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def wait_until(condition, what: str, seconds: float = 20, process: "Process | None" = None):
    """The first true value of `condition()`; fails after `seconds`, or once `process` has ended."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if process and process.has_ended():
            raise AssertionError(f"{process.name} ended before {what}:\n{process.log()}")
        if time.monotonic() > deadline:
            raise AssertionError(f"after {seconds} s not yet: {what}" + (f"\n{process.log()}" if process else ""))
        time.sleep(0.02)


class Process:
    """A program that runs until `stop`, writing its standard output and error into one log."""

    def __init__(self, name: str, command: list, log: Path, env: dict[str, str], cwd: Path = ROOT, preexec_fn=None):
        self.name = name
        self._log = log
        with log.open("wb") as file:
            self._process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=env,
                cwd=cwd,
                start_new_session=True,
                preexec_fn=preexec_fn,
            )
        RUNNING.append(self)

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def records(self) -> list[dict]:
        """The log's JSON records."""
        lines = (line for line in self.log().splitlines() if line.startswith("{") and line.endswith("}"))
        return [json.loads(line) for line in lines]

    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def wait_for_log(self, pattern: str, seconds: float = 20) -> re.Match:
        return wait_until(lambda: re.search(pattern, self.log()), f"{pattern!r} in the log", seconds, self)

    def wait_for_record(self, seconds: float = 20, **fields) -> dict:
        """The first log record that has these fields."""

        def found():
            return next((record for record in self.records() if fields.items() <= record.items()), None)

        return wait_until(found, f"a log record with {fields}", seconds, self)

    @property
    def pid(self) -> int:
        return self._process.pid

    def resident_bytes(self) -> int:
        return psutil.Process(self._process.pid).memory_info().rss

    def peak_bytes(self) -> int:
        """The most memory that was ever resident."""
        return self._status("VmHWM")

    def own_bytes(self) -> int:
        """The resident memory that is no file's."""
        return self._status("RssAnon")

    def program_bytes(self) -> int:
        """The resident pages of the program's own file."""
        process = psutil.Process(self._process.pid)
        return sum(mapped.rss for mapped in process.memory_maps() if mapped.path == process.exe())

    def _status(self, field: str) -> int:
        text = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(re.search(rf"{field}:\s+(\d+) kB", text)[1]) * 1024

    def written_bytes(self) -> int:
        """What was given to `write` for files, pipes and sockets alike."""
        return int(re.search(r"wchar: (\d+)", Path(f"/proc/{self._process.pid}/io").read_text())[1])

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def wait_until_stopped(self) -> None:
        """Waits for SIGSTOP to have reached all of the process."""
        threads = Path(f"/proc/{self._process.pid}/task")

        def stand_still() -> bool:
            states = [(thread / "stat").read_text().rpartition(")")[2].split()[0] for thread in threads.iterdir()]
            return all(state == "T" for state in states)

        wait_until(stand_still, f"{self.name} stands still", process=self)

    def wait(self, seconds: float = 10) -> int:
        """The exit status."""
        return self._process.wait(seconds)

    def stop(self) -> None:
        """Asks the process to end, then its whole group."""
        if self in RUNNING:
            RUNNING.remove(self)
        if not self.has_ended():
            self.signal(signal.SIGTERM)
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                pass
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._process.wait()


class Server(Process):
    """A program that listens on a port it picks itself and tells in its log."""

    LISTENING = r'"address":"127\.0\.0\.1:(\d+)"'

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        try:
            self.port = int(self.wait_for_log(self.LISTENING, 30).group(1))
        except BaseException:
            self.stop()
            raise
        self.url = f"http://127.0.0.1:{self.port}"

    def get(self, path: str, **kwargs) -> requests.Response:
        return requests.get(self.url + path, timeout=60, **kwargs)

    def post(self, path: str, **kwargs) -> requests.Response:
        return requests.post(self.url + path, timeout=60, **kwargs)

    def predict(self, model: str, value) -> requests.Response:
        return self.post(f"/models/{model}/predict", json={"input": value})


class MotoServer(Server):
    """Moto's S3 and SQS."""

    LISTENING = r"Running on http://127\.0\.0\.1:(\d+)"
