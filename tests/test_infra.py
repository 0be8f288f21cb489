"""What infra/ says agrees with what the binaries read and answer: ports, variables, paths."""

import json
import re
import shutil
import subprocess

import pytest

from support.infra import INFRA, container, read_json, read_yaml, references, terraform
from support.processes import environment

# Read by the AWS SDK, not by us.
CREDENTIALS = {"AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}


@pytest.fixture(scope="module")
def variables(binaries) -> set[str]:
    """The variables that the binaries know."""
    help_text = subprocess.run([binaries.functions["consume"], "--help"], capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"^  ([A-Z][A-Z0-9_]+) ", help_text, re.MULTILINE)) | CREDENTIALS


# Google Cloud


@pytest.fixture(scope="module")
def google() -> dict:
    return terraform("google")


@pytest.fixture(scope="module")
def service(google) -> dict:
    return google["google_cloud_run_v2_service"]["consume"]["template"][0]


def test_terraform_finds_its_files_as_it_would_write_them():
    program = shutil.which("terraform")
    if not program:
        pytest.skip("terraform is not installed")
    done = subprocess.run([program, "fmt", "-check", "-diff", INFRA / "google"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_whatever_terraform_names_is_there(google):
    data = {("google_storage_project_service_account", "storage"), ("google_project", "this")}
    known = {(kind, name) for kind, named in google.items() for name in named} | data
    assert references("google") <= known


def test_cloud_run_sets_variables_that_there_are(service, variables):
    [run] = service["containers"]
    said = {entry["name"]: entry.get("value", "") for entry in run["env"]}
    assert said.keys() <= variables
    assert {"EMBER_STORE", "EMBER_RESULTS", "EMBER_INPUTS", "EMBER_S3_ENDPOINT"} <= said.keys()
    assert said["EMBER_RESULTS"].rsplit("/", 1)[0] == said["EMBER_INPUTS"].rsplit("/", 1)[0]
    assert service["max_instance_request_concurrency"] <= int(said["EMBER_MAX_REQUESTS"])
    assert "AWS_SECRET_ACCESS_KEY" in said and said["AWS_SECRET_ACCESS_KEY"] == ""


def test_cloud_run_asks_for_paths_that_are_answered(service, consume_over_http):
    [run] = service["containers"]
    assert run["ports"][0]["container_port"] == 8080
    server = consume_over_http(EMBER_MODEL="digits")
    for probe in ("startup_probe", "liveness_probe"):
        path = run[probe][0]["http_get"][0]["path"]
        assert server.get(path).status_code in (200, 503), path


def test_pubsub_pushes_to_the_path_of_events_as_somebody_and_keeps_dead_letters(google):
    work = google["google_pubsub_subscription"]["work"]
    push = work["push_config"][0]
    assert push["push_endpoint"] == "${google_cloud_run_v2_service.consume.uri}/events"
    assert "google_service_account.push" in push["oidc_token"][0]["service_account_email"]
    assert "dead_letters" in work["dead_letter_policy"][0]["dead_letter_topic"]
    assert "dead_letters" in google["google_pubsub_subscription"]["dead_letters"]["topic"]
    publishers = google["google_pubsub_topic_iam_member"]
    assert publishers["dead_letters"]["role"] == "roles/pubsub.publisher"
    assert google["google_storage_notification"]["inputs"]["payload_format"] == "JSON_API_V1"


def test_nobody_may_more_than_is_needed(google):
    roles = [member["role"] for kind, named in google.items() if kind.endswith("_iam_member") for member in named.values()]
    assert set(roles) == {
        *("roles/storage.objectViewer", "roles/storage.objectUser", "roles/secretmanager.secretAccessor"),
        *("roles/run.invoker", "roles/pubsub.publisher", "roles/pubsub.subscriber"),
    }
    buckets = google["google_storage_bucket_iam_member"]
    assert "/objects/in/" in buckets["read_inputs"]["condition"][0]["expression"]
    assert "/objects/out/" in buckets["write_results"]["condition"][0]["expression"]
    assert all("allUsers" not in json.dumps(named) for named in google.values())


# Knative


@pytest.fixture(scope="module")
def knative() -> dict:
    return read_yaml("knative/service.yaml")["spec"]["template"]["spec"]


def test_knative_sets_variables_that_there_are(knative, variables):
    [run] = knative["containers"]
    said = {entry["name"]: entry["value"] for entry in run["env"]}
    assert said.keys() <= variables
    assert knative["containerConcurrency"] <= int(said["EMBER_MAX_REQUESTS"])
    assert run["ports"] == [{"containerPort": 8080}]


def test_knative_runs_it_as_nobody_who_may_write_nothing(knative):
    security = knative["containers"][0]["securityContext"]
    assert security["runAsNonRoot"] and security["readOnlyRootFilesystem"] and not security["allowPrivilegeEscalation"]
    assert f"{security['runAsUser']}:65534" == container(INFRA / "container/Containerfile")["USER"][0]


def test_knative_sends_events_to_the_service_and_keeps_dead_letters(knative):
    trigger = read_yaml("knative/trigger.yaml")["spec"]
    service = read_yaml("knative/service.yaml")
    assert trigger["subscriber"]["ref"]["name"] == service["metadata"]["name"]
    assert trigger["subscriber"]["uri"] == "/events"
    assert trigger["delivery"]["deadLetterSink"]


# Function Compute


@pytest.fixture(scope="module")
def alibaba() -> dict:
    return read_yaml("alibaba/s.yaml")["resources"]


@pytest.mark.parametrize("name", ["predict", "consume"])
def test_function_compute_runs_the_binary_on_the_port_it_listens_on(alibaba, variables, binaries, name):
    properties = alibaba[name]["props"]
    assert properties["runtime"].startswith("custom.")
    assert properties["customRuntimeConfig"]["port"] == 9000
    assert properties["environmentVariables"].keys() <= variables
    assert properties["code"].rsplit("/", 1)[1] == name and name in binaries.functions
    assert properties["instanceLifecycleConfig"]["initializer"]["handler"] == "initialize"


# Azure


@pytest.mark.parametrize("name", ["predict", "consume"])
def test_azure_starts_the_binary(binaries, name):
    host = read_json(f"azure/{name}/host.json")
    assert host["version"] == "2.0"
    assert host["customHandler"]["description"]["defaultExecutablePath"] == name
    assert name in binaries.functions


def test_azure_passes_every_path_to_the_function_of_http():
    host = read_json("azure/predict/host.json")
    assert host["customHandler"]["enableForwardingHttpRequest"] is True
    assert host["extensions"]["http"]["routePrefix"] == ""
    trigger, _ = read_json("azure/predict/http/function.json")["bindings"]
    assert (trigger["type"], trigger["route"]) == ("httpTrigger", "{*path}")


def test_azure_has_one_trigger_and_takes_the_answer_as_it_is_given():
    trigger, output = read_json("azure/consume/work/function.json")["bindings"]
    assert (trigger["type"], trigger["direction"]) == ("queueTrigger", "in")
    assert (output["name"], output["direction"]) == ("$return", "out")
    assert trigger["queueName"] != output["queueName"]


# A container


def test_the_container_is_run_by_nobody_and_listens_where_it_says(variables):
    stage = container(INFRA / "container/Containerfile")
    assert stage["FROM"] == ["scratch"]
    assert stage["USER"] == ["65534:65534"]
    said = dict(pair.split("=", 1) for pair in stage["ENV"][0].split())
    assert said["PORT"] == stage["EXPOSE"][0] == "8080"
    assert "PORT" in variables
    assert json.loads(stage["ENTRYPOINT"][0]) == ["/function"]
