"""Faults on a package's way into a function: a right answer after another try, or a clear error in time."""

import contextlib
import json
import re
import resource
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from support import reference
from support.answers import refusal
from support.object_store import (
    BUCKET,
    POINTER,
    Shop,
    flip,
    replace,
    reset,
    serve,
    stall,
    status,
    trickle,
    truncate,
    without_ranges,
)
from support.packages import flipped
from support.processes import Server, environment, free_port, wait_until

ROW = reference.random_rows("diagnosis", 1)[0]
# What a store may be silent for in most of these tests, and what they then allow until an answer: the bound that the
# function keeps is eight times that, for the pointer and for the package, and the machine may be busy.
SILENCE = 0.6
IN_TIME = 2 * 8 * SILENCE + 10
PART = 4096
FAST = {
    "EMBER_STORE_TIMEOUT_SECONDS": str(SILENCE),
    "EMBER_DOWNLOAD_PART_BYTES": str(PART),
    "EMBER_REFRESH_SECONDS": "0",
    "EMBER_PRELOAD": "0",
}
# No request is made twice only because the machine is busy.
PATIENT = {"EMBER_STORE_TIMEOUT_SECONDS": "30"}


@pytest.fixture
def shop(packages):
    """A running store; its faults are still to be told."""
    shop = Shop(packages["diagnosis"])
    with serve(shop) as address:
        shop.env = {"EMBER_STORE": f"s3://{BUCKET}", "EMBER_S3_ENDPOINT": f"http://{address}", **FAST}
        yield shop
        shop.released.set()


@pytest.fixture
def function(predict_server, shop):
    """Starts the function on the store."""
    return lambda **variables: predict_server(**{**shop.env, **variables})


def ask(server):
    """The answer to a prediction, which has to come in time, whatever it is."""
    started = time.monotonic()
    response = server.predict("diagnosis", ROW)
    assert time.monotonic() - started < IN_TIME
    return response


def assert_right(response, shop) -> None:
    """A prediction as the reference gives it, by the package in force."""
    assert response.status_code == 200, response.text
    [expected] = reference.probabilities("diagnosis", reference.feeds("diagnosis", [ROW]))
    assert response.json()["probabilities"] == pytest.approx(expected, abs=1e-5)
    assert response.headers["x-emberlite-package"] == f"diagnosis@{shop.digest}"


def assert_unreachable(response) -> str:
    """A refusal that tells to come back; its message."""
    message = refusal(response, 503, "store_unreachable")["message"]
    assert int(response.headers["retry-after"]) > 0
    return message


# What passes


def test_a_package_comes_in_parts_of_the_version_that_was_begun_with(function, shop):
    assert_right(ask(function(**PATIENT)), shop)
    starts = sorted(int(range_.removeprefix("bytes=").split("-")[0]) for range_ in shop.ranges(shop.key))
    assert starts == list(range(0, len(shop.package), PART))
    pins = {range_: pin for key, range_, pin in shop.requests if key == shop.key}
    assert pins.pop(f"bytes=0-{PART - 1}") is None
    assert len(set(pins.values())) == 1 and None not in pins.values()


def test_a_package_that_fits_into_one_part_is_one_request(function, shop):
    assert_right(ask(function(**PATIENT, EMBER_DOWNLOAD_PART_BYTES="1048576")), shop)
    assert shop.ranges(shop.key) == ["bytes=0-1048575"]


PASSING = {
    "reset": reset(),
    "500": status(500, "InternalError"),
    "503": status(503, "SlowDown"),
    "429": status(429, "TooManyRequests"),
    "cut short": truncate(50),
    "cut short at once": truncate(0),
    "silent": stall(),
    "silent midway": stall(50),
}


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
def test_a_fault_that_passes_is_not_noticed(function, shop, fault):
    shop.script(POINTER, fault)
    shop.script(shop.key, fault, None, None, fault, fault)
    assert_right(ask(function()), shop)


