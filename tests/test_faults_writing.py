"""What comes between a package and the cache folder while it is being written: a kill, a full disk, another process."""

import signal
import subprocess
import time
from pathlib import Path

import pytest

from support import large
from support.faults import assert_right as assert_small_right, ask
from support.object_store import BUCKET, serve
from support.parts import sizes
from support.processes import Server

KEPT = "package kept in the cache folder"
NOT_KEPT = "package not kept in the cache folder"


@pytest.fixture
def big_shop(tower):
    """A running store with a package that takes a while to write."""
    store = large.store(tower)
    with serve(store) as address:
        store.env = {"EMBER_STORE": f"s3://{BUCKET}", "EMBER_S3_ENDPOINT": f"http://{address}", **large.PATIENT}
        yield store
        store.released.set()


@pytest.fixture
def writer(predict_server, big_shop):
    """Starts the function on that store with a cache folder."""
    return lambda folder: predict_server(**big_shop.env, EMBER_CACHE_DIR=str(folder))


def parts(folder: Path) -> list[Path]:
    return [path for path, size in sizes(folder).items() if size > 0]


def stopped_while_it_writes(writer, tower, folder: Path) -> Server:
    """A function that stands still amid writing its package; only its own file is in the folder."""
    for _ in range(20):
        server = writer(folder)
        large.assert_right(server, tower)
        deadline = time.monotonic() + 20
        while not parts(folder) and not list(folder.glob("*.ember")):
            assert time.monotonic() < deadline, server.log()
        server.signal(signal.SIGSTOP)
        server.wait_until_stopped()
        if parts(folder):
            return server
        # The file was whole before the signal came.
        server.signal(signal.SIGKILL)
        server.wait()
        [whole] = folder.iterdir()
        whole.unlink()
    raise AssertionError("the function was never met while it wrote")


def assert_kept(server, tower, folder: Path) -> None:
    """The function has put the whole package into the folder, and nothing else is there."""
    server.wait_for_record(message=KEPT)
    assert [path.name for path in folder.iterdir()] == [f"{tower.package.digest}.ember"]
    assert (folder / f"{tower.package.digest}.ember").read_bytes() == tower.package.bytes()


def test_half_a_file_of_a_process_that_was_killed_is_neither_taken_nor_left(writer, tower, big_shop, tmp_path):
    folder = tmp_path / "cache"
    halves = set()
    for _ in range(2):
        stopped = stopped_while_it_writes(writer, tower, folder)
        [half] = parts(folder)
        assert half.stat().st_size < tower.package.file.stat().st_size
        halves.add(half)
        stopped.signal(signal.SIGKILL)
        assert stopped.wait() == -signal.SIGKILL
        assert list(folder.iterdir()) == [half], "one half file at most, however many processes were killed"
    assert len(halves) == 2
    read = len(big_shop.ranges(tower.key))
    server = writer(folder)
    large.assert_right(server, tower)
    assert len(big_shop.ranges(tower.key)) > read
    assert_kept(server, tower, folder)
    read = len(big_shop.ranges(tower.key))
    large.assert_right(writer(folder), tower)
    assert len(big_shop.ranges(tower.key)) == read, "what is whole is taken"


def test_two_processes_that_write_one_package_at_once_leave_it_whole(writer, tower, tmp_path):
    folder = tmp_path / "cache"
    first = stopped_while_it_writes(writer, tower, folder)
    [half] = parts(folder)
    second = writer(folder)
    large.assert_right(second, tower)
    second.wait_for_record(message=KEPT)
    assert half.exists(), "the file of a process that lives is left to it"
    first.signal(signal.SIGCONT)
    assert_kept(first, tower, folder)


# Full disks


@pytest.fixture
def disk(tmp_path):
    """Mounts a disk with these options."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = []

    def mount(options: str) -> Path:
        try:
            done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", folder], capture_output=True, text=True)
        except FileNotFoundError:
            pytest.skip("there is no program mount here")
        if done.returncode:
            pytest.skip(f"a disk of one's own can't be mounted here: {done.stderr.strip()}")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "--lazy", folder], check=True)


def filled(folder: Path) -> None:
    """Somebody else's file takes what room there is."""
    with (folder / "others").open("wb") as file, pytest.raises(OSError):
        while True:
            file.write(bytes(2**20))
            file.flush()


def assert_gone_without(server, folder: Path) -> None:
    """The log has said once that the package is not kept, and nothing of it is there."""
    server.wait_for_record(level="WARN", message=NOT_KEPT)
    assert {path.name for path in folder.iterdir()} <= {"others"}


FULL = {"is too small": "size=64k", "has no room for another file": "size=64m,nr_inodes=1", "is full": "size=4m"}


@pytest.mark.parametrize("options", FULL.values(), ids=FULL)
def test_a_disk_that_cannot_take_the_package_is_told_once(function, shop, disk, options):
    folder = disk(options)
    if "nr_inodes" not in options:
        filled(folder)
    server = function(EMBER_CACHE_DIR=str(folder))
    for _ in range(3):
        assert_small_right(ask(server), shop)
        assert_gone_without(server, folder)
    assert sum(record["level"] == "WARN" for record in server.records()) == 1


def test_a_disk_that_becomes_full_midway_keeps_no_half_file(writer, tower, disk):
    size = tower.package.file.stat().st_size + 3 * 2**20
    folder = disk(f"size={size}")
    server = stopped_while_it_writes(writer, tower, folder)
    filled(folder)
    server.signal(signal.SIGCONT)
    assert_gone_without(server, folder)
    large.assert_right(server, tower)
    assert sum(record["level"] == "WARN" for record in server.records()) == 1
