"""Schemes of quantization through the real binary: each packs, serves, and tells the truth of what it cost."""

import pytest

from support.packages import Command
from support.processes import ROOT
from test_cli import assert_refused

INTENTS, STORYTELLER = ROOT / "models/intents", ROOT / "models/storyteller"
QUESTIONS = [line for line in (INTENTS / "questions.txt").read_text().splitlines() if line.strip()]
SCHEMES = {
    "int8": (["--quantize", "int8"], {"int8"}),
    "int8-smooth": (["--quantize", "int8", "--smooth"], {"int8"}),
    "static-min-max": (["--quantize", "int8-static", "--range", "min-max"], {"int8"}),
    "static-percentile": (["--quantize", "int8-static", "--range", "percentile=99.9"], {"int8"}),
    "static-entropy": (["--quantize", "int8-static", "--range", "entropy", "--smooth", "0.5"], {"int8"}),
    "q4": (["--quantize", "q4"], {"q4", "int8"}),
    "q4-awq": (["--quantize", "q4-awq"], {"q4", "int8"}),
    "q4-calibrated": (["--quantize", "q4-calibrated"], {"q4", "int8"}),
    "auto": (["--quantize", "auto", "--budget", "0.001"], {"q4", "int8", "f16"}),
}


@pytest.fixture(scope="module")
def command(binaries, tmp_path_factory) -> Command:
    return Command(binaries.emberlite, tmp_path_factory.mktemp("quantize"), seconds=600)


@pytest.fixture(scope="module")
def pack(command):
    """Packs a model with flags, once."""
    reports = {}

    def pack(source, name: str, *flags) -> dict:
        key = (source.name, name)
        if key not in reports:
            file = command.folder / f"{source.name}-{name}.ember"
            reports[key] = command.json("pack", source, "--name", source.name, "-o", file, *flags)
        return reports[key]

    return pack


def labels(served, texts: list[str]) -> list[str]:
    response = served.post("/models/intents/classify", json={"input": texts, "top_k": 1})
    assert response.status_code == 200, response.text
    return [one["predicted_label"] for one in response.json()["predictions"]]


@pytest.fixture(scope="module")
def expected(pack):
    return pack(INTENTS, "none", "--quantize", "none")["file"]


@pytest.mark.parametrize("name", SCHEMES)
def test_a_classifier_agrees_with_its_source_as_the_manifest_says(pack, serve, expected, name):
    flags, formats = SCHEMES[name]
    report = pack(INTENTS, name, *flags)
    quantization = report["manifest"]["quantization"]
    assert {layer["format"] for layer in quantization["layers"]} <= formats
    source, packed = labels(serve(expected), QUESTIONS), labels(serve(report["file"]), QUESTIONS)
    same = sum(a == b for a, b in zip(source, packed, strict=True)) / len(QUESTIONS)
    assert quantization["agreement"]["texts"] == len(QUESTIONS)
    assert quantization["agreement"]["labels"] == pytest.approx(same, abs=1e-9)
    assert same > 0.85


@pytest.mark.parametrize("name", SCHEMES)
def test_a_language_model_goes_on_with_a_story(pack, serve, name):
    flags, formats = SCHEMES[name]
    report = pack(STORYTELLER, name, *flags)
    manifest = report["manifest"]
    assert {layer["format"] for layer in manifest["quantization"]["layers"]} <= formats
    perplexity = manifest["generate"]["perplexity"]
    assert perplexity["packed"] < 1.3 * perplexity["source"]
    asked = {"model": "storyteller", "prompt": "Once upon a time", "max_tokens": 8, "temperature": 0}
    response = serve(report["file"]).post("/v1/completions", json=asked)
    assert response.status_code == 200, response.text
    assert response.json()["usage"]["completion_tokens"] > 0


def test_calibrated_4_bits_lose_less_than_rounding_to_nearest(pack):
    perplexities = [
        pack(STORYTELLER, name, *SCHEMES[name][0])["manifest"]["generate"]["perplexity"]
        for name in ("q4", "q4-calibrated")
    ]
    nearest, calibrated = [one["packed"] / one["source"] - 1 for one in perplexities]
    assert calibrated < nearest


def test_a_larger_budget_makes_a_smaller_package(pack):
    sizes = [
        pack(INTENTS, f"auto-{budget}", "--quantize", "auto", "--budget", budget)["package_bytes"]
        for budget in ("0", "0.05")
    ]
    assert sizes[0] > 2 * sizes[1]
    assert pack(INTENTS, "q4-calibrated", *SCHEMES["q4-calibrated"][0])["package_bytes"] >= sizes[1]


@pytest.mark.parametrize("name", ["static-entropy", "q4-calibrated", "auto"])
def test_the_same_recipe_gives_the_same_package(pack, command, name):
    flags, _ = SCHEMES[name]
    again = command.json("pack", INTENTS, "--name", "intents", "-o", command.folder / "again.ember", *flags)
    assert again["digest"] == pack(INTENTS, name, *flags)["digest"]


def test_formats_are_given_to_layers_by_name(command):
    recipe = command.folder / "pack.toml"
    recipe.write_text(
        f'model = "{INTENTS / "encoder"}"\ntask = "classify"\n'
        '[quantize]\nscheme = "q4-calibrated"\nsmooth = 0.5\nformats = { "embeddings*" = "q4", "*head*" = "f16" }\n'
    )
    manifest = command.json("pack", recipe, "--name", "intents", "-o", "named.ember")["manifest"]
    formats = {layer["name"]: layer["format"] for layer in manifest["quantization"]["layers"]}
    assert formats["embeddings"] == "q4"
    assert "f16" in formats.values()
    assert manifest["quantization"]["method"] == "gptq, smooth 0.5"


def test_what_does_not_go_together_is_refused(command):
    refusals = {
        ("--quantize", "int8", "--range", "entropy"): ("int8-static",),
        ("--quantize", "int8-static", "--range", "percentile=20"): ("percentile",),
        ("--quantize", "f16", "--smooth"): ("whole numbers",),
        ("--quantize", "int8", "--smooth", "2"): ("exponent", "0 to 1"),
        ("--quantize", "q4-awq", "--smooth", "false"): ("q4-awq", "q4"),
        ("--quantize", "q4", "--budget", "0.1"): ("auto",),
        ("--quantize", "auto", "--budget=-1"): ("budget",),
        ("--quantize", "auto", "--keep", "auto"): ("keep auto",),
    }
    for arguments, words in refusals.items():
        refused = command("pack", INTENTS, "-o", "refused.ember", *arguments)
        assert_refused(refused, *words)
    assert not (command.folder / "refused.ember").exists()
