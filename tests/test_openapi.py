"""The OpenAPI document: schemathesis finds no answer that it does not describe, and no server error."""

import subprocess
import sys
from pathlib import Path

import pytest

from support.packages import MODELS
from support.processes import environment

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
# Whether a row fits depends on the model, which a document for every model can't tell.
EXCLUDED = "positive_data_acceptance"
# text-embeddings-inference refuses with 424 what a model is not for, whatever else is wrong with the request.
REFUSALS = ["400", "404", "405", "413", "415", "422", "424"]


def check(url: str, model: str, folder: Path, *options: str) -> None:
    """Runs schemathesis on the document of a running server, every path naming this model; it must find nothing."""
    config = folder / "schemathesis.toml"
    checks = f"[checks.negative_data_rejection]\nexpected-statuses = {REFUSALS}\n"
    config.write_text(f'[parameters]\n"path.model" = "{model}"\n{checks}')
    run = [SCHEMATHESIS, "--config-file", config, "run", f"{url}/openapi.json", "--seed", "1", "--no-color"]
    kept = ["--continue-on-failure", "--exclude-checks", EXCLUDED, "--generation-database", "none"]
    done = subprocess.run(
        [*run, *kept, *options],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment(),
        timeout=170,
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]


def test_the_document_describes_what_there_is(served):
    document = served.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    assert {
        "/healthz",
        "/metrics",
        "/models",
        "/models/{model}",
        "/predict",
        "/models/{model}/predict",
        "/classify",
        "/models/{model}/classify",
        "/embed",
        "/similarity",
        "/rerank",
        "/v1/embeddings",
        "/models/{model}/v1/embeddings",
        "/v1/models",
        "/v2",
        "/v2/health/live",
        "/v2/health/ready",
        "/v2/models/{model}",
        "/v2/models/{model}/ready",
        "/v2/models/{model}/infer",
        "/openapi.json",
    } <= document["paths"].keys()


def test_every_answer_is_as_documented(served, tmp_path):
    check(served.url, "diagnosis", tmp_path, "--max-examples", "15")


@pytest.mark.parametrize("model", MODELS)
def test_no_request_for_a_prediction_gets_an_undocumented_answer(served, tmp_path, model):
    predictions = ["--include-path-regex", r"\{model\}/(predict|infer)"]
    check(served.url, model, tmp_path, *predictions, "--phases", "fuzzing", "--max-examples", "60")
