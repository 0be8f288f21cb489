"""`emberlite bench`: what it measures for each kind of model, and what it refuses."""

import pytest

from support.packages import MODELS
from test_cli import assert_refused

QUICK = ("--seconds", "0.05")


def assert_measured(cells: list[dict]) -> None:
    """Every cell has runs whose median lies between their tenths, and a rate that fits it."""
    for cell in cells:
        assert cell["runs"] >= 5
        assert 0 < cell["low_ms"] <= cell["median_ms"] <= cell["high_ms"]
        units = cell["batch"] * (cell["length"] if cell["what"] == "prefill" else 1)
        assert cell["per_second"] == pytest.approx(1000 * units / cell["median_ms"])
        assert cell["peak_bytes"] > 0


@pytest.mark.parametrize("model", MODELS)
def test_a_model_of_tables_or_images_is_measured_by_batch(emberlite, packages, model):
    report = emberlite.json("bench", packages[model].file, *QUICK, "--batch", "4,1", "--threads", "1")
    assert [(cell["what"], cell["batch"]) for cell in report["cells"]] == [("run", 1), ("run", 4)]
    assert_measured(report["cells"])
    assert (report["model"], report["digest"], report["threads"]) == (model, packages[model].digest, 1)
    assert report["load_ms"] > 0 and report["package_bytes"] == packages[model].file.stat().st_size
    memory = report["memory"]
    assert 0 < memory["before_load"]["resident_bytes"] <= memory["peak_bytes"]


def test_a_model_of_texts_is_measured_by_batch_and_length(emberlite, text_store):
    [package] = (text_store / "models/sentences").glob("*.ember")
    report = emberlite.json("bench", package, *QUICK, "--batch", "1,3", "--length", "4,8")
    cells = [(cell["batch"], cell["length"]) for cell in report["cells"]]
    assert cells == [(1, 4), (1, 8), (3, 4), (3, 8)]
    assert_measured(report["cells"])
    refused = emberlite("bench", package, *QUICK, "--length", "100000")
    assert_refused(refused, "reads at most", "100000")


def test_a_language_model_is_measured_reading_and_writing(emberlite, language_store):
    [package] = (language_store / "models/writer").glob("*.ember")
    report = emberlite.json("bench", package, *QUICK, "--batch", "1,4", "--length", "16,64")
    cells = [(cell["what"], cell["batch"], cell["length"]) for cell in report["cells"]]
    reading = [("prefill", 1, 16), ("prefill", 1, 64)]
    assert cells == reading + [("decode", batch, length) for batch in (1, 4) for length in (16, 64)]
    assert_measured(report["cells"])


def test_the_table_tells_the_machine_and_every_cell(emberlite, packages):
    report = emberlite.json("bench", packages["digits"].file, *QUICK)
    text = emberlite("bench", packages["digits"].file, *QUICK, "--threads", "2").stdout
    assert f"digits (predict) on 2 threads with {report['isa']}" in text
    rows = [line.split()[0] for line in text.splitlines() if line.strip()[:1].isdigit()]
    assert rows == ["1", "8", "32"]
    for word in ("package", "load", "memory", "median", "rows/s"):
        assert word in text


def test_what_can_not_be_measured_is_refused(emberlite, packages, tmp_path):
    file = packages["digits"].file
    assert_refused(emberlite("bench", file, "--length", "16"), "leave --length out")
    assert_refused(emberlite("bench", "nosuch.ember"), "nosuch.ember")
    (tmp_path / "model.onnx").write_bytes(b"onnx")
    assert_refused(emberlite("bench", "model.onnx"), "model.onnx")
    for wrong in (["--batch", "0"], ["--seconds", "0"], ["--threads", "none"]):
        assert emberlite("bench", file, *wrong).returncode == 2
