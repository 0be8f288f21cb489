"""What `/v1/chat/completions` and `/v1/completions` refuse, in OpenAI's words and with the field to blame."""

import openai
import pytest

from support import language

CHAT = [{"role": "user", "content": "A"}]


@pytest.fixture(scope="module")
def client(generate_server):
    with openai.OpenAI(base_url=f"{generate_server.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def refused(response, status: int = 400) -> dict:
    assert response.status_code == status, response.text
    assert response.json().keys() == {"error"}
    error = response.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"} and error["message"]
    assert error["type"] == ("server_error" if status >= 500 else "invalid_request_error")
    return error


@pytest.mark.parametrize(
    ("options", "param", "code"),
    [
        ({"temperature": 3}, "temperature", "decimal_above_max_value"),
        ({"temperature": -0.1}, "temperature", "decimal_below_min_value"),
        ({"temperature": "hot"}, "temperature", "invalid_type"),
        ({"top_p": 1.5}, "top_p", "decimal_above_max_value"),
        ({"top_k": -2}, "top_k", "integer_below_min_value"),
        ({"min_p": 2}, "min_p", "decimal_above_max_value"),
        ({"repetition_penalty": 0}, "repetition_penalty", "decimal_below_min_value"),
        ({"presence_penalty": 3}, "presence_penalty", "decimal_above_max_value"),
        ({"frequency_penalty": -3}, "frequency_penalty", "decimal_below_min_value"),
        ({"n": 0}, "n", "integer_below_min_value"),
        ({"n": 1.5}, "n", "invalid_type"),
        ({"seed": "a"}, "seed", "invalid_type"),
        ({"stop": ["a"] * 5}, "stop", "invalid_value"),
        ({"stop": ""}, "stop", "invalid_value"),
        ({"stop": [1]}, "stop", "invalid_type"),
        ({"logit_bias": {"a": 1}}, "logit_bias", "invalid_value"),
        ({"logit_bias": {"1": 101}}, "logit_bias", "invalid_value"),
        ({"logit_bias": {"100000": 1}}, "logit_bias", "invalid_value"),
        ({"stream": 1}, "stream", "invalid_type"),
        ({"stream_options": {"include_usage": True}}, "stream_options", "invalid_value"),
        ({"stream": True, "stream_options": {"speed": 1}}, "stream_options.speed", "unknown_parameter"),
        ({"response_format": {"type": "yaml"}}, "response_format.type", "invalid_value"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema", "invalid_value"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "nothing"}}}},
            "response_format",
            "invalid_json_schema",
        ),
        ({"max_tokens": 10**6}, None, "context_length_exceeded"),
        ({"temprature": 1}, "temprature", "unknown_parameter"),
    ],
    ids=str,
)
@pytest.mark.parametrize("path", ["chat/completions", "completions"])
def test_a_wrong_value_is_refused_with_its_field(generate_server, path, options, param, code):
    prompt = {"messages": CHAT} if path.startswith("chat") else {"prompt": "A"}
    error = refused(generate_server.post(f"/v1/{path}", json={**prompt, **options}))
    assert (error["param"], error["code"]) == (param or next(iter(prompt)), code), error
    assert error["param"].split(".")[-1] in error["message"] or code == "context_length_exceeded"


@pytest.mark.parametrize(
    ("options", "param", "code"),
    [
        ({"messages": []}, "messages", "empty_array"),
        ({"messages": None}, "messages", "missing_required_parameter"),
        ({"messages": "A"}, "messages", "invalid_type"),
        ({"messages": [{"content": "A"}]}, "messages[0].role", "missing_required_parameter"),
        ({"messages": [{"role": "king", "content": "A"}]}, "messages[0].role", "invalid_value"),
        ({"messages": [*CHAT, {"role": "user"}]}, "messages[1].content", "missing_required_parameter"),
        ({"messages": [{"role": "user", "content": 1}]}, "messages[0].content", "invalid_type"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]}]},
            "messages[0].content[0].type",
            "invalid_value",
        ),
        ({"messages": [{"role": "function", "content": "A"}]}, "messages", "invalid_messages"),
        ({"messages": [{"role": "user", "content": "A" * (language.CONTEXT + 100)}]}, "messages", "context_length_exceeded"),
        ({"messages": [{"role": "user", "content": "A" * 100_000}]}, "messages", "context_length_exceeded"),
        ({"max_tokens": 0}, "max_tokens", "integer_below_min_value"),
        ({"top_logprobs": 3}, "top_logprobs", "invalid_value"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs", "integer_above_max_value"),
        ({"tools": [{"type": "custom"}]}, "tools[0].type", "invalid_value"),
        ({"tool_choice": "required"}, "tool_choice", "invalid_value"),
        ({"modalities": ["text", "audio"]}, "modalities", "invalid_value"),
        ({"functions": [{"name": "a"}]}, "functions", "unsupported_parameter"),
        ({"audio": {"voice": "alloy"}}, "audio", "unsupported_parameter"),
        ({"prediction": {"type": "content"}}, "prediction", "unsupported_parameter"),
        ({"model": "base"}, "model", "no_chat_template"),
    ],
    ids=str,
)
def test_a_wrong_chat_is_refused_with_its_place(generate_server, options, param, code):
    error = refused(generate_server.post("/v1/chat/completions", json={"messages": CHAT, **options}))
    assert (error["param"], error["code"]) == (param, code), error


