"""A cold start is told step by step: in the log, as metrics, and with the model."""

import json
import re

import pytest

from support.clouds import event

# What every first load of a process consists of, in the order in which the steps begin.
STEPS = ("exec", "init", "wait", "pointer", "digest", "graph", "plan", "first_run")


def steps_of(record: dict) -> dict[str, float]:
    """A record's steps by their names, in milliseconds."""
    return {name[:-3]: took for name, took in record.items() if name.endswith("_ms") and name != "total_ms"}


def test_the_first_run_writes_one_record_with_every_step(served_alone):
    assert "cold_start" not in served_alone.log()
    for _ in range(2):
        assert served_alone.post("/models/diagnosis/predict", json={"input": [0.5] * 30}).status_code == 200
    [record] = [record for record in served_alone.records() if record["message"] == "cold_start"]
    steps = steps_of(record)
    assert set(STEPS) <= steps.keys() and all(took >= 0 for took in steps.values())
    assert record["model"] == "diagnosis" and record["bytes"] > 1000
    longest = max(took for name, took in steps.items() if name != "wait")
    whole = sum(took for name, took in steps.items() if name != "wait")
    assert longest <= record["total_ms"] <= whole + 1000


def test_only_the_first_model_is_charged_with_the_start_of_the_process(served_alone):
    served_alone.post("/models/diagnosis/predict", json={"input": [0.5] * 30})
    served_alone.post("/models/intents/classify", json={"input": "Where is my card?"})
    first, second = [record for record in served_alone.records() if record["message"] == "cold_start"]
    assert "exec_ms" in first and "exec_ms" not in second


def test_a_model_tells_its_cold_start_once_it_has_run(served_alone):
    assert served_alone.get("/models/diagnosis").json()["cold_start"] is None
    served_alone.post("/models/diagnosis/predict", json={"input": [0.5] * 30})
    told = served_alone.get("/models/diagnosis").json()["cold_start"]
    assert set(STEPS) <= {step["step"] for step in told["steps"]}
    starts = [step["start_ms"] for step in told["steps"]]
    assert starts == sorted(starts)
    waited = sum(step["took_ms"] for step in told["steps"] if step["step"] == "wait")
    end = max(step["start_ms"] + step["took_ms"] for step in told["steps"])
    assert told["total_ms"] == pytest.approx(end - waited, abs=0.01)


def test_metrics_are_in_the_format_of_prometheus(served_alone):
    served_alone.post("/models/diagnosis/predict", json={"input": [0.5] * 30})
    answer = served_alone.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    samples = {}
    for line in answer.text.splitlines():
        if line.startswith("#"):
            assert re.fullmatch(r"# (HELP|TYPE) emberlite_\w+ .+", line), line
            continue
        name, labels, value = re.fullmatch(r'(emberlite_\w+)\{(.*)\} (\S+)', line).groups()
        labels = dict(re.findall(r'(\w+)="([^"]*)"', labels))
        samples[name, labels["model"], labels.get("step")] = float(value)
    described = served_alone.get("/models/diagnosis").json()
    assert samples["emberlite_package_bytes", "diagnosis", None] == described["package_bytes"]
    total = samples["emberlite_cold_start_seconds", "diagnosis", None]
    assert total * 1000 == pytest.approx(described["cold_start"]["total_ms"], abs=0.01)
    assert samples["emberlite_cold_start_step_seconds", "diagnosis", "plan"] > 0


def test_a_text_model_and_a_language_model_have_a_tokenizer_step(served_alone):
    served_alone.post("/models/intents/classify", json={"input": "Where is my card?"})
    served_alone.post("/v1/completions", json={"model": "storyteller", "prompt": "Once", "max_tokens": 1})
    records = {record["model"]: record for record in served_alone.records() if record["message"] == "cold_start"}
    assert {"intents", "storyteller"} == records.keys()
    assert all(record["tokenizer_ms"] > 0 and record["first_run_ms"] > 0 for record in records.values())


def test_on_lambda_the_steps_are_cloudwatch_metrics(lambda_function, bucket, packages, emberlite):
    emberlite.json("push", packages["diagnosis"].file, "--store", bucket.url, env=bucket.env)
    function = lambda_function(**bucket.env)
    assert function.invoke(event("predict-url"))["statusCode"] == 200
    [metrics] = [record for record in function.process.records() if "_aws" in record]
    [told] = metrics["_aws"]["CloudWatchMetrics"]
    assert told["Namespace"] == "Emberlite"
    names = {metric["Name"] for metric in told["Metrics"]}
    assert {"cold_start", "cold_start_plan", "cold_start_first_run"} <= names
    assert all(isinstance(metrics[name], int | float) for name in names)
    assert (metrics["model"], metrics["function"]) == ("diagnosis", "predict")


def test_inspect_shows_where_a_load_spends_its_time(emberlite, packages):
    told = emberlite.json("inspect", packages["diagnosis"].file, "--load")
    steps = {step["step"]: step for step in told["steps"]}
    assert {"digest", "graph", "plan"} <= steps.keys()
    assert all(step["first_ms"] >= 0 and step["again_ms"] >= 0 for step in steps.values())
    assert told["package_bytes"] == packages["diagnosis"].file.stat().st_size
    assert max(step["again_ms"] for step in steps.values()) <= told["again_ms"] * 1.5
    assert "plan" in emberlite("inspect", packages["diagnosis"].file, "--load").stdout
