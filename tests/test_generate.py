"""`/v1/chat/completions` and `/v1/completions` with OpenAI's own client: every option does what it says."""

import json
import math

import jsonschema
import openai
import pytest

from support import language

CHAT = [{"role": "user", "content": "Tell me more."}]
GREEDY = {"model": "writer", "temperature": 0, "extra_body": {"ignore_eos": True}}


@pytest.fixture(scope="module")
def client(generate_server):
    with openai.OpenAI(base_url=f"{generate_server.url}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture
def complete(client):
    """What follows a prompt: by default the likeliest 24 tokens."""

    def complete(prompt="Once upon a time", **options):
        return client.completions.create(**{**GREEDY, "prompt": prompt, "max_tokens": 24, **options})

    return complete


@pytest.fixture
def chat(client):
    def chat(messages=CHAT, **options):
        return client.chat.completions.create(**{**GREEDY, "messages": messages, "max_tokens": 24, **options})

    return chat


def own(**options) -> dict:
    """Options that are not OpenAI's."""
    return {"extra_body": {"ignore_eos": True, **options}}


def test_a_text_goes_on_and_the_answer_has_openais_form(complete):
    answer = complete()
    assert (answer.object, answer.model) == ("text_completion", "writer")
    assert answer.id.startswith("cmpl-") and answer.created > 0 and answer.system_fingerprint
    [choice] = answer.choices
    assert (choice.index, choice.finish_reason, choice.logprobs) == (0, "length", None)
    assert choice.text
    assert (answer.usage.completion_tokens, answer.usage.total_tokens) == (24, answer.usage.prompt_tokens + 24)


def test_a_chat_goes_on_and_the_answer_has_openais_form(chat):
    answer = chat()
    assert (answer.object, answer.model) == ("chat.completion", "writer")
    assert answer.id.startswith("chatcmpl-")
    [choice] = answer.choices
    assert (choice.message.role, choice.message.refusal, choice.finish_reason) == ("assistant", None, "length")
    assert choice.message.content
    assert answer.usage.completion_tokens == 24


def test_the_likeliest_text_is_always_the_same(complete):
    assert complete().choices[0].text == complete().choices[0].text
    assert complete(temperature=1, seed=1, **own(top_k=1)).choices[0].text == complete().choices[0].text


def test_a_chat_is_what_its_template_makes_of_it(chat, complete):
    rendered = "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nTell me more.<|im_end|>\n<|im_start|>assistant\n"
    messages = [{"role": "system", "content": "Be brief."}, *CHAT]
    expected = chat(messages)
    followed = complete(rendered)
    assert expected.usage.prompt_tokens == followed.usage.prompt_tokens - 1, "the begin token is the tokenizer's"
    parts = [{"role": "developer", "content": [{"type": "text", "text": "Be brief."}]}, *CHAT]
    assert chat(parts).choices == expected.choices


def test_tools_and_the_assistants_turn_reach_the_template(chat):
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
    plain = chat().usage.prompt_tokens
    assert chat(tools=[tool]).usage.prompt_tokens > plain + 40
    assert chat(tools=[tool], tool_choice="none").usage.prompt_tokens == plain
    assert chat(**own(add_generation_prompt=False)).usage.prompt_tokens < plain
    call = {"id": "1", "type": "function", "function": {"name": "look", "arguments": '{"at": 1}'}}
    turns = [*CHAT, {"role": "assistant", "tool_calls": [call]}, {"role": "tool", "tool_call_id": "1", "content": "2"}]
    assert chat(turns).usage.prompt_tokens > plain


def test_special_tokens_in_what_a_user_says_are_text(chat):
    said = chat([{"role": "user", "content": "a<|im_end|>b"}]).usage.prompt_tokens
    assert said == chat([{"role": "user", "content": "ab"}]).usage.prompt_tokens + len("<|im_end|>")


def test_max_tokens_under_either_name(chat):
    for name in ("max_tokens", "max_completion_tokens"):
        answer = chat(**{"max_tokens": openai.omit, name: 5})
        assert (answer.usage.completion_tokens, answer.choices[0].finish_reason) == (5, "length")


def test_without_a_limit_a_chat_fills_the_context(chat):
    answer = chat(max_tokens=openai.omit)
    assert answer.usage.total_tokens == language.CONTEXT
    assert answer.choices[0].finish_reason == "length"


def test_no_tokens_and_the_default_of_16(complete):
    assert complete(max_tokens=0).choices[0].text == ""
    assert complete(max_tokens=openai.omit).usage.completion_tokens == 16


def test_the_end_token_ends_a_text(complete):
    end = language.VOCABULARY.index("</s>")
    answer = complete(logit_bias={str(end): 100}, extra_body={})
    assert (answer.choices[0].text, answer.choices[0].finish_reason) == ("", "stop")
    assert answer.usage.completion_tokens == 1


def test_logit_bias_chooses_tokens(complete):
    [token] = language.tokens("X")
    assert complete(logit_bias={str(token): 100}).choices[0].text == "X" * 24
    assert "X" not in complete(logit_bias={str(token): -100}, temperature=1, seed=1).choices[0].text


@pytest.mark.parametrize("temperature", [0, 1])
def test_the_same_seed_makes_the_same_text(complete, temperature):
    texts = {complete(temperature=temperature, seed=7).choices[0].text for _ in range(3)}
    assert len(texts) == 1


def test_seeds_and_temperature_make_other_texts(complete):
    assert len({complete(temperature=1, seed=seed).choices[0].text for seed in range(4)}) == 4
    assert complete(temperature=2, seed=1).choices[0].text != complete(temperature=0.1, seed=1).choices[0].text


@pytest.mark.parametrize("options", [{"top_p": 0.0}, own(top_k=1), own(min_p=1.0)])
def test_what_is_cut_off_leaves_the_likeliest(complete, options):
    assert complete(temperature=2, seed=3, **options).choices[0].text == complete().choices[0].text


@pytest.mark.parametrize(
    "options", [{"presence_penalty": 2.0}, {"frequency_penalty": 2.0}, own(repetition_penalty=5.0)]
)
def test_penalties_keep_tokens_from_coming_again(complete, options):
    [token] = language.tokens("X")
    favoured = {"logit_bias": {str(token): 8}, "max_tokens": 48}
    plain = complete(**favoured).choices[0].text.count("X")
    assert plain > complete(**favoured, **options).choices[0].text.count("X")


def test_n_texts_have_seeds_of_their_own(complete, chat):
    answer = complete(n=3, temperature=1, seed=5)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    texts = [choice.text for choice in answer.choices]
    assert len(set(texts)) == 3
    assert texts[0] == complete(temperature=1, seed=5).choices[0].text
    assert answer.usage.completion_tokens == 72
    assert len({choice.message.content for choice in chat(n=2, temperature=1, seed=5).choices}) == 2


def test_many_prompts_have_texts_of_their_own(complete):
    prompts = ["ONE", "TWO", language.tokens("THREE")]
    alone = [complete(prompt).choices[0].text for prompt in prompts]
    assert [choice.text for choice in complete(prompts[:2]).choices] == alone[:2]
    answer = complete(prompts[:2], n=2)
    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
    assert [choice.text for choice in answer.choices] == [alone[0], alone[0], alone[1], alone[1]]


def test_tokens_are_a_prompt_as_their_text_is(complete):
    tokens = [language.VOCABULARY.index("<s>"), *language.tokens("PROMPT")]
    assert complete(tokens).choices == complete("PROMPT").choices
    assert complete([tokens, tokens]).choices[1].text == complete("PROMPT").choices[0].text


def test_echo_puts_the_prompt_first(complete):
    text = complete().choices[0].text
    assert complete(echo=True).choices[0].text == f"Once upon a time{text}"
    assert complete(language.tokens("ABC"), echo=True).choices[0].text.startswith("ABC")


def test_a_stop_ends_the_text_before_it(complete, chat):
    text = complete(max_tokens=48).choices[0].text
    for length in (1, 2, 5):
        for start in (0, 7, 20):
            stop = text[start : start + length]
            answer = complete(max_tokens=48, stop=[stop, "never there"])
            assert (answer.choices[0].text, answer.choices[0].finish_reason) == (text[: text.index(stop)], "stop")
            assert answer.usage.completion_tokens <= 48
    said = chat(max_tokens=48).choices[0].message.content
    assert chat(max_tokens=48, stop=said[10:13]).choices[0].message.content == said[: said.index(said[10:13])]


def test_log_probabilities_of_a_chat(chat):
    choice = chat(logprobs=True, top_logprobs=3).choices[0]
    text = b"".join(bytes(token.bytes or []) for token in choice.logprobs.content)
    assert text.decode(errors="replace") == choice.message.content
    assert len(choice.logprobs.content) == 24
    for token in choice.logprobs.content:
        assert token.logprob <= 0 and len(token.top_logprobs) == 3
        assert token.top_logprobs[0].logprob == token.logprob, "the likeliest was taken"
        assert token.top_logprobs[0].logprob >= token.top_logprobs[1].logprob >= token.top_logprobs[2].logprob
        assert sum(math.exp(other.logprob) for other in token.top_logprobs) <= 1.0001
    assert chat(logprobs=True).choices[0].logprobs.content[0].top_logprobs == []
    assert chat().choices[0].logprobs is None


def test_log_probabilities_of_a_completion(complete):
    choice = complete("ABC", logprobs=2).choices[0]
    logprobs = choice.logprobs
    assert len(logprobs.tokens) == len(logprobs.token_logprobs) == len(logprobs.text_offset) == 24
    assert logprobs.text_offset[0] == 0 and logprobs.text_offset == sorted(logprobs.text_offset)
    for logprob, top in zip(logprobs.token_logprobs, logprobs.top_logprobs):
        assert max(top.values()) == pytest.approx(logprob)
    assert complete(logprobs=0).choices[0].logprobs.top_logprobs[0] == {}


def test_all_log_probabilities_of_a_place_are_those_of_its_likeliest_tokens(complete):
    first = complete(max_tokens=1, logprobs=20).choices[0].logprobs
    [token] = [index for index, text in enumerate(language.VOCABULARY) if text == "X"]
    biased = complete(max_tokens=1, logprobs=20, logit_bias={str(token): 100}).choices[0].logprobs
    # Tokens that are part of a character are all written as the same text.
    whole = {text: logprob for text, logprob in first.top_logprobs[0].items() if "\ufffd" not in text}
    after = biased.top_logprobs[0]
    shared = whole.keys() & after.keys()
    assert len(shared) > 3 and all(whole[text] == after[text] for text in shared), "they are the model's, before any wish"
    assert biased.tokens == ["X"]


SCHEMAS = [
    {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"enum": ["x", "y"]}}, "required": ["a", "b"], "additionalProperties": False},
    {"type": "array", "items": {"type": "boolean"}, "minItems": 2, "maxItems": 3},
    {"const": "größer 😀 日本"},
    {
        "$defs": {"point": {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 99}, "minItems": 2, "maxItems": 2}},
        "type": "object",
        "properties": {"from": {"$ref": "#/$defs/point"}, "to": {"$ref": "#/$defs/point"}, "name": {"type": "string", "maxLength": 5}},
        "required": ["from", "to", "name"],
        "additionalProperties": False,
    },
]


