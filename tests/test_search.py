"""`emberlite pack --max-loss`: the best package within a budget is found, proved and can be made again."""

import dataclasses
import json
import shutil

import pytest

from support.processes import ROOT
from test_cli import assert_refused

INTENTS = ROOT / "models/intents"
STORYTELLER = ROOT / "models/storyteller"


@pytest.fixture
def questions(tmp_path):
    """Questions with the labels that transformers gives them."""
    reference = json.loads((INTENTS / "reference.json").read_text())
    file = tmp_path / "questions.jsonl"
    lines = [json.dumps({"text": question["text"], "label": question["label"]}) for question in reference]
    file.write_text("\n".join(lines))
    return file


def costs(report: dict) -> dict[str, dict]:
    return {point["name"]: point for point in report["proof"]["frontier"]["points"]}


def test_the_smallest_package_within_the_budget_is_packed(emberlite, tmp_path, questions):
    arguments = ("--max-loss", "3%", "--target", "size", "--trials", "12", "--data", questions, "--report", "report.html")
    report = emberlite.json("pack", INTENTS, "-o", "small.ember", *arguments)
    points = costs(report)
    chosen = [point for point in points.values() if point["chosen"]]
    within = [point for point in points.values() if point["loss"] <= 0.03]
    assert len(chosen) == 1 and len(points) > 5
    assert chosen[0]["package_bytes"] == min(point["package_bytes"] for point in within)
    assert chosen[0]["package_bytes"] < points["none"]["package_bytes"] / 3
    assert report["proof"]["loss"]["value"] <= 0.03 and not report["proof"]["missed"]
    size = (tmp_path / "small.ember").stat().st_size
    assert abs(size - chosen[0]["package_bytes"]) < 8192
    page = (tmp_path / "report.html").read_text()
    assert chosen[0]["name"] in page and "questions.jsonl" in page


def test_what_was_found_is_packed_again_byte_for_byte_by_its_recipe(emberlite, tmp_path, questions):
    source = tmp_path / "again"
    shutil.copytree(INTENTS / "encoder", source / "encoder")
    shutil.copy(INTENTS / "pack.toml", source)
    shutil.copy(INTENTS / "questions.txt", source)
    shutil.copy(questions, source)
    data = source / "questions.jsonl"
    arguments = ("--max-loss", "3%", "--target", "size", "--trials", "8", "--data", data)
    report = emberlite.json("pack", source, "-o", "found.ember", *arguments)
    recipe = emberlite("inspect", "--recipe", "found.ember").stdout
    assert "max_loss = 0.03" in recipe and "questions.jsonl" in recipe
    (source / "pack.toml").write_text(recipe)
    again = emberlite.json("pack", source, "-o", "again.ember")
    assert again["digest"] == report["digest"]
    assert (tmp_path / "again.ember").read_bytes() == (tmp_path / "found.ember").read_bytes()
    assert again["proof"]["missed"] == [] and "frontier" not in again["proof"]

    data.write_text(data.read_text() + '\n{"text": "more", "label": "change_pin"}\n')
    done = emberlite("pack", source, "-o", "third.ember")
    assert_refused(done, "questions.jsonl is not the file that the recipe was written for")


def test_a_package_below_the_thresholds_of_its_recipe_is_not_written(emberlite, tmp_path, questions):
    recipe = tmp_path / "strict.toml"
    text = (INTENTS / "pack.toml").read_text().replace('model = "encoder"', f'model = "{INTENTS / "encoder"}"')
    text = text.replace('file = "questions.txt"', f'file = "{INTENTS / "questions.txt"}"')
    recipe.write_text(f'{text}\n[[prune]]\nmethod = "layers"\namount = "50%"\n[verify]\ndata = "questions.jsonl"\nmin_agreement = "99%"\n')
    done = emberlite("pack", recipe, "-o", "strict.ember", "--report", "why.html")
    assert_refused(done, "the package loses too much, and is not written", "min_agreement", "99 %")
    assert not (tmp_path / "strict.ember").exists()
    assert "min_agreement" in (tmp_path / "why.html").read_text()


@pytest.mark.parametrize("model", ["digits", "credit", "diagnosis"])
def test_a_model_of_tensors_needs_no_data(emberlite, tmp_path, model):
    report = emberlite.json("pack", ROOT / "models" / model, "-o", "small.ember", "--max-loss", "2%", "--target", "size", "--trials", "8")
    points = costs(report)
    assert [point["chosen"] for point in points.values()].count(True) == 1
    assert (tmp_path / "small.ember").stat().st_size <= points["none"]["package_bytes"] + 1024
    assert not any("=" in name for name in points), "nothing is taken out by random inputs alone"
    assert any("without --data" in warning for warning in report["warnings"])


def test_a_language_model_is_searched_by_its_perplexity(emberlite):
    arguments = ("--max-loss", "2%", "--target", "size", "--trials", "4", "--data", STORYTELLER / "tale.txt")
    patient = dataclasses.replace(emberlite, seconds=400)
    report = patient.json("pack", STORYTELLER / "model", "--name", "tales", "-o", "small.ember", *arguments)
    assert report["proof"]["loss"]["what"] == "perplexity growth"
    assert report["proof"]["loss"]["value"] <= 0.02
    points = costs(report)
    chosen = next(point for point in points.values() if point["chosen"])
    assert chosen["package_bytes"] < points["none"]["package_bytes"] / 2


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--max-loss", "5"), "expected a part below 1 as 0.01, or a percentage"),
        (("--target", "size"), "--max-loss"),
        (("--max-loss", "1%", "--data", "nowhere.csv"), "there is no file or folder nowhere.csv"),
        (("--prune", "ears=25%"), "methods are neurons, heads"),
        (("--prune", "neurons=0"), "between 0 and 1"),
    ],
)
def test_what_can_not_be_meant_is_refused(emberlite, arguments, reason):
    done = emberlite("pack", INTENTS, "-o", "small.ember", *arguments)
    assert done.returncode != 0 and reason in done.stderr, done.stderr
