"""`emberlite pack --prune`: packages that are smaller, say what was taken out, and mostly answer as before."""

import pytest

from support.processes import ROOT
from test_cli import assert_refused

INTENTS, STORYTELLER = ROOT / "models/intents", ROOT / "models/storyteller"
QUESTIONS = (INTENTS / "questions.txt").read_text().splitlines()


def pack(emberlite, source, name: str, *arguments) -> dict:
    return emberlite.json("pack", source, "-o", f"{name}.ember", *arguments)


def assert_account(report: dict, *methods: str):
    """Each step says what it took out, and goes on from what the one before left."""
    pruning = report["manifest"]["pruning"]
    assert [step["method"] for step in pruning] == list(methods)
    for step in pruning:
        assert 0 < step["removed"] < step["units"]
        assert step["parameters_after"] < step["parameters_before"]
        assert 0 <= step["loss"] < 0.5
    for before, after in zip(pruning, pruning[1:]):
        assert after["parameters_before"] == before["parameters_after"]


def labels(server) -> list[str]:
    response = server.post("/models/intents/classify", json={"input": QUESTIONS, "top_k": 1})
    assert response.status_code == 200, response.text
    return [prediction["predicted_label"] for prediction in response.json()["predictions"]]


def test_a_classifier_loses_neurons_heads_and_ranks_and_mostly_answers_as_before(emberlite, tmp_path, serve):
    whole = pack(emberlite, INTENTS, "whole")
    steps = ("--prune", "neurons=25%", "--prune", "heads=25%", "--prune", "low-rank=20%")
    pruned = pack(emberlite, INTENTS, "pruned", *steps)
    assert_account(pruned, "neurons", "heads", "low-rank")
    heads = pruned["manifest"]["pruning"][1]
    assert (heads["units"], heads["removed"]) == (16, 4)
    assert pruned["package_bytes"] < 0.8 * whole["package_bytes"]
    inspected = emberlite("inspect", tmp_path / "pruned.ember", "--json")
    assert inspected.returncode == 0 and '"heads"' in inspected.stdout
    before, after = labels(serve(tmp_path / "whole.ember")), labels(serve(tmp_path / "pruned.ember"))
    same = sum(one == other for one, other in zip(before, after, strict=True))
    assert same >= 0.8 * len(QUESTIONS)


def test_a_recipe_prunes_and_the_same_recipe_gives_the_same_package(emberlite, tmp_path):
    recipe = tmp_path / "recipe"
    recipe.mkdir()
    (recipe / "pack.toml").write_text(
        f'model = "{INTENTS / "encoder"}"\nname = "small"\n'
        '[[prune]]\nmethod = "heads"\namount = "50%"\nkeep = ["encoder_0_*"]\n'
        '[[prune]]\nmethod = "neurons"\namount = 0.3\n'
    )
    reports = [pack(emberlite, recipe, name) for name in ("first", "second")]
    assert reports[0]["digest"] == reports[1]["digest"]
    assert_account(reports[0], "heads", "neurons")
    assert reports[0]["manifest"]["pruning"][0]["units"] == 8


def test_a_whole_layer_goes(emberlite, tmp_path):
    report = pack(emberlite, INTENTS, "shallow", "--prune", "layers=50%")
    assert_account(report, "layers")
    [step] = report["manifest"]["pruning"]
    assert (step["units"], step["removed"]) == (2, 1)


@pytest.mark.parametrize("step", ["neurons=25%", "heads=25%", "layers=20%", "low-rank=15%", "blocks=40%", "weights=50%"])
def test_a_language_model_is_pruned_and_its_perplexity_told(emberlite, tmp_path, serve, step):
    report = pack(emberlite, STORYTELLER, "small", "--prune", step, "--quantize", "int8")
    assert_account(report, step.split("=")[0])
    perplexity = report["manifest"]["generate"]["perplexity"]
    assert perplexity["source"] < perplexity["packed"] < 4 * perplexity["source"]
    body = {"prompt": "Once upon a time", "max_tokens": 8, "temperature": 0}
    response = serve(tmp_path / "small.ember").post("/v1/completions", json={"model": "storyteller", **body})
    assert response.status_code == 200 and response.json()["choices"][0]["text"], response.text


@pytest.mark.parametrize("method", ["blocks", "weights"])
def test_weights_that_are_held_at_zero_are_left_out_of_the_package(emberlite, tmp_path, serve, method):
    whole, thin = (pack(emberlite, INTENTS, name, *steps) for name, steps in [("whole", ()), ("thin", ("--prune", f"{method}=50%"))])
    assert_account(thin, method)
    assert thin["package_bytes"] < 0.9 * whole["package_bytes"]
    assert (whole["manifest"]["format"], thin["manifest"]["format"]) == (1, 2)
    again = pack(emberlite, INTENTS, "again", "--prune", f"{method}=50%")
    assert again["digest"] == thin["digest"]
    inspected = emberlite("inspect", "thin.ember").stdout
    assert ("zeros" in inspected) == (method == "weights") and (".index" in inspected) == (method == "blocks")
    before, after = labels(serve(tmp_path / "whole.ember")), labels(serve(tmp_path / "thin.ember"))
    same = sum(one == other for one, other in zip(before, after, strict=True))
    assert same >= 0.8 * len(QUESTIONS)


def test_weights_are_held_at_zero_last(emberlite):
    steps = ("--prune", "blocks=50%", "--prune", "neurons=25%")
    refused = emberlite("pack", INTENTS, "-o", "x.ember", *steps)
    assert_refused(refused, "expected blocks=50% after neurons=25%")
    assert_refused(emberlite("pack", INTENTS, "-o", "x.ember", "--dry-run", *steps), "expected blocks=50% after")


@pytest.mark.parametrize(
    ("step", "scheme", "said"),
    [("blocks=50%", "f16", "makes nothing faster"), ("weights=50%", "q4", "makes nothing smaller")],
)
def test_a_format_that_gains_nothing_by_zeros_is_told(emberlite, step, scheme, said):
    done = emberlite("pack", INTENTS, "-o", "x.ember", "--dry-run", "--prune", step, "--quantize", scheme)
    assert done.returncode == 0 and said in done.stdout + done.stderr, done.stderr


def test_what_a_model_has_not_can_not_go(emberlite):
    credit = ROOT / "models/credit"
    assert_refused(emberlite("pack", credit, "-o", "x.ember", "--prune", "heads=25%"), "no heads that can be taken out")
    refused = emberlite("pack", INTENTS, "-o", "x.ember", "--prune", "ears=25%")
    assert_refused(refused, "methods are neurons")
