"""The deployment: what the linters do not see in template.yaml."""

import subprocess

import pytest
import yaml

from support.processes import ROOT


class Loader(yaml.SafeLoader):
    """Reads CloudFormation's short forms as their long ones."""


def _short_form(loader, suffix, node):
    name = suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}"
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    return {name: value}


Loader.add_multi_constructor("!", _short_form)


@pytest.fixture(scope="module")
def template() -> dict:
    return yaml.load((ROOT / "template.yaml").read_text(), Loader)


@pytest.fixture(params=["predict", "embed", "classify", "generate"])
def name(request) -> str:
    """A function's name: that of its binary."""
    return request.param


@pytest.fixture
def function(template, name) -> dict:
    return template["Resources"][name.title()]


def statements(role: dict) -> list[dict]:
    policies = role["Properties"]["Policies"]
    return [statement for policy in policies for statement in policy["PolicyDocument"]["Statement"]]


def as_list(value) -> list:
    return value if isinstance(value, list) else [value]


def test_the_url_answers_as_the_function_does_and_asks_who_calls(template, function, name):
    url = function["Properties"]["FunctionUrlConfig"]
    mode = "RESPONSE_STREAM" if name == "generate" else "BUFFERED"
    assert url == {"AuthType": {"Ref": "UrlAuthType"}, "InvokeMode": mode}
    said = function["Properties"]["Environment"]["Variables"].get("EMBER_INVOKE_MODE", "buffered")
    assert said.upper() == mode
    parameter = template["Parameters"]["UrlAuthType"]
    assert parameter["Default"] == "AWS_IAM"
    assert parameter["AllowedValues"] == ["AWS_IAM", "NONE"]


def test_the_function_is_the_rust_binary(function, name):
    assert function["Metadata"] == {"BuildMethod": "rust-cargolambda", "BuildProperties": {"Binary": name}}
    properties = function["Properties"]
    assert properties["Runtime"] == "provided.al2023"
    assert (ROOT / properties["CodeUri"] / "Cargo.toml").is_file()
    assert properties["Timeout"] == (120 if name == "generate" else 30)


def test_it_runs_on_either_architecture_with_a_whole_core(template, function):
    assert function["Properties"]["Architectures"] == [{"Ref": "Architecture"}]
    assert template["Parameters"]["Architecture"]["AllowedValues"] == ["x86_64", "arm64"]
    assert template["Parameters"]["MemorySize"]["Default"] == 1769


def test_variables_are_those_that_the_function_knows(function, name, binaries):
    variables = function["Properties"]["Environment"]["Variables"]
    said = subprocess.run([binaries.functions[name], "--help"], capture_output=True, text=True, check=True).stdout
    own = {"EMBER_INVOKE_MODE"} if name == "generate" else set()
    assert variables.keys() == {"EMBER_STORE", "EMBER_MODEL", "EMBER_REFRESH_SECONDS"} | own
    assert all(name in said for name in variables)
    assert variables["EMBER_STORE"] == {"Fn::Sub": "s3://${Packages}"}


def test_the_role_may_read_packages_and_write_its_log_and_nothing_else(template):
    role = template["Resources"]["FunctionRole"]
    assert "ManagedPolicyArns" not in role["Properties"]
    allowed = {action: statement for statement in statements(role) for action in as_list(statement["Action"])}
    assert allowed.keys() == {"s3:GetObject", "s3:ListBucket", "logs:CreateLogStream", "logs:PutLogEvents"}
    assert allowed["s3:GetObject"]["Resource"] == {"Fn::Sub": "${Packages.Arn}/models/*"}
    assert allowed["s3:ListBucket"]["Resource"] == {"Fn::GetAtt": "Packages.Arn"}
    assert allowed["s3:ListBucket"]["Condition"] == {"StringLikeIfExists": {"s3:prefix": "models/*"}}
    logs = [{"Fn::GetAtt": f"{name}Log.Arn"} for name in ("Predict", "Embed", "Classify", "Generate")]
    assert allowed["logs:PutLogEvents"]["Resource"] == logs
    assert all(statement["Effect"] == "Allow" for statement in statements(role))


def test_the_bucket_is_private_encrypted_versioned_and_kept(template):
    bucket = template["Resources"]["Packages"]
    assert (bucket["DeletionPolicy"], bucket["UpdateReplacePolicy"]) == ("Retain", "Retain")
    properties = bucket["Properties"]
    assert all(properties["PublicAccessBlockConfiguration"].values())
    assert len(properties["PublicAccessBlockConfiguration"]) == 4
    assert properties["VersioningConfiguration"] == {"Status": "Enabled"}
    [rule] = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"


def test_the_log_is_the_functions_own_and_ends_some_day(template, function, name):
    assert function["Properties"]["LoggingConfig"] == {"LogGroup": {"Ref": f"{name.title()}Log"}}
    assert template["Resources"][f"{name.title()}Log"]["Properties"]["RetentionInDays"] == {"Ref": "LogRetentionDays"}
    assert template["Parameters"]["LogRetentionDays"]["Default"] == 30


def test_the_outputs_tell_the_urls_the_bucket_and_how_to_push(template):
    outputs = template["Outputs"]
    assert outputs.keys() == {"Url", "EmbedUrl", "ClassifyUrl", "GenerateUrl", "Bucket", "Push"}
    assert outputs["Push"]["Value"] == {"Fn::Sub": "emberlite push models/diagnosis --store s3://${Packages}"}


def test_everybody_may_call_only_a_public_url_and_only_by_the_url(template, name):
    permissions = {
        resource["Properties"]["Action"]: resource
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::Lambda::Permission"
        and resource["Properties"]["FunctionName"] == {"Ref": name.title()}
    }
    assert permissions.keys() == {"lambda:InvokeFunctionUrl", "lambda:InvokeFunction"}
    assert {permission["Condition"] for permission in permissions.values()} == {"IsPublic"}
    assert permissions["lambda:InvokeFunctionUrl"]["Properties"]["FunctionUrlAuthType"] == "NONE"
    assert permissions["lambda:InvokeFunction"]["Properties"]["InvokedViaFunctionUrl"] is True
    assert template["Conditions"]["IsPublic"] == {"Fn::Equals": [{"Ref": "UrlAuthType"}, "NONE"]}
