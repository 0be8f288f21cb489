"""`/v1/embeddings`, `/embed`, `/similarity`, `/rerank`: the answers are sentence-transformers', whoever asks."""

import base64

import numpy as np
import openai
import pytest

from support import clouds
from support.texts import ENCODERS

SENTENCES = ENCODERS["sentences"]


@pytest.fixture(scope="module")
def server(text_servers):
    return text_servers["embed"]


@pytest.fixture(scope="module")
def client(server):
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def vectors(answer) -> np.ndarray:
    assert [item.index for item in answer.data] == list(range(len(answer.data)))
    return np.array([item.embedding for item in answer.data], dtype=np.float32)


def fitting() -> list[int]:
    """The texts that the model takes uncut: of the others the reference is that of what is left."""
    return [index for index, tokens in enumerate(SENTENCES.tokens) if tokens < SENTENCES.reference["max_tokens"]]


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_the_openai_package_gets_the_vectors_of_sentence_transformers(client, encoding):
    expected, kept = SENTENCES.outputs("embedding"), fitting()
    texts = [SENTENCES.texts[index] for index in kept]
    answer = client.embeddings.create(model="sentences", input=texts, encoding_format=encoding)
    if encoding == "base64":
        decoded = [np.frombuffer(base64.b64decode(item.embedding), "<f4") for item in answer.data]
        np.testing.assert_allclose(decoded, expected[kept], atol=1e-5)
    else:
        np.testing.assert_allclose(vectors(answer), expected[kept], atol=1e-5)
    assert answer.usage.prompt_tokens == answer.usage.total_tokens == sum(SENTENCES.tokens[index] for index in kept)
    assert answer.model == "sentences"


def test_one_text_and_many_and_their_tokens_get_the_same_vectors(client):
    texts, kept = SENTENCES.texts, fitting()
    many = vectors(client.embeddings.create(model="sentences", input=[texts[index] for index in kept]))
    ids = [SENTENCES.reference["texts"][index]["ids"] for index in kept]
    for tokens in (ids, [one[1:-1] for one in ids]):
        np.testing.assert_allclose(vectors(client.embeddings.create(model="sentences", input=tokens)), many, atol=1e-6)
    one = vectors(client.embeddings.create(model="sentences", input=texts[kept[0]]))
    np.testing.assert_allclose(one[0], many[0], atol=1e-6)


def test_fewer_dimensions_are_cut_and_scaled(client):
    text, whole = SENTENCES.texts[0], SENTENCES.outputs("embedding")[0]
    [vector] = vectors(client.embeddings.create(model="sentences", input=text, dimensions=8))
    np.testing.assert_allclose(vector, whole[:8] / np.linalg.norm(whole[:8]), atol=1e-5)


def test_openai_lists_the_models(client):
    assert {model.id for model in client.models.list()} == ENCODERS.keys()
    assert client.models.retrieve("sentences").id == "sentences"


@pytest.mark.parametrize(
    ("request_", "error", "param"),
    [
        ({"model": "nosuch", "input": "a"}, openai.NotFoundError, "model"),
        ({"model": "intents", "input": "a"}, openai.BadRequestError, "model"),
        ({"model": "sentences", "input": ""}, openai.BadRequestError, "input"),
        ({"model": "sentences", "input": []}, openai.BadRequestError, "input"),
        ({"model": "sentences", "input": [10**6]}, openai.BadRequestError, "input"),
        ({"model": "sentences", "input": "card " * 100}, openai.BadRequestError, "input"),
        ({"model": "sentences", "input": "a", "dimensions": 10**6}, openai.BadRequestError, "dimensions"),
    ],
)
def test_the_openai_package_understands_every_refusal(client, request_, error, param):
    with pytest.raises(error) as refused:
        client.embeddings.create(**request_)
    assert refused.value.param == param
    assert refused.value.body["message"]


def test_embed_answers_as_text_embeddings_inference_does(server):
    texts = SENTENCES.texts
    response = server.post("/models/sentences/embed", json={"inputs": texts, "truncate": True})
    assert response.status_code == 200, response.text
    np.testing.assert_allclose(response.json(), SENTENCES.outputs("embedding"), atol=1e-5)
    pooled = server.post("/models/sentences/embed", json={"inputs": texts, "truncate": True, "normalize": False})
    np.testing.assert_allclose(pooled.json(), SENTENCES.outputs("pooled"), atol=1e-5)


def test_similarity_is_the_cosine(server):
    expected = SENTENCES.outputs("embedding")
    source, *others = SENTENCES.texts
    body = {"inputs": {"source_sentence": source, "sentences": others}, "parameters": {"truncate": True}}
    response = server.post("/models/sentences/similarity", json=body)
    np.testing.assert_allclose(response.json(), expected[1:] @ expected[0], atol=1e-5)


@pytest.mark.parametrize(("name", "raw"), [("relevance", False), ("relevance", True), ("likeness", False)])
def test_rerank_orders_texts_by_the_scores_of_the_cross_encoder(server, name, raw):
    encoder = ENCODERS[name]
    scores = encoder.outputs("logits" if raw else "scores")[:, 0]
    query = encoder.texts[0][0]
    own = [index for index, (asked, _) in enumerate(encoder.texts) if asked == query]
    texts = [encoder.texts[index][1] for index in own]
    body = {"query": query, "texts": texts, "return_text": True, "raw_scores": raw, "truncate": True}
    ranks = server.post(f"/models/{name}/rerank", json=body).json()
    expected = sorted((float(scores[index]) for index in own), reverse=True)
    assert [rank["score"] for rank in ranks] == pytest.approx(expected, abs=1e-5)
    assert all(texts[rank["index"]] == rank["text"] for rank in ranks)


def test_refusals_have_the_shape_of_text_embeddings_inference(server):
    for path, body, status, kind in [
        ("embed", {"inputs": "card " * 100}, 413, "validation"),
        ("embed", {"inputs": []}, 400, "empty"),
        ("embed", {"inputs": [10**6]}, 422, "tokenizer"),
        ("rerank", {"query": "a", "texts": ["b"]}, 424, "backend"),
    ]:
        response = server.post(f"/models/sentences/{path}", json=body)
        assert (response.status_code, response.json()["error_type"]) == (status, kind), response.text
        assert response.json().keys() == {"error", "error_type"}
    tokens = server.post("/models/sentences/embed", json={"inputs": "card " * 100}).json()["error"]
    assert str(SENTENCES.reference["max_tokens"]) in tokens


def test_the_function_answers_a_lambda_event(lambda_function, text_store):
    function = lambda_function("embed", EMBER_STORE=str(text_store), EMBER_MODEL="sentences")
    answer = function.invoke(clouds.event("embed-url"))
    assert answer["statusCode"] == 200, answer
    assert len(clouds.body_of(answer)["data"]) == 2
