"""The store: a push puts the package in before the pointer, and a running function follows the pointer."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from support import endpoints, reference
from support.answers import refusal
from support.packages import flipped
from support.processes import ROOT, free_port, wait_until
from support.store import place_in_folder

ROW = reference.random_rows("diagnosis", 1)[0]
POINTER = "shop/models/diagnosis/current.json"


def refused(response, status: int, code: str) -> str:
    """The message of an error, which must have this status and code."""
    return refusal(response, status, code)["message"]


def serving(server) -> str:
    """The digest of the package that answers."""
    response = server.predict("diagnosis", ROW)
    assert response.status_code == 200, response.text
    return response.headers["x-emberlite-package"].removeprefix("diagnosis@")


class Caller:
    """Asks for predictions all the time, until it is left; every answer must be a prediction."""

    def __init__(self, server):
        self._server, self._done, self._failures = server, threading.Event(), []
        self._thread = threading.Thread(target=self._call)

    def _call(self):
        while not self._done.is_set():
            response = self._server.predict("diagnosis", ROW)
            if response.status_code != 200:
                self._failures.append(response.text)

    def __enter__(self):
        self._thread.start()

    def __exit__(self, *_):
        self._done.set()
        self._thread.join()
        assert not self._failures, self._failures[:3]


# Pushing


def test_a_push_to_a_folder_makes_the_package_the_one_in_force(emberlite, packages, tmp_path):
    pushed = emberlite.json("push", packages["digits"].file, "--store", tmp_path / "store")
    digest = packages["digits"].digest
    assert (pushed["model"], pushed["digest"], pushed["previous"]) == ("digits", digest, None)
    folder = tmp_path / "store/models/digits"
    assert sorted(path.name for path in folder.iterdir()) == sorted([f"{digest}.ember", "current.json"])
    assert json.loads((folder / "current.json").read_text()) == {"digest": digest}
    assert (folder / f"{digest}.ember").read_bytes() == packages["digits"].bytes()


def test_a_push_to_a_bucket_uploads_the_package_first_and_swings_the_pointer_last(emberlite, packages, bucket):
    pushed = emberlite.json("push", packages["diagnosis"].file, "--store", bucket.url, env=bucket.env)
    digest = packages["diagnosis"].digest
    assert pushed["digest"] == digest
    assert bucket.keys() == sorted([f"shop/models/diagnosis/{digest}.ember", POINTER])
    assert [path.rsplit("/", 1)[1] for path in bucket.requests("PUT", "")[1:]] == [f"{digest}.ember", "current.json"]


def test_a_second_push_tells_what_was_in_force_before(emberlite, packages, second_package, pushed):
    again = emberlite.json("push", second_package.file, "--store", pushed.url, env=pushed.env)
    assert (again["previous"], again["digest"]) == (packages["diagnosis"].digest, second_package.digest)
    same = emberlite.json("push", second_package.file, "--store", pushed.url, env=pushed.env)
    assert same["previous"] == same["digest"] == second_package.digest


def test_a_recipe_is_packed_on_the_way(emberlite, packages, bucket):
    pushed = emberlite.json("push", ROOT / "models/diagnosis", "--store", bucket.url, env=bucket.env)
    assert pushed["digest"] == packages["diagnosis"].digest


@pytest.mark.parametrize("first", [True, False], ids=["first push", "second push"])
def test_a_push_is_refused_where_somebody_else_pushed_meanwhile(emberlite, packages, second_package, bucket, first):
    other = "0" * 64
    if not first:
        bucket.point("diagnosis", packages["diagnosis"].digest)
    with endpoints.rival(bucket, "diagnosis", other) as endpoint:
        env = {**bucket.env, "EMBER_S3_ENDPOINT": endpoint}
        done = emberlite("push", second_package.file, "--store", bucket.url, env=env)
    assert done.returncode != 0
    assert "diagnosis" in done.stderr and other in done.stderr
    pointer = bucket.client.get_object(Bucket=bucket.name, Key=POINTER)["Body"].read()
    assert json.loads(pointer) == {"digest": other}


def test_a_push_to_a_bucket_that_is_not_there_is_refused(emberlite, packages, bucket):
    done = emberlite("push", packages["digits"].file, "--store", "s3://no-such-bucket/shop", env=bucket.env)
    assert done.returncode != 0
    assert "no-such-bucket" in done.stderr


# Serving from a bucket


def test_a_bucket_is_served(predict_server, pushed, packages):
    server = predict_server(**pushed.env)
    assert [model["name"] for model in server.get("/models").json()["models"]] == ["diagnosis"]
    response = server.post("/predict", json={"input": ROW})
    [expected] = reference.probabilities("diagnosis", reference.feeds("diagnosis", [ROW]))
    assert response.json()["probabilities"] == pytest.approx(expected, abs=1e-5)
    assert response.headers["x-emberlite-package"] == f"diagnosis@{packages['diagnosis'].digest}"


def test_nothing_is_fetched_before_the_first_request_where_that_is_said(predict_server, pushed):
    server = predict_server(**pushed.env, EMBER_PRELOAD="0")
    assert server.get("/healthz").status_code == 200
    assert pushed.requests("GET", ".ember") == []
    server.predict("diagnosis", ROW)
    assert len(pushed.requests("GET", ".ember")) == 1


def test_a_package_is_fetched_once_for_many_first_requests(predict_server, pushed):
    server = predict_server(**pushed.env)
    start = threading.Barrier(32)

    def call(_):
        start.wait()
        return server.predict("diagnosis", ROW).status_code

    with ThreadPoolExecutor(32) as pool:
        assert list(pool.map(call, range(32))) == [200] * 32
    assert len(pushed.requests("GET", ".ember")) == 1
    assert sum(record["message"] == "package loaded" for record in server.records()) == 1


def test_a_second_function_is_served_the_prefix_of_its_own_only(predict_server, pushed):
    server = predict_server(**{**pushed.env, "EMBER_STORE": f"s3://{pushed.name}/another"})
    assert server.get("/models").json() == {"models": []}
    refused(server.predict("diagnosis", ROW), 404, "unknown_model")


# A changed pointer


def test_a_pushed_package_is_picked_up_while_requests_go_on(
    predict_server, pushed, packages, second_package, emberlite
):
    server = predict_server(**pushed.env, EMBER_REFRESH_SECONDS="1")
    assert serving(server) == packages["diagnosis"].digest
    with Caller(server):
        emberlite.json("push", second_package.file, "--store", pushed.url, env=pushed.env)
        wait_until(lambda: serving(server) == second_package.digest, "the second package answers", 15, server)
        emberlite.json("push", packages["diagnosis"].file, "--store", pushed.url, env=pushed.env)
        wait_until(lambda: serving(server) == packages["diagnosis"].digest, "the first one answers again", 15, server)
    assert server.get("/models/diagnosis").json()["digest"] == packages["diagnosis"].digest


def test_a_folder_is_followed_too(predict_server, tmp_path, packages, second_package, emberlite):
    emberlite.json("push", packages["diagnosis"].file, "--store", tmp_path)
    server = predict_server(EMBER_STORE=str(tmp_path), EMBER_REFRESH_SECONDS="1")
    assert serving(server) == packages["diagnosis"].digest
    emberlite.json("push", second_package.file, "--store", tmp_path)
    wait_until(lambda: serving(server) == second_package.digest, "the second package answers", 15, server)


def test_a_refresh_of_zero_never_looks_again(predict_server, pushed, packages, second_package, emberlite):
    server = predict_server(**pushed.env, EMBER_REFRESH_SECONDS="0")
    assert serving(server) == packages["diagnosis"].digest
    looked = len(pushed.requests("GET", "current.json"))
    emberlite.json("push", second_package.file, "--store", pushed.url, env=pushed.env)
    by_push = len(pushed.requests("GET", "current.json"))
    assert by_push > looked
    other = predict_server(**pushed.env, EMBER_REFRESH_SECONDS="1")
    wait_until(lambda: serving(other) == second_package.digest, "a function started later serves it", 15, other)
    assert serving(server) == packages["diagnosis"].digest


def test_a_new_package_that_comes_slowly_is_fetched_once(predict_server, pushed, packages, second_package, emberlite):
    with endpoints.slow(pushed, f"{second_package.digest}.ember", 3.5) as (endpoint, fetched):
        server = predict_server(**{**pushed.env, "EMBER_S3_ENDPOINT": endpoint, "EMBER_REFRESH_SECONDS": "1"})
        assert serving(server) == packages["diagnosis"].digest
        with Caller(server):
            emberlite.json("push", second_package.file, "--store", pushed.url, env=pushed.env)
            wait_until(lambda: serving(server) == second_package.digest, "the second package answers", 15, server)
    assert len(fetched) == 1


def test_a_corrupt_new_package_leaves_the_old_one_serving_and_is_logged(
    predict_server, pushed, packages, second_package
):
    server = predict_server(**pushed.env, EMBER_REFRESH_SECONDS="1")
    assert serving(server) == packages["diagnosis"].digest
    broken = flipped(second_package.bytes(), len(second_package.bytes()) // 2)
    with Caller(server):
        pushed.put("diagnosis", f"{second_package.digest}.ember", broken)
        pushed.point("diagnosis", second_package.digest)
        record = server.wait_for_record(level="ERROR", model="diagnosis", package=second_package.digest)
    assert "refused" in record["message"] and record["error"]
    assert serving(server) == packages["diagnosis"].digest


def test_a_pointer_at_a_package_that_is_not_there_leaves_the_old_one_serving(
    predict_server, pushed, packages, second_package
):
    server = predict_server(**pushed.env, EMBER_REFRESH_SECONDS="1")
    assert serving(server) == packages["diagnosis"].digest
    with Caller(server):
        pushed.point("diagnosis", second_package.digest)
        record = server.wait_for_record(level="ERROR", model="diagnosis", package=second_package.digest)
        assert second_package.digest in record["error"]
        pushed.put("diagnosis", f"{second_package.digest}.ember", second_package.bytes())
        wait_until(lambda: serving(server) == second_package.digest, "the package that came late answers", 15, server)


@pytest.mark.parametrize("pointer", [b"", b"{", b'{"digest":"zz"}', b'{"digest":1}', b"\xff"])
def test_a_pointer_that_makes_no_sense_leaves_the_old_package_serving(predict_server, pushed, packages, pointer):
    server = predict_server(**pushed.env, EMBER_REFRESH_SECONDS="1")
    assert serving(server) == packages["diagnosis"].digest
    with Caller(server):
        pushed.put("diagnosis", "current.json", pointer)
        record = server.wait_for_record(level="ERROR", model="diagnosis")
    assert "current.json" in record["error"]
    assert serving(server) == packages["diagnosis"].digest


def test_a_pointer_that_vanishes_leaves_the_package_serving(predict_server, pushed, packages):
    server = predict_server(**pushed.env, EMBER_REFRESH_SECONDS="1")
    assert serving(server) == packages["diagnosis"].digest
    with Caller(server):
        pushed.client.delete_object(Bucket=pushed.name, Key=POINTER)
        server.wait_for_record(level="ERROR", model="diagnosis")
    assert serving(server) == packages["diagnosis"].digest


# Stores that can't answer


def test_a_model_without_a_pointer_is_unknown(predict_server, pushed):
    message = refused(predict_server(**pushed.env).predict("digits", [1]), 404, "unknown_model")
    assert "digits" in message and "models/digits/current.json" in message


def test_a_bucket_that_is_not_there_is_said(predict_server, bucket):
    server = predict_server(**{**bucket.env, "EMBER_STORE": "s3://no-such-bucket"})
    for response in (server.predict("diagnosis", ROW), server.get("/models")):
        assert "no-such-bucket" in refused(response, 503, "store_unreachable")
        assert int(response.headers["retry-after"]) > 0


def test_a_folder_that_is_not_there_is_said(predict_server, tmp_path):
    server = predict_server(EMBER_STORE=str(tmp_path / "nowhere"))
    response = server.predict("diagnosis", ROW)
    assert "nowhere" in refused(response, 503, "store_unreachable")
    assert int(response.headers["retry-after"]) > 0


def test_an_unreachable_store_is_said_and_recovers(predict_server, tmp_path, packages, emberlite):
    store = tmp_path / "store"
    server = predict_server(EMBER_STORE=str(store))
    refused(server.predict("diagnosis", ROW), 503, "store_unreachable")
    emberlite.json("push", packages["diagnosis"].file, "--store", store)
    assert serving(server) == packages["diagnosis"].digest


def test_an_endpoint_that_nobody_listens_on_is_said_soon(predict_server, bucket):
    server = predict_server(**{**bucket.env, "EMBER_S3_ENDPOINT": f"http://127.0.0.1:{free_port()}"})
    response = server.predict("diagnosis", ROW)
    refused(response, 503, "store_unreachable")
    assert response.elapsed.total_seconds() < 15
    assert int(response.headers["retry-after"]) > 0


def test_a_store_that_denies_access_is_said(predict_server, bucket):
    with endpoints.denying() as endpoint:
        server = predict_server(**{**bucket.env, "EMBER_S3_ENDPOINT": endpoint})
        message = refused(server.predict("diagnosis", ROW), 503, "store_unreachable")
    assert "denied" in message and "current.json" in message


def test_a_pointer_at_a_package_that_is_not_there_is_said(predict_server, bucket):
    digest = "ab" * 32
    bucket.point("diagnosis", digest)
    message = refused(predict_server(**bucket.env).predict("diagnosis", ROW), 500, "package_missing")
    assert digest in message


def test_a_pointer_that_makes_no_sense_is_said(predict_server, bucket):
    bucket.put("diagnosis", "current.json", b'{"digest": "zz"}')
    message = refused(predict_server(**bucket.env).predict("diagnosis", ROW), 500, "package_corrupt")
    assert "current.json" in message


def test_a_corrupt_package_is_refused_and_its_repair_is_noticed(predict_server, bucket, packages):
    package = packages["diagnosis"]
    bucket.put("diagnosis", f"{package.digest}.ember", flipped(package.bytes(), len(package.bytes()) - 100))
    bucket.point("diagnosis", package.digest)
    server = predict_server(**bucket.env)
    refused(server.predict("diagnosis", ROW), 500, "package_corrupt")
    bucket.put("diagnosis", f"{package.digest}.ember", package.bytes())
    assert serving(server) == package.digest


def test_a_package_of_another_model_is_refused(predict_server, tmp_path, packages):
    place_in_folder(tmp_path, "diagnosis", packages["digits"].digest, packages["digits"].bytes())
    message = refused(predict_server(EMBER_STORE=str(tmp_path)).predict("diagnosis", ROW), 500, "package_corrupt")
    assert "digits" in message


def test_errors_of_the_store_have_the_body_of_the_protocol_too(predict_server, bucket):
    bucket.point("diagnosis", "ab" * 32)
    server = predict_server(**bucket.env)
    body = {"inputs": [{"name": "input", "shape": [1, 30], "datatype": "FP32", "data": ROW}]}
    response = server.post("/v2/models/diagnosis/infer", json=body)
    assert response.status_code == 500
    assert "ab" * 32 in response.json()["error"]
    away = predict_server(**{**bucket.env, "EMBER_STORE": "s3://no-such-bucket"})
    response = away.post("/v2/models/diagnosis/infer", json=body)
    assert (response.status_code, "no-such-bucket" in response.json()["error"]) == (503, True)
