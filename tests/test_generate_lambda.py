"""The function `generate` on AWS Lambda: streamed and in one piece, and ended in time."""

import json
import sys
import time
from pathlib import Path

import pytest
import requests

from support import clouds
from support.processes import environment, free_port, is_open, wait_until

FOREVER = {"prompt": "A", "temperature": 0, "ignore_eos": True, "n": 20, "max_tokens": 4000}


def request(**body) -> dict:
    """The sample event with another body."""
    payload = clouds.event("generate-url")
    payload["body"] = json.dumps(body)
    return payload


def streamed(answer: bytes) -> tuple[dict, str]:
    """What stands before a streamed body, and the body."""
    prelude, body = answer.split(b"\0" * 8, 1)
    return json.loads(prelude), body.decode()


def chunks(body: str) -> list[dict]:
    *data, done = [part.removeprefix("data: ") for part in body.split("\n\n") if part]
    assert done == "[DONE]"
    return [json.loads(one) for one in data]


@pytest.fixture
def on_lambda(binaries, runtime_interface, start_process, language_store):
    """Starts the function against the runtime interface with real deadlines."""

    def start(**variables: str):
        env = environment(
            AWS_LAMBDA_RUNTIME_API=runtime_interface.address,
            AWS_LAMBDA_FUNCTION_NAME="generate",
            AWS_LAMBDA_FUNCTION_MEMORY_SIZE="1769",
            AWS_LAMBDA_FUNCTION_VERSION="$LATEST",
            EMBER_STORE=str(language_store),
            EMBER_MODEL="writer",
            **variables,
        )
        start_process("generate", [binaries.functions["generate"]], env)
        return runtime_interface

    return start


def test_the_sample_event_is_streamed(on_lambda):
    interface = on_lambda()
    for _ in ("cold", "warm"):
        prelude, body = streamed(interface.invoke_raw(clouds.event("generate-url"), seconds=20))
        assert prelude["statusCode"] == 200
        assert prelude["headers"]["content-type"] == "text/event-stream; charset=utf-8"
        assert chunks(body)[-1]["choices"][0]["finish_reason"] in ("stop", "length")


def test_an_answer_in_one_piece_where_the_url_is_buffered(on_lambda):
    interface = on_lambda(EMBER_INVOKE_MODE="buffered")
    answer = interface.invoke(request(prompt="A", max_tokens=5, ignore_eos=True), seconds=20)
    assert answer["statusCode"] == 200
    assert clouds.body_of(answer)["usage"]["completion_tokens"] == 5
    answer = interface.invoke(request(prompt="A", max_tokens=5, stream=True), seconds=20)
    assert chunks(answer["body"])[-1]["choices"][0]["finish_reason"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("mode", ["buffered", "response_stream"])
def test_the_deadline_ends_a_text_with_what_is_there(on_lambda, mode, stream):
    interface = on_lambda(EMBER_INVOKE_MODE=mode, EMBER_CACHE_BYTES="1000000000")
    interface.invoke_raw(request(prompt="A", max_tokens=1), seconds=30)
    start, seconds = time.monotonic(), 2
    answer = interface.invoke_raw(request(**FOREVER, stream=stream), seconds=seconds)
    assert time.monotonic() - start < seconds
    if mode == "buffered":
        event = json.loads(answer)
        status, body = event["statusCode"], event["body"]
    else:
        prelude, body = streamed(answer)
        status = prelude["statusCode"]
    assert status == 200, body
    if stream:
        finished = [c["choices"][0]["finish_reason"] for c in chunks(body) if c["choices"][0]["finish_reason"]]
        assert finished == ["length"] * 20
    else:
        answer = json.loads(body)
        assert {choice["finish_reason"] for choice in answer["choices"]} == {"length"}
        assert 0 < answer["usage"]["completion_tokens"] < 20 * FOREVER["max_tokens"]


def test_a_refusal_is_streamed_with_its_status(on_lambda):
    prelude, body = streamed(on_lambda().invoke_raw(request(prompt="A", temperature=9), seconds=20))
    assert (prelude["statusCode"], json.loads(body)["error"]["param"]) == (400, "temperature")


def test_cargo_lambda_streams_through_its_url(binaries, start_process, language_store):
    program, port = Path(sys.executable).with_name("cargo-lambda"), free_port()
    watch = [program, "lambda", "watch", "--only-lambda-apis", "--ignore-changes", "-P", port, "-A", "127.0.0.1"]
    emulator = start_process("cargo lambda watch", watch, environment())
    wait_until(lambda: is_open(port), "the emulator listens", process=emulator)
    env = environment(
        AWS_LAMBDA_RUNTIME_API=f"http://127.0.0.1:{port}/.rt/generate",
        AWS_LAMBDA_FUNCTION_NAME="generate",
        AWS_LAMBDA_FUNCTION_MEMORY_SIZE="1769",
        AWS_LAMBDA_FUNCTION_VERSION="$LATEST",
        EMBER_STORE=str(language_store),
        EMBER_MODEL="writer",
    )
    start_process("generate", [binaries.functions["generate"]], env)
    url = f"http://127.0.0.1:{port}/lambda-url/generate/v1/completions"
    body = {"prompt": "A", "max_tokens": 400, "temperature": 0, "ignore_eos": True, "stream": True}
    with requests.post(url, json=body, stream=True, timeout=60) as response:
        assert response.status_code == 200
        pieces = [piece for piece in response.iter_content(None) if piece]
    assert len(pieces) > 5
    assert chunks(b"".join(pieces).decode())[-1]["choices"][0]["finish_reason"] == "length"
