"""Ctrl-C and a system's request to stop: the exit status tells, and nothing half-written stays."""

import signal
import time
from pathlib import Path

import pytest

from support import large
from support.parts import sizes
from support.processes import ROOT, Process, environment, wait_until

SIGNALS = {"ctrl-c": (signal.SIGINT, 130), "stop": (signal.SIGTERM, 143), "closed terminal": (signal.SIGHUP, 129)}


@pytest.fixture(params=SIGNALS.values(), ids=SIGNALS)
def asked(request):
    """A signal, and the exit status that tells of it."""
    return request.param


@pytest.fixture
def start(start_process, binaries):
    """Starts the command."""
    return lambda *arguments, **kwargs: start_process("emberlite", [binaries.emberlite, *arguments], environment(), **kwargs)


def stopped_while_it_writes(begin, folder: Path, place: Path) -> Process:
    """A command that stands still amid writing a file in this folder."""
    for _ in range(20):
        process = begin()
        deadline = time.monotonic() + 60
        while not any(sizes(folder).values()):
            assert time.monotonic() < deadline and not process.has_ended(), process.log()
            if place.exists():
                break
        process.signal(signal.SIGSTOP)
        process.wait_until_stopped()
        if sizes(folder) and not place.exists():
            return process
        # The file was whole before the signal came.
        process.signal(signal.SIGKILL)
        process.wait()
        place.unlink(missing_ok=True)
    raise AssertionError("the command was never met while it wrote")


def test_a_push_into_a_folder_that_is_stopped_leaves_nothing(start, tower, tmp_path, asked):
    number, status = asked
    store = tmp_path / "store"
    place = store / tower.key
    begin = lambda: start("push", tower.package.file, "--store", store)
    process = stopped_while_it_writes(begin, tmp_path, place)
    process.signal(number)
    process.signal(signal.SIGCONT)
    assert process.wait() == status
    assert [path for path in store.rglob("*") if path.is_file()] == []
    assert "nothing half-written" in process.log()


def test_packing_that_is_stopped_leaves_nothing_and_what_was_there(start, tmp_path, asked):
    number, status = asked
    large.write_onnx(tmp_path / "tower.onnx", 4)
    (tmp_path / "tower.ember").write_bytes(b"an older package")
    process = start("pack", "tower.onnx", "--verbose", cwd=tmp_path)
    process.wait_for_log("comparing")
    process.signal(number)
    assert process.wait() == status
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tower.ember", "tower.onnx"]
    assert (tmp_path / "tower.ember").read_bytes() == b"an older package"


def test_serving_that_is_stopped_while_it_packs_leaves_no_temporary_folder(start_process, binaries, tmp_path, asked):
    number, status = asked
    large.write_onnx(tmp_path / "tower.onnx", 4)
    folder = tmp_path / "temporary"
    folder.mkdir()
    command = [binaries.emberlite, "serve", "--verbose", "--port", "0", ROOT / "models/digits", tmp_path / "tower.onnx"]
    process = start_process("serve", command, environment(TMPDIR=str(folder)))
    process.wait_for_log("tower.onnx")
    wait_until(lambda: list(folder.rglob("*.ember")), "the first package", process=process)
    process.signal(number)
    assert process.wait() == status
    assert list(folder.iterdir()) == []


def test_a_server_still_ends_by_itself(serve):
    server = serve(ROOT / "models/digits")
    assert server.get("/healthz").status_code == 200
    server.signal(signal.SIGINT)
    assert server.wait() == 0