@pytest.mark.parametrize(
    ("options", "param", "code"),
    [
        ({"prompt": None}, "prompt", "missing_required_parameter"),
        ({"prompt": 1}, "prompt", "invalid_type"),
        ({"prompt": []}, "prompt", "invalid_value"),
        ({"prompt": [10**6]}, "prompt", "unknown_token"),
        ({"prompt": [-1]}, "prompt", "invalid_value"),
        ({"prompt": ["A", 1]}, "prompt[1]", "invalid_type"),
        ({"prompt": "A" * (language.CONTEXT + 100)}, "prompt", "context_length_exceeded"),
        ({"suffix": "B"}, "suffix", "unsupported_parameter"),
        ({"echo": True, "logprobs": 1}, "echo", "unsupported_parameter"),
        ({"best_of": 3}, "best_of", "invalid_value"),
        ({"logprobs": 21}, "logprobs", "integer_above_max_value"),
    ],
    ids=str,
)
def test_a_wrong_completion_is_refused_with_its_place(generate_server, options, param, code):
    error = refused(generate_server.post("/v1/completions", json={"prompt": "A", **options}))
    assert (error["param"], error["code"]) == (param, code), error


def test_the_context_is_told(generate_server):
    error = refused(generate_server.post("/v1/completions", json={"prompt": "A", "max_tokens": 9999}))
    assert str(language.CONTEXT) in error["message"] and "9999" in error["message"]


def test_the_openai_package_understands_refusals(client):
    with pytest.raises(openai.NotFoundError) as unknown:
        client.completions.create(model="nosuch", prompt="A")
    assert (unknown.value.code, unknown.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.BadRequestError) as wrong:
        client.chat.completions.create(model="writer", messages=CHAT, temperature=9, stream=True)
    assert wrong.value.param == "temperature"


def test_what_is_no_json_is_refused(generate_server):
    for body in (b"", b"{", b"[]", b'"text"'):
        error = refused(generate_server.post("/v1/completions", data=body))
        assert error["code"] == "malformed_json"
    response = generate_server.post("/v1/completions", data=b"A", headers={"content-type": "text/plain"})
    assert refused(response, 415)["code"] == "unsupported_media_type"


def test_a_model_of_another_task_is_refused(text_servers, generate_server, served):
    for path, body in (("chat/completions", {"messages": CHAT}), ("completions", {"prompt": "A"})):
        error = refused(served.post(f"/models/diagnosis/v1/{path}", json=body))
        assert (error["param"], error["code"]) == ("model", "wrong_task")
    response = generate_server.post("/v2/models/writer/infer", json={"inputs": []})
    assert response.status_code in (400, 422), response.text


def test_the_context_may_be_made_shorter(start_generate):
    server = start_generate(EMBER_CONTEXT_TOKENS="32")
    error = refused(server.post("/v1/completions", json={"prompt": "A", "max_tokens": 64}))
    assert "32 tokens" in error["message"]
    answer = server.post("/v1/chat/completions", json={"messages": [{"role": "user", "content": "A"}], "ignore_eos": True})
    if answer.status_code == 200:
        assert answer.json()["usage"]["total_tokens"] == 32
