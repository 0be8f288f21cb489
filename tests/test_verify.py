"""`emberlite verify`: what a package lost against its source, on data of every kind, and the refusal of one that lost too much."""

import base64
import csv
import io
import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from support import reference
from support.processes import ROOT
from support.texts import ENCODERS
from test_cli import assert_refused

MODELS = ROOT / "models"
QUESTIONS = json.loads((MODELS / "intents/reference.json").read_text())
TEXTS = [question["text"] for question in QUESTIONS]
LABELS = [question["label"] for question in QUESTIONS]
# Timing is not what most of these are about.
QUICK = ("--rounds", 0)


def committed(model: str):
    """The package of a demo model that is in force."""
    digest = json.loads((MODELS / model / "current.json").read_text())["digest"]
    return MODELS / model / f"{digest}.ember"


def write_csv(file, header, rows):
    with file.open("w", newline="", encoding="utf-8") as lines:
        csv.writer(lines).writerows([header, *rows])
    return file


@pytest.fixture
def questions(tmp_path):
    """Questions with the labels that transformers gives them in single precision, spelled otherwise."""
    spelled = [label.replace("_", " ").capitalize() for label in LABELS]
    return write_csv(tmp_path / "questions.csv", ["id", "text", "category"], zip(range(len(TEXTS)), TEXTS, spelled))


@pytest.fixture
def few_words(emberlite, tmp_path):
    """A package of the model intents that knows the words of a few questions alone: other questions lose theirs."""
    (tmp_path / "few.txt").write_text("\n".join(TEXTS[:24]))
    emberlite.json("pack", MODELS / "intents", "-o", "few.ember", "--vocab-from", "few.txt", "--calibration", "few.txt")
    return tmp_path / "few.ember"


# Classifiers of texts


def test_a_good_package_is_good_enough(emberlite, questions):
    thresholds = ("--max-loss", "1%", "--min-agreement", 0.98, "--max-accuracy-loss", "1%", "--max-divergence", 0.001)
    report = emberlite.json("verify", MODELS / "intents", committed("intents"), "--data", questions, *QUICK, *thresholds)
    comparison = report["comparison"]
    assert (comparison["data"], comparison["examples"], comparison["labelled"]) == ("questions.csv", 35, 35)
    outcome = comparison["outcome"]
    # The labels are those of the source, as transformers runs it.
    assert outcome["accuracy"]["source"] == 1.0
    assert outcome["accuracy"]["packed"] == outcome["agreement"] == 1.0
    assert report["loss"] == {"value": 0.0, "what": "accuracy lost"}
    assert report["missed"] == []
    assert report["package"]["package_bytes"] == committed("intents").stat().st_size
    assert sum(part["bytes"] for part in report["package"]["parts"]) == report["package"]["package_bytes"]
    assert report["package"]["package_bytes"] < 0.3 * report["source"]["package_bytes"]
    assert report["latency"] == []


def test_what_is_said_of_a_package_is_what_it_answers(emberlite, questions, few_words, serve):
    report = emberlite.json("verify", MODELS / "intents", few_words, "--data", questions, *QUICK)
    server = serve(few_words)
    body = {"input": TEXTS, "top_k": 77}
    predictions = server.post("/models/intents/classify", json=body).json()["predictions"]
    found = [prediction["predicted_label"] for prediction in predictions]
    same = sum(a == b for a, b in zip(found, LABELS, strict=True))
    outcome = report["comparison"]["outcome"]
    assert outcome["changed"] == len(LABELS) - same > 0
    assert outcome["accuracy"]["packed"] == pytest.approx(same / len(LABELS))
    assert outcome["accuracy"]["low"] < outcome["accuracy"]["difference"] < outcome["accuracy"]["high"]
    assert report["loss"]["value"] == pytest.approx(1 - same / len(LABELS))
    worst = report["comparison"]["worst"]
    changed = {f"line {place + 2}" for place, label in enumerate(found) if label != LABELS[place]}
    assert {case["name"] for case in worst[: len(changed)]} == changed
    for case in worst:
        place = int(case["name"].removeprefix("line ")) - 2
        assert case["label"] == LABELS[place] and TEXTS[place].startswith(case["input"].rstrip("…")[:100])
        assert case["source"].startswith(LABELS[place]) and case["packed"].startswith(found[place])


