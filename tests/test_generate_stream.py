"""Text as it comes: OpenAI's client, the frames on the wire, clients that go away, and many at once."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import openai
import pytest
import requests

from support import language
from support.processes import wait_until

CHAT = [{"role": "user", "content": "Tell me more."}]
LONG = {"prompt": "A", "max_tokens": 500, "temperature": 0, "ignore_eos": True, "stream": True}


@pytest.fixture(scope="module")
def client(generate_server):
    with openai.OpenAI(base_url=f"{generate_server.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def events(response: requests.Response) -> list[str]:
    """The data of every event; each is one line and an empty one."""
    *parts, rest = response.content.decode().split("\n\n")
    assert rest == ""
    assert all(part.startswith("data: ") and "\n" not in part for part in parts)
    return [part.removeprefix("data: ") for part in parts]


def test_the_frames_of_a_chat_are_openais(generate_server):
    body = {"messages": CHAT, "max_tokens": 12, "temperature": 0, "ignore_eos": True, "stream": True}
    response = generate_server.post("/v1/chat/completions", json=body)
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["cache-control"] == "no-cache"
    assert response.headers["x-emberlite-package"].startswith("writer@")
    *data, done = events(response)
    assert done == "[DONE]"
    chunks = [json.loads(one) for one in data]
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert len({(chunk["id"], chunk["created"], chunk["model"]) for chunk in chunks}) == 1
    assert all("usage" not in chunk for chunk in chunks)
    first, *middle, last = [chunk["choices"][0] for chunk in chunks]
    assert first["delta"] == {"role": "assistant", "content": ""}
    assert all(choice["delta"].keys() == {"content"} and choice["finish_reason"] is None for choice in middle)
    assert (last["delta"], last["finish_reason"]) == ({}, "length")
    whole = generate_server.post("/v1/chat/completions", json={**body, "stream": False}).json()
    said = "".join(choice["delta"]["content"] for choice in middle)
    assert said == whole["choices"][0]["message"]["content"]


def test_usage_comes_last_where_it_is_asked_for(generate_server):
    body = {"prompt": "A", "max_tokens": 5, "ignore_eos": True, "stream": True, "stream_options": {"include_usage": True}}
    *data, done = events(generate_server.post("/v1/completions", json=body))
    *chunks, last = [json.loads(one) for one in data]
    assert done == "[DONE]"
    assert all(chunk["usage"] is None for chunk in chunks)
    assert last["choices"] == []
    assert (last["usage"]["completion_tokens"], last["usage"]["prompt_tokens"]) == (5, 2)
    assert "cached_tokens" in last["usage"]["prompt_tokens_details"]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"n": 3, "temperature": 1, "seed": 4},
        {"stop": ["a", "e"]},
        {"logprobs": True, "top_logprobs": 2},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"const": "größer 😀"}}}},
    ],
    ids=str,
)
def test_a_stream_says_what_a_whole_answer_says(client, options):
    request = {"model": "writer", "messages": CHAT, "temperature": 0, "max_tokens": 80, **options}
    whole = client.chat.completions.create(**request)
    texts, reasons, logprobs = {}, {}, {}
    with client.chat.completions.create(**request, stream=True) as stream:
        for chunk in stream:
            [choice] = chunk.choices
            texts[choice.index] = texts.get(choice.index, "") + (choice.delta.content or "")
            assert "\ufffd" not in (choice.delta.content or "") or "\ufffd" in whole.choices[choice.index].message.content
            if choice.logprobs:
                logprobs.setdefault(choice.index, []).extend(choice.logprobs.content)
            if choice.finish_reason:
                reasons[choice.index] = choice.finish_reason
    for choice in whole.choices:
        assert texts[choice.index] == choice.message.content
        assert reasons[choice.index] == choice.finish_reason
        assert logprobs.get(choice.index, []) == (choice.logprobs.content if choice.logprobs else [])


def test_a_completion_streams_with_its_prompt_and_log_probabilities(client):
    request = {"model": "writer", "prompt": ["A", "B"], "temperature": 0, "max_tokens": 9, "n": 2}
    whole = client.completions.create(**request, echo=True)
    texts = {}
    for chunk in client.completions.create(**request, echo=True, stream=True):
        for choice in chunk.choices:
            texts[choice.index] = texts.get(choice.index, "") + choice.text
    assert texts == {choice.index: choice.text for choice in whole.choices}
    offsets = []
    for chunk in client.completions.create(**{**request, "prompt": "A", "n": 1}, logprobs=1, stream=True):
        offsets += chunk.choices[0].logprobs.text_offset if chunk.choices[0].logprobs else []
    expected = client.completions.create(**{**request, "prompt": "A", "n": 1}, logprobs=1)
    assert offsets == expected.choices[0].logprobs.text_offset


def test_text_comes_while_it_is_written(generate_server):
    with requests.post(f"{generate_server.url}/v1/completions", json=LONG, stream=True, timeout=60) as response:
        pieces = [piece for piece in response.iter_content(None) if piece]
    assert len(pieces) > 20


def test_a_client_that_goes_away_ends_its_text(start_generate):
    server = start_generate(EMBER_LOG="debug")
    body = {**LONG, "n": 64, "temperature": 1}
    response = requests.post(f"{server.url}/v1/completions", json=body, stream=True, timeout=60)
    next(response.iter_content(64))
    response.close()
    server.wait_for_record(message="request abandoned", seconds=10)
    with pytest.raises(requests.Timeout):
        requests.post(f"{server.url}/v1/completions", json={**body, "stream": False}, timeout=0.2)
    wait_until(lambda: sum(record.get("message") == "request abandoned" for record in server.records()) == 2, "both ended")


def test_many_at_once_get_what_each_alone_gets(generate_server):
    def text(prompt: str) -> str:
        body = {"prompt": prompt, "max_tokens": 60, "temperature": 0, "ignore_eos": True}
        return generate_server.post("/v1/completions", json=body).json()["choices"][0]["text"]

    prompts = [f"{number} {'once upon a time ' * (number * 4)}" for number in range(6)]
    alone = [text(prompt) for prompt in prompts]
    with ThreadPoolExecutor(6) as pool:
        for _ in range(3):
            assert list(pool.map(text, prompts)) == alone


def test_drafts_and_formats_of_the_cache_do_not_change_the_text(start_generate):
    texts = []
    for variables in ({"EMBER_SPECULATE": "false"}, {"EMBER_SPECULATE": "true"}):
        server = start_generate(EMBER_CACHE_FORMAT="f32", **variables)
        made = []
        for temperature, seed in ((0, 0), (0.7, 1), (1, 2)):
            for prompt in ("A", "the cat and the dog and the cat and the"):
                body = {"prompt": prompt, "max_tokens": 200, "temperature": temperature, "seed": seed, "ignore_eos": True}
                made.append(server.post("/v1/completions", json=body).json()["choices"][0]["text"])
        texts.append(made)
    assert texts[0] == texts[1]


def test_a_small_cache_makes_requests_wait_and_all_are_answered(start_generate):
    server = start_generate(EMBER_CACHE_BYTES="100000")

    def usage(number: int) -> dict:
        body = {"prompt": f"{number}", "max_tokens": 100, "ignore_eos": True, "n": 2}
        return server.post("/v1/completions", json=body).json()["usage"]

    with ThreadPoolExecutor(8) as pool:
        assert all(used["completion_tokens"] == 200 for used in pool.map(usage, range(8)))


def test_a_long_prompt_does_not_stall_a_text(generate_server):
    """While prompts are read, a text goes on: no gap is as long as reading one takes."""
    gaps, stop = [], threading.Event()

    def read_prompts():
        number = 0
        while not stop.is_set():
            number += 1
            generate_server.post("/v1/completions", json={"prompt": f"{number}" + "B" * 490, "max_tokens": 1})

    thread = threading.Thread(target=read_prompts)
    thread.start()
    try:
        with requests.post(f"{generate_server.url}/v1/completions", json=LONG, stream=True, timeout=60) as response:
            last = time.monotonic()
            for _ in response.iter_content(None):
                gaps.append(time.monotonic() - last)
                last = time.monotonic()
    finally:
        stop.set()
        thread.join()
    assert len(gaps) > 20 and max(gaps[1:]) < 1


def test_emberlite_serve_writes_too(serve, tmp_path, emberlite):
    package = tmp_path / "writer.ember"
    emberlite.json("pack", language.write_folder(tmp_path / "writer"), "--quantize", "none", "-o", package)
    server = serve(package)
    client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)
    chunks = list(client.chat.completions.create(model="writer", messages=CHAT, max_tokens=5, stream=True))
    assert chunks[-1].choices[0].finish_reason
    assert "/v1/chat/completions" in server.get("/openapi.json").json()["paths"]