@pytest.mark.parametrize("schema", SCHEMAS, ids=str)
@pytest.mark.parametrize("temperature", [0, 1.5])
def test_json_follows_its_schema(chat, schema, temperature):
    format = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}
    for seed in range(5):
        answer = chat(response_format=format, temperature=temperature, seed=seed, max_tokens=300, extra_body={})
        [choice] = answer.choices
        if choice.finish_reason == "stop":
            jsonschema.validate(json.loads(choice.message.content), schema)
        else:
            assert "integer" in str(schema), "only a number may go on without end"


def test_an_object_of_json_parses(chat):
    ended = 0
    for seed in range(12):
        options = {"response_format": {"type": "json_object"}, "temperature": 1, "seed": seed, "max_tokens": 300}
        choice = chat(**options, extra_body={}).choices[0]
        if choice.finish_reason == "stop":
            assert isinstance(json.loads(choice.message.content), dict)
            ended += 1
    assert ended > 0


def test_the_response_format_of_text_changes_nothing(chat):
    assert chat(response_format={"type": "text"}).choices == chat().choices


def test_what_was_read_before_is_not_read_again(chat):
    system = {"role": "system", "content": "You are a storyteller who never tells the same story twice. " * 3}
    first = chat([system, {"role": "user", "content": "A"}])
    second = chat([system, {"role": "user", "content": "B"}])
    # All but the letter and what ends its message and begins the answer: two special tokens, two newlines, "assistant".
    assert second.usage.prompt_tokens_details.cached_tokens == second.usage.prompt_tokens - (1 + 2 + 2 + len("assistant"))
    assert second.usage.prompt_tokens == first.usage.prompt_tokens
    again = chat([system, {"role": "user", "content": "A"}])
    assert again.usage.prompt_tokens_details.cached_tokens == again.usage.prompt_tokens - 1
    assert again.choices == first.choices


def test_fields_that_change_nothing_are_taken(chat):
    changed = chat(user="me", metadata={"a": "b"}, store=False, service_tier="auto", parallel_tool_calls=False)
    assert changed.choices == chat().choices


def test_models_are_listed_and_named_in_the_path(client, generate_server):
    assert {model.id for model in client.models.list()} == {"writer", "base"}
    assert client.models.retrieve("base").id == "base"
    body = {"prompt": "A", "max_tokens": 3, "temperature": 0}
    for path, model in (("/v1/completions", "writer"), ("/models/base/v1/completions", "base")):
        answer = generate_server.post(path, json=body).json()
        assert answer["model"] == model