def test_a_package_that_lost_too_much_is_refused_with_every_reason(emberlite, questions, few_words, tmp_path):
    thresholds = ("--min-agreement", "98%", "--max-accuracy-loss", "1%", "--max-loss", "90%", "--min-cosine", 0.9)
    arguments = ("verify", MODELS / "intents", few_words, "--data", questions, *QUICK, *thresholds)
    done = emberlite(*arguments, "--report", "report.html", "--json")
    assert done.returncode == 1
    missed = [miss["threshold"] for miss in json.loads(done.stdout)["missed"]]
    assert missed == ["min_agreement", "max_accuracy_loss", "min_cosine"]
    assert done.stderr.startswith("error: the package is refused:\n")
    assert re.search(r"min_agreement: expected at least 98 %, got [\d.]+ %", done.stderr)
    assert "min_cosine: expected at least 90 %, got nothing: the model makes no embeddings" in done.stderr
    # The report of a package that is refused is the one that people need.
    assert ">Refused<" in (tmp_path / "report.html").read_text()


def test_four_bits_cost_more_than_eight_and_a_threshold_tells_them_apart(emberlite, questions):
    emberlite.json("pack", MODELS / "intents", "-o", "q4.ember", "--quantize", "q4")
    arguments = ("--data", questions, *QUICK, "--max-divergence", 0.0002)
    assert emberlite("verify", MODELS / "intents", committed("intents"), *arguments).returncode == 0
    refused = emberlite("verify", MODELS / "intents", "q4.ember", *arguments)
    assert refused.returncode == 1 and "max_divergence: expected at most 0.0002" in refused.stderr


def test_thresholds_and_data_come_from_the_recipe_too(emberlite, few_words, questions, tmp_path):
    recipe = tmp_path / "recipe"
    shutil.copytree(MODELS / "intents/encoder", recipe / "encoder")
    shutil.copy(questions, recipe)
    said = "\n".join(['[verify]', 'data = "questions.csv"', 'min_agreement = "99%"'])
    text = 'model = "encoder"\nname = "intents"\n' + said
    (recipe / "pack.toml").write_text(text)
    refused = emberlite("verify", recipe, few_words, *QUICK)
    assert refused.returncode == 1 and "min_agreement: expected at least 99 %" in refused.stderr
    assert "questions.csv" in refused.stdout
    # A flag goes before the recipe; a recipe may stand elsewhere.
    assert emberlite("verify", recipe, few_words, *QUICK, "--min-agreement", "1%").returncode == 0
    report = emberlite.json("verify", recipe / "encoder", committed("intents"), "--recipe", recipe / "pack.toml", *QUICK)
    assert report["thresholds"] == {"min_agreement": 0.99} and report["recipe"] == text
    (recipe / "pack.toml").write_text(text.replace("min_agreement", "min_agrement"))
    assert_refused(emberlite("verify", recipe, few_words), "min_agrement")


def test_without_data_there_are_built_in_sentences(emberlite):
    report = emberlite.json("verify", MODELS / "intents", committed("intents"), *QUICK, "--limit", 40)
    assert report["comparison"]["data"] == "built-in sentences"
    assert (report["comparison"]["examples"], report["comparison"]["labelled"]) == (40, 0)
    assert report["loss"]["what"] == "labels changed"


# Images, tables


def digit(index: int) -> Image.Image:
    encoded = reference.recipe("digits")["examples"][index]["input"]
    return Image.open(io.BytesIO(base64.b64decode(encoded)))


def test_a_folder_of_images_is_data(emberlite, tmp_path):
    images = tmp_path / "images"
    for index, label in enumerate("7305"):
        (images / label).mkdir(parents=True)
        digit(index).save(images / label / "small.png")
        digit(index).resize((200, 200), Image.Resampling.BILINEAR).convert("RGB").save(images / label / "large.jpg")
    arguments = (MODELS / "digits", committed("digits"), "--data", images, *QUICK, "--min-agreement", "100%")
    comparison = emberlite.json("verify", *arguments)["comparison"]
    assert (comparison["examples"], comparison["labelled"]) == (8, 8)
    assert comparison["outcome"]["accuracy"]["packed"] == 1.0
    assert all(case["name"].split("/")[0] in "7305" for case in comparison["worst"])
    # The same in one folder, with a table of labels of which some are wrong.
    flat = tmp_path / "flat"
    flat.mkdir()
    for place, file in enumerate(sorted(images.glob("*/*"))):
        shutil.copy(file, flat / f"{place}{file.suffix}")
    names = sorted(file.name for file in flat.iterdir())
    write_csv(flat / "labels.csv", ["file", "label"], [(name, "9") for name in names[:2]])
    comparison = emberlite.json("verify", *arguments[:3], flat, *QUICK)["comparison"]
    assert (comparison["examples"], comparison["labelled"]) == (8, 2)
    assert comparison["outcome"]["accuracy"]["source"] == 0.0
    (flat / "0.jpg").write_bytes(b"no image")
    assert_refused(emberlite("verify", *arguments[:3], flat), "0.jpg", "PNG")


