"""Faults on a package's way into a function: a right answer after another try, or a clear error in time."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.answers import refusal
from support.faults import PART, PATIENT, ROW, ask, assert_right, assert_unreachable
from support.object_store import (
    POINTER,
    end,
    flip,
    replace,
    reset,
    stall,
    status,
    trickle,
    truncate,
    without_ranges,
)
from support.packages import flipped
from support.processes import Server, environment, free_port, wait_until

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
    shop.script(shop.key, None, end(1000))
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


def test_a_package_that_is_always_replaced_is_told(function, shop):
    versions = [flipped(shop.package, at) for at in range(50)]
    shop.script(shop.key, *(fault for version in versions for fault in (None, replace(version))))
    assert_unreachable(ask(function()))


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


# The model that answers where none is named


def ask_unnamed(server):
    """The answer to a prediction that names no model."""
    return server.post("/predict", json={"input": ROW})


def test_many_requests_that_name_no_model_make_one_listing(function, shop):
    server = function(EMBER_REFRESH_SECONDS="3600")
    with ThreadPoolExecutor(8) as pool:
        for response in pool.map(ask_unnamed, [server] * 32):
            assert_right(response, shop)
    assert shop.listings == 1


def test_that_there_is_no_model_is_found_out_anew_each_time(function, shop):
    pointer = shop.objects.pop(POINTER)
    package = shop.objects.pop(shop.key)
    server = function(EMBER_REFRESH_SECONDS="3600")
    assert ask_unnamed(server).status_code == 400
    shop.put(shop.key, package)
    shop.put(POINTER, pointer)
    assert_right(ask_unnamed(server), shop)


def test_that_a_model_is_no_longer_the_only_one_is_noticed_on_the_side(function, shop, packages):
    server = function(EMBER_REFRESH_SECONDS="1")
    assert_right(ask_unnamed(server), shop)
    shop.put("models/digits/current.json", json.dumps({"digest": packages["digits"].digest}).encode())
    wait_until(lambda: ask_unnamed(server).status_code == 400, "the second model is noticed", process=server)
    del shop.objects["models/digits/current.json"]
    assert_right(ask_unnamed(server), shop)


def test_a_later_listing_that_fails_leaves_the_model_answering(function, shop):
    server = function(EMBER_REFRESH_SECONDS="1")
    assert_right(ask_unnamed(server), shop)
    shop.fails_to_list = True

    def is_noticed():
        assert_right(ask_unnamed(server), shop)
        return any(record["message"].startswith("models not listed") for record in server.records())

    wait_until(is_noticed, "the listing has failed", process=server)