def test_a_range_that_is_cut_short_goes_on_where_it_was(function, shop):
    shop.script(shop.key, None, truncate(1000))
    assert_right(ask(function(**PATIENT)), shop)
    ranges = shop.ranges(shop.key)
    again = [range_ for range_ in ranges if int(range_.removeprefix("bytes=").split("-")[0]) % PART == 1000]
    assert len(again) == 1 and len(ranges) == -(-len(shop.package) // PART) + 1


def test_a_silent_range_is_asked_for_a_second_time_before_it_is_given_up(function, shop):
    server = function(**PATIENT)
    shop.script(shop.key, None, stall(100))
    started = time.monotonic()
    assert_right(server.predict("diagnosis", ROW), shop)
    assert time.monotonic() - started < 29


def test_a_flipped_byte_is_noticed_and_read_anew(function, shop):
    shop.script(shop.key, None, None, flip())
    assert_right(ask(function(**PATIENT)), shop)
    assert len(shop.ranges(shop.key)) == 2 * -(-len(shop.package) // PART)


def test_a_package_that_is_replaced_midway_is_begun_anew(function, shop):
    damaged = flipped(shop.package, len(shop.package) - 100)
    shop.put(shop.key, damaged)
    shop.script(shop.key, None, None, None, replace(shop.package))
    assert_right(ask(function()), shop)


def test_a_store_without_ranges_is_read_all_the_same(function, shop):
    shop.always(shop.key, without_ranges())
    assert_right(ask(function()), shop)


# What stays


STAYING = {name: PASSING[name] for name in ("reset", "500", "503", "cut short at once", "silent", "silent midway")}


@pytest.mark.parametrize("fault", STAYING.values(), ids=STAYING)
@pytest.mark.parametrize("what", ["pointer", "package"])
def test_a_fault_that_stays_is_told_in_time_and_tried_again_with_the_next_request(function, shop, fault, what):
    key = POINTER if what == "pointer" else shop.key
    shop.always(key, fault)
    server = function()
    assert key in assert_unreachable(ask(server))
    shop.always(key, None)
    assert_right(ask(server), shop)


def test_a_store_that_trickles_is_told_in_time(function, shop):
    shop.always(shop.key, trickle())
    assert_unreachable(ask(function(EMBER_DOWNLOAD_PART_BYTES="1048576")))


def test_a_connection_that_is_refused_is_told_at_once(function):
    server = function(EMBER_S3_ENDPOINT=f"http://127.0.0.1:{free_port()}")
    assert_unreachable(ask(server))


@pytest.mark.parametrize("path", ["/v2/models/diagnosis/infer", "/v1/embeddings", "/embed"])
def test_every_dialect_tells_when_to_come_back(binaries, log_file, shop, path):
    shop.always(POINTER, status(503, "SlowDown"))
    name = "predict" if path.startswith("/v2") else "embed"
    variables = {**shop.env, "PORT": "0", "EMBER_HOST": "127.0.0.1", "EMBER_MODEL": "diagnosis"}
    server = Server(name, [binaries.functions[name]], log_file(name), environment(**variables))
    try:
        tensor = {"name": "input", "shape": [1, 30], "datatype": "FP32", "data": ROW}
        body = {"inputs": [tensor]} if name == "predict" else {"input": "a", "inputs": "a", "model": "diagnosis"}
        if path == "/embed":
            del body["input"], body["model"]
        elif path == "/v1/embeddings":
            del body["inputs"]
        response = server.post(path, json=body)
    finally:
        server.stop()
    assert response.status_code == 503, response.text
    assert int(response.headers["retry-after"]) > 0


def test_denied_access_is_told_at_once_and_asked_for_once(function, shop):
    shop.always(shop.key, status(403, "AccessDenied"))
    message = assert_unreachable(ask(function()))
    assert "denied" in message and shop.key in message
    assert len(shop.ranges(shop.key)) == 1


def test_a_missing_package_is_told_at_once_and_asked_for_once(function, shop):
    del shop.objects[shop.key]
    assert shop.digest in refusal(ask(function()), 500, "package_missing")["message"]
    assert len(shop.ranges(shop.key)) == 1


def test_a_pointer_at_another_models_package_is_told(function, shop, packages):
    other = packages["digits"]
    shop.put(f"models/diagnosis/{other.digest}.ember", other.bytes())
    shop.point(other.digest)
    assert "digits" in refusal(ask(function()), 500, "package_corrupt")["message"]


def test_a_pointer_that_makes_no_sense_is_told(function, shop):
    shop.put(POINTER, b'{"digest": 7}')
    assert POINTER in refusal(ask(function()), 500, "package_corrupt")["message"]


def test_a_byte_that_stays_flipped_is_told_with_the_section(function, shop):
    shop.put(shop.key, flipped(shop.package, len(shop.package) - 100))
    assert "section" in refusal(ask(function()), 500, "package_corrupt")["message"]


def test_an_empty_package_is_told(function, shop):
    shop.put(shop.key, b"")
    refusal(ask(function()), 500, "package_corrupt")


def test_a_package_that_is_always_replaced_is_told(function, shop):
    versions = [flipped(shop.package, at) for at in range(50)]
    shop.script(shop.key, *(fault for version in versions for fault in (None, replace(version))))
    assert_unreachable(ask(function()))


def test_a_package_of_a_newer_format_is_told(function, shop):
    server = function(**PATIENT)

    def refused_as(digest: str, package: bytes, code: str) -> str:
        shop.put(f"models/diagnosis/{digest}.ember", package)
        shop.point(digest)
        return refusal(ask(server), 500, code)["message"]

    # The function itself tells the digests that make the package an intact one.
    nobodys = "0" * 64
    message = refused_as(nobodys, newer(shop.package, nobodys), "package_corrupt")
    manifest_digest = re.search("got ([0-9a-f]{64})", message)[1]
    package = newer(shop.package, manifest_digest)
    refused_as(nobodys, package, "package_unsupported")
    got = [record["got"] for record in server.records() if record["message"].startswith("package damaged")][-1]
    assert "format" in refused_as(got, package, "package_unsupported")
    assert len(shop.ranges(f"models/diagnosis/{got}.ember")) == -(-len(package) // PART)


def newer(package: bytes, manifest_digest: str) -> bytes:
    """A package whose format is one that nobody knows yet."""
    length = int.from_bytes(package[:8], "little")
    header = json.loads(package[8 : 8 + length])
    manifest = json.loads(header["__metadata__"]["manifest"])
    text = json.dumps({**manifest, "format": manifest["format"] + 1})
    header["__metadata__"] = {"manifest": text, "manifest_blake3": manifest_digest}
    encoded = json.dumps(header).encode()
    return len(encoded).to_bytes(8, "little") + encoded + package[8 + length :]


def test_a_package_that_is_larger_than_the_memory_is_told_before_it_is_read(function, shop):
    shop.put(shop.key, shop.package + bytes(2 * 1024 * 1024))
    server = function(AWS_LAMBDA_FUNCTION_MEMORY_SIZE="1")
    assert "1048576 bytes of memory" in refusal(ask(server), 500, "package_unsupported")["message"]
    assert len(shop.ranges(shop.key)) == 1


# Before the first request


def test_the_model_is_loaded_at_start_and_readiness_tells(function, shop):
    server = function(EMBER_PRELOAD="1", EMBER_MODEL="diagnosis")
    wait_until(lambda: server.get("/v2/health/ready").status_code == 200, "it is ready", process=server)
    read = len(shop.requests)
    assert shop.ranges(shop.key)
    assert_right(ask(server), shop)
    assert len(shop.requests) == read


def test_the_only_model_of_the_store_is_loaded_at_start(function, shop):
    server = function(EMBER_PRELOAD="1")
    server.wait_for_record(message="package loaded")
    assert_right(ask(server), shop)


def test_a_function_that_is_still_loading_is_not_ready_and_its_first_request_waits(function, shop):
    shop.always(shop.key, stall())
    server = function(EMBER_PRELOAD="1", EMBER_STORE_TIMEOUT_SECONDS="20")
    wait_until(lambda: shop.ranges(shop.key), "the package is asked for", process=server)
    response = server.get("/v2/health/ready")
    assert (response.status_code, "diagnosis" in response.json()["error"]) == (503, True)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(server.predict, "diagnosis", ROW)
        shop.always(shop.key, None)
        assert_right(answer.result(60), shop)
    assert server.get("/v2/health/ready").json() == {"ready": True}


def test_a_start_that_fails_ends_nothing_and_is_tried_again(function, shop):
    shop.always(POINTER, status(500, "InternalError"))
    server = function(EMBER_PRELOAD="1", EMBER_MODEL="diagnosis")
    server.wait_for_record(level="ERROR", model="diagnosis")
    assert server.get("/healthz").status_code == 200
    assert_unreachable(ask(server))
    shop.always(POINTER, None)
    assert_right(ask(server), shop)


def test_a_start_that_is_told_to_wait_asks_for_nothing(function, shop):
    server = function(EMBER_PRELOAD="0", EMBER_MODEL="diagnosis")
    assert server.get("/healthz").status_code == 200
    assert server.get("/v2/health/ready").status_code == 200
    assert shop.ranges(POINTER) == shop.ranges(shop.key) == []
    assert_right(ask(server), shop)


# The cache folder


@pytest.fixture
def cached(function, tmp_path):
    """Starts the function with a cache folder, which is `tmp_path / "cache"`."""
    return lambda **variables: function(EMBER_CACHE_DIR=str(tmp_path / "cache"), **variables)


@pytest.fixture
def cache_file(tmp_path, shop):
    return tmp_path / "cache" / f"{shop.digest}.ember"


def test_a_package_is_kept_after_the_first_answer_and_taken_by_the_next_start(cached, shop, cache_file):
    server = cached()
    assert_right(ask(server), shop)
    server.wait_for_record(message="package kept in the cache folder")
    assert cache_file.read_bytes() == shop.package
    assert list(cache_file.parent.iterdir()) == [cache_file]
    read = len(shop.ranges(shop.key))
    assert_right(ask(cached()), shop)
    assert len(shop.ranges(shop.key)) == read


BROKEN = {
    "empty": lambda package: b"",
    "cut short": lambda package: package[:20_000],
    "a flipped byte": lambda package: flipped(package, len(package) - 100),
    "as long, of zeros": lambda package: package[:20_000] + bytes(len(package) - 20_000),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_a_kept_package_that_is_not_whole_is_never_taken(cached, shop, cache_file, broken):
    cache_file.parent.mkdir()
    cache_file.write_bytes(broken(shop.package))
    server = cached()
    assert_right(ask(server), shop)
    server.wait_for_record(message="package kept in the cache folder")
    assert cache_file.read_bytes() == shop.package


def file_size_limit(limit: int, survives: bool):
    """Lets a process write no more than so many bytes into a file; one that tries gets an error, or is killed."""

    def before_exec():
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN if survives else signal.SIG_DFL)

    return before_exec


@contextlib.contextmanager
def limited(binaries, log_file, shop, cache, survives: bool):
    """The function with a cache folder, and with less room in a file than its package takes."""
    variables = {**shop.env, "PORT": "0", "EMBER_HOST": "127.0.0.1", "EMBER_CACHE_DIR": str(cache)}
    limit = file_size_limit(len(shop.package) // 2, survives)
    env = environment(**variables)
    server = Server("predict", [binaries.predict], log_file("predict"), env, preexec_fn=limit)
    try:
        yield server
    finally:
        server.stop()


def test_a_write_that_finds_no_room_leaves_nothing_behind(binaries, log_file, shop, cache_file):
    with limited(binaries, log_file, shop, cache_file.parent, survives=True) as server:
        assert_right(ask(server), shop)
        server.wait_for_record(level="WARN", message="package not kept in the cache folder")
        assert list(cache_file.parent.iterdir()) == []
        assert_right(ask(server), shop)


def test_a_folder_that_nobody_can_write_to_is_gone_without(function, shop):
    server = function(EMBER_CACHE_DIR="/proc")
    assert_right(ask(server), shop)
    server.wait_for_record(level="WARN", message="package not kept in the cache folder")


def test_a_process_that_is_killed_while_it_writes_leaves_nothing_that_is_taken(
    binaries, log_file, cached, shop, cache_file
):
    with limited(binaries, log_file, shop, cache_file.parent, survives=False) as server:
        assert_right(ask(server), shop)
        assert server.wait(20) == -signal.SIGXFSZ
    [half] = cache_file.parent.iterdir()
    assert half != cache_file and half.stat().st_size < len(shop.package)
    server = cached()
    assert_right(ask(server), shop)
    server.wait_for_record(message="package kept in the cache folder")
    assert list(cache_file.parent.iterdir()) == [cache_file]
    assert cache_file.read_bytes() == shop.package


def test_a_process_that_is_killed_at_any_time_leaves_nothing_that_is_taken(cached, shop, cache_file):
    server = cached()
    assert_right(ask(server), shop)
    server.signal(signal.SIGKILL)
    server.wait()
    assert not cache_file.exists() or cache_file.read_bytes() == shop.package
    assert_right(ask(cached()), shop)


def test_two_processes_that_fill_one_folder_at_once_leave_one_whole_package(cached, shop, cache_file):
    servers = [cached(), cached()]
    with ThreadPoolExecutor(2) as pool:
        for response in pool.map(ask, servers):
            assert_right(response, shop)
    wait_until(cache_file.exists, "the package is kept", process=servers[0])
    assert cache_file.read_bytes() == shop.package
    for server in servers:
        server.stop()
    assert list(cache_file.parent.iterdir()) == [cache_file]


def test_a_folder_store_needs_no_network_and_no_cache(predict_server, tmp_path, packages, emberlite):
    emberlite.json("push", packages["diagnosis"].file, "--store", tmp_path / "store")
    server = predict_server(
        EMBER_STORE=str(tmp_path / "store"),
        EMBER_S3_ENDPOINT=f"http://127.0.0.1:{free_port()}",
        EMBER_CACHE_DIR=str(tmp_path / "cache"),
        AWS_CA_BUNDLE=str(tmp_path / "nowhere.pem"),
    )
    assert ask(server).status_code == 200
    assert not (tmp_path / "cache").exists()