def test_rows_of_a_table_are_data_as_csv_and_as_json_lines(emberlite, tmp_path):
    rows = reference.random_rows("credit", 50)
    features = [feature["name"] for feature in reference.recipe("credit")["features"]]
    table = write_csv(tmp_path / "rows.csv", ["id", *features, "risk"], [(7, *row, "good") for row in rows])
    arguments = ("verify", MODELS / "credit", committed("credit"), *QUICK, "--data")
    by_table = emberlite.json(*arguments, table, "--label", "risk")["comparison"]
    lines = [json.dumps({"input": reference.as_object("credit", row), "label": "good"}) for row in rows]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    by_lines = emberlite.json(*arguments, "rows.jsonl")["comparison"]
    assert by_table["outcome"] == by_lines["outcome"]
    assert by_table["labelled"] == 50 and by_table["outcome"]["agreement"] == 1.0
    assert 0 < by_table["outcome"]["accuracy"]["source"] < 1
    # As many are good as onnxruntime finds so.
    found = reference.run("credit", reference.feeds("credit", rows))["output_label"].tolist()
    assert by_table["outcome"]["accuracy"]["source"] == pytest.approx(found.count("good") / 50)


def test_tensors_of_every_demo_model_are_compared_without_data(emberlite):
    for model in ("credit", "diagnosis", "digits"):
        comparison = emberlite.json("verify", MODELS / model, committed(model), *QUICK)["comparison"]
        assert comparison["examples"] > 100 and comparison["outcome"]["agreement"] == 1.0


# Embeddings, rerankers, language models


def embeddings(serve, package, texts) -> np.ndarray:
    answer = serve(package).post("/models/texts/embed", json={"inputs": texts, "truncate": True})
    assert answer.status_code == 200, answer.text
    vectors = np.array(answer.json(), dtype=np.float64)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def spearman(a, b) -> float:
    """Of numbers that are all different."""
    ranks = [np.argsort(np.argsort(values)) for values in (a, b)]
    return float(np.corrcoef(*ranks)[0, 1])


def test_embeddings_are_compared_as_numpy_compares_them(emberlite, serve, tmp_path):
    encoder = ENCODERS["sentences"]
    texts = encoder.texts
    for scheme in ("none", "q4"):
        emberlite.json("pack", encoder.path, "--name", "texts", "--quantize", scheme, "-o", f"{scheme}.ember")
    (tmp_path / "texts.txt").write_text("\n".join(texts))
    (tmp_path / "texts.jsonl").write_text("\n".join(json.dumps(text) for text in texts))
    report = emberlite.json("verify", encoder.path, "q4.ember", "--data", "texts.jsonl", *QUICK)
    source, packed = (embeddings(serve, tmp_path / f"{scheme}.ember", texts) for scheme in ("none", "q4"))
    outcome = report["comparison"]["outcome"]
    cosines = (source * packed).sum(axis=1)
    assert outcome["cosine"]["mean"] == pytest.approx(cosines.mean(), abs=1e-5)
    assert outcome["cosine"]["least"] == pytest.approx(cosines.min(), abs=1e-5)
    assert report["loss"]["value"] == pytest.approx(1 - cosines.mean(), abs=1e-5)
    # Pairs with scores.
    pairs = list(zip(texts, texts[1:], strict=False))
    rows = [(first, second, place) for place, (first, second) in enumerate(pairs)]
    write_csv(tmp_path / "pairs.csv", ["sentence1", "sentence2", "score"], rows)
    report = emberlite.json("verify", encoder.path, "q4.ember", "--data", "pairs.csv", *QUICK)
    outcome = report["comparison"]["outcome"]
    before, after = ((side[:-1] * side[1:]).sum(axis=1) for side in (source, packed))
    assert outcome["rank_correlation"] == pytest.approx(spearman(before, after), abs=1e-6)
    scores = {"source": before, "packed": after}
    for side, similarities in scores.items():
        assert outcome["scores"][side] == pytest.approx(spearman(similarities, range(len(pairs))), abs=1e-6)
    refused = emberlite("verify", encoder.path, "q4.ember", "--data", "pairs.csv", *QUICK, "--min-cosine", "99.9999%")
    assert refused.returncode == 1 and "min_cosine: expected at least" in refused.stderr


def test_a_reranker_is_compared_on_pairs(emberlite, tmp_path):
    encoder = ENCODERS["relevance"]
    emberlite.json("pack", encoder.path, "--name", "texts", "-o", "texts.ember")
    rows = [("what is my card for", f"text {place}", place) for place in range(6)]
    write_csv(tmp_path / "pairs.csv", ["query", "passage", "relevance"], rows)
    outcome = emberlite.json("verify", encoder.path, "texts.ember", "--data", "pairs.csv", *QUICK)["comparison"]["outcome"]
    assert outcome["kind"] == "values" and outcome["relative_error"] < 0.1
    assert emberlite("verify", encoder.path, "texts.ember", *QUICK).returncode == 0
    (tmp_path / "lines.txt").write_text("a text\n")
    assert_refused(emberlite("verify", encoder.path, "texts.ember", "--data", "lines.txt"), "pairs")


def test_a_language_model_is_compared_by_how_well_it_predicts(emberlite):
    arguments = ("verify", MODELS / "storyteller", committed("storyteller"), "--data", MODELS / "storyteller/tale.txt")
    report = emberlite.json(*arguments, "--rounds", 1, "--max-perplexity-growth", "2%")
    outcome = report["comparison"]["outcome"]
    manifest = emberlite.json("inspect", committed("storyteller"))["manifest"]
    # The packer measured the same text.
    measured = manifest["generate"]["perplexity"]
    assert outcome["source_perplexity"] == pytest.approx(measured["source"], rel=1e-3)
    assert outcome["packed_perplexity"] == pytest.approx(measured["packed"], rel=1e-2)
    assert outcome["tokens"] == measured["tokens"]
    assert 0 < outcome["divergence"] < 0.1 and 0.8 < outcome["agreement"] < 1
    assert report["loss"]["value"] == pytest.approx(outcome["packed_perplexity"] / outcome["source_perplexity"] - 1)
    assert all(case["name"].startswith("tale.txt from line ") for case in report["comparison"]["worst"])
    assert [timing["count"] for timing in report["latency"]] == [128, 32]
    refused = emberlite(*arguments, *QUICK, "--max-divergence", 0.0001)
    assert refused.returncode == 1 and "max_divergence" in refused.stderr


# What is timed, written and refused


def test_both_are_timed_in_turns_at_several_batch_sizes(emberlite):
    report = emberlite.json("verify", MODELS / "digits", committed("digits"), "--rounds", 3)
    assert [timing["count"] for timing in report["latency"]] == [1, 8, 32]
    for timing in report["latency"]:
        assert timing["rounds"] == 3
        for side in ("source", "packed"):
            spread = timing[side]
            assert 0 < spread["low_ms"] <= spread["median_ms"] <= spread["high_ms"]


def test_the_report_is_one_file_that_says_what_json_says(emberlite, questions, tmp_path):
    arguments = ("verify", MODELS / "intents", committed("intents"), "--data", questions, "--rounds", 1)
    report = emberlite.json(*arguments, "--report", "report.html", "--max-loss", "1%")
    page = (tmp_path / "report.html").read_text()
    for elsewhere in ("http://", "https://", "<script", "src=", "@import", "url("):
        assert elsewhere not in page
    for expected in (report["source"]["file_digest"], report["package"]["package_digest"], "Good enough", "Error by layer"):
        assert expected in page
    for layer in report["quantization"]["layers"]:
        assert layer["name"].replace("_", "_<wbr>") in page
    assert "[quantize]" in page, "the recipe is there"
    assert_refused(emberlite(*arguments, "--report", "no/such/folder/report.html"), "no/such/folder")


def test_what_does_not_fit_is_refused(emberlite, tmp_path):
    package = committed("intents")
    (tmp_path / "greetings.csv").write_text("text,label\nHello,greeting\n")
    (tmp_path / "two.csv").write_text("a,b\n1,2\n")
    (tmp_path / "broken.jsonl").write_text('{"text": "Hello"}\n{"text": \n')
    (tmp_path / "empty.txt").write_text("\n")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9\n")
    (tmp_path / "images").mkdir()
    for data, words in {
        "greetings.csv": ("none of its labels", "greeting", "--label"),
        "two.csv": ("no column \"text\"", "a, b", "--column"),
        "broken.jsonl": ("line 2 is no JSON",),
        "empty.txt": ("has no examples",),
        "latin.txt": ("not UTF-8",),
        "images": ("takes no images",),
        "missing.csv": ("there is no file or folder missing.csv",),
    }.items():
        assert_refused(emberlite("verify", MODELS / "intents", package, "--data", data), *words)
    for source, other, words in (
        (MODELS / "digits", package, ("predict", "classify", "--recipe")),
        (MODELS / "diagnosis", committed("credit"), ("probability", "output_probability", "--recipe")),
        (MODELS / "nothing", package, ("there is no file or folder",)),
        (MODELS / "digits", tmp_path / "two.csv", ("two.csv", "not an Emberlite package")),
    ):
        refused = emberlite("verify", source, other)
        assert refused.returncode == 1 and refused.stdout == "", refused.stdout
        for word in words:
            assert word in refused.stderr, refused.stderr
    for arguments in (("--max-loss", 5), ("--min-agreement", "much"), ("--pair", "one")):
        done = emberlite("verify", MODELS / "intents", package, *arguments)
        assert done.returncode == 2, done.stderr
