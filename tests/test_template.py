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


@pytest.mark.parametrize("name", ["predict", "embed", "classify", "generate", "consume"], indirect=True)
def test_the_function_is_the_rust_binary(function, name):
    assert function["Metadata"] == {"BuildMethod": "rust-cargolambda", "BuildProperties": {"Binary": name}}
    properties = function["Properties"]
    assert properties["Runtime"] == "provided.al2023"
    assert (ROOT / properties["CodeUri"] / "Cargo.toml").is_file()
    assert properties["Timeout"] == {"generate": 120, "consume": 60}.get(name, 30)


@pytest.mark.parametrize("name", ["predict", "consume"], indirect=True)
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


def test_the_key_of_packages_is_optional_and_only_decrypts_them(template, binaries):
    parameters = template["Parameters"]
    names = ("TrustedKeys", "PackageKeyArn", "RequireEncryption")
    assert [parameters[name]["Default"] for name in names] == ["", "", "0"]
    policy = template["Resources"]["DecryptPackages"]
    assert policy["Condition"] == "HasPackageKey"
    assert policy["Properties"]["Roles"] == [{"Ref": "FunctionRole"}, {"Ref": "ConsumeRole"}]
    [statement] = policy["Properties"]["PolicyDocument"]["Statement"]
    assert (statement["Action"], statement["Resource"]) == ("kms:Decrypt", {"Ref": "PackageKeyArn"})
    assert statement["Condition"] == {"Null": {"kms:EncryptionContext:emberlite:model": "false"}}
    variables = template["Globals"]["Function"]["Environment"]["Variables"]
    said = subprocess.run([binaries.functions["embed"], "--help"], capture_output=True, text=True, check=True).stdout
    assert all(f"  {name} " in said for name in variables)


@pytest.mark.parametrize("bucket", ["Packages", "Work"])
def test_a_bucket_is_private_encrypted_versioned_and_kept(template, bucket):
    bucket = template["Resources"][bucket]
    assert (bucket["DeletionPolicy"], bucket["UpdateReplacePolicy"]) == ("Retain", "Retain")
    properties = bucket["Properties"]
    assert all(properties["PublicAccessBlockConfiguration"].values())
    assert len(properties["PublicAccessBlockConfiguration"]) == 4
    assert properties["VersioningConfiguration"] == {"Status": "Enabled"}
    [rule] = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"


@pytest.mark.parametrize("name", ["predict", "embed", "classify", "generate", "consume"], indirect=True)
def test_the_log_is_the_functions_own_and_ends_some_day(template, function, name):
    assert function["Properties"]["LoggingConfig"] == {"LogGroup": {"Ref": f"{name.title()}Log"}}
    assert template["Resources"][f"{name.title()}Log"]["Properties"]["RetentionInDays"] == {"Ref": "LogRetentionDays"}
    assert template["Parameters"]["LogRetentionDays"]["Default"] == 30


def test_the_outputs_tell_the_urls_the_bucket_and_how_to_push(template):
    outputs = template["Outputs"]
    assert outputs.keys() == {
        *("Url", "EmbedUrl", "ClassifyUrl", "GenerateUrl", "Bucket", "Push"),
        *("WorkQueueUrl", "DeadLettersUrl", "WorkBucket"),
    }
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


# The function that consumes


@pytest.fixture
def consume(template) -> dict:
    return template["Resources"]["Consume"]["Properties"]


def test_a_message_is_kept_from_others_six_times_as_long_as_the_function_may_take(template, consume):
    queue = template["Resources"]["WorkQueue"]["Properties"]
    assert queue["VisibilityTimeout"] == 6 * consume["Timeout"]


def test_failures_are_reported_one_by_one(consume):
    [source] = consume["Events"].values()
    assert source["Type"] == "SQS"
    assert source["Properties"]["Queue"] == {"Fn::GetAtt": "WorkQueue.Arn"}
    assert source["Properties"]["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_what_fails_again_and_again_ends_in_the_dead_letter_queue_and_is_kept_there(template, consume):
    resources = template["Resources"]
    redrive = resources["WorkQueue"]["Properties"]["RedrivePolicy"]
    assert redrive == {"deadLetterTargetArn": {"Fn::GetAtt": "DeadLetters.Arn"}, "maxReceiveCount": 5}
    kept = [resources[name]["Properties"]["MessageRetentionPeriod"] for name in ("WorkQueue", "DeadLetters")]
    assert kept[0] < kept[1] == 14 * 24 * 3600
    assert resources["DeadLetters"]["DeletionPolicy"] == "Retain"
    assert consume["Environment"]["Variables"]["EMBER_DEAD_LETTER_QUEUE_URL"] == {"Ref": "DeadLetters"}


@pytest.mark.parametrize("queue", ["WorkQueue", "DeadLetters"])
def test_a_queue_is_encrypted(template, queue):
    assert template["Resources"][queue]["Properties"]["SqsManagedSseEnabled"] is True


def test_new_objects_are_work_and_results_are_not(template, consume):
    notifications = template["Resources"]["Work"]["Properties"]["NotificationConfiguration"]
    [told] = notifications["QueueConfigurations"]
    assert (told["Event"], told["Queue"]) == ("s3:ObjectCreated:*", {"Fn::GetAtt": "WorkQueue.Arn"})
    assert told["Filter"]["S3Key"]["Rules"] == [{"Name": "prefix", "Value": "in/"}]
    variables = consume["Environment"]["Variables"]
    assert variables["EMBER_INPUTS"] == {"Fn::Sub": "s3://${Work}/in"}
    assert variables["EMBER_RESULTS"] == {"Fn::Sub": "s3://${Work}/out"}


def test_only_buckets_of_this_account_may_send_to_the_queue(template):
    policy = template["Resources"]["WorkQueuePolicy"]["Properties"]["PolicyDocument"]
    allowed = [statement for statement in policy["Statement"] if statement["Effect"] == "Allow"]
    assert [statement["Principal"] for statement in allowed] == [{"Service": "s3.amazonaws.com"}]
    assert allowed[0]["Action"] == "sqs:SendMessage"
    assert allowed[0]["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


def test_the_role_of_consume_may_do_its_work_and_nothing_else(template, consume):
    assert consume["Role"] == {"Fn::GetAtt": "ConsumeRole.Arn"}
    role = template["Resources"]["ConsumeRole"]
    assert "ManagedPolicyArns" not in role["Properties"]
    allowed = {(action, str(said["Resource"])) for said in statements(role) for action in as_list(said["Action"])}

    def arn(name: str) -> str:
        return str({"Fn::GetAtt": f"{name}.Arn"})

    def below(place: str) -> str:
        return str({"Fn::Sub": place})

    assert allowed == {
        ("s3:GetObject", below("${Packages.Arn}/models/*")),
        ("s3:ListBucket", arn("Packages")),
        ("s3:GetObject", below("${Work.Arn}/in/*")),
        ("s3:ListBucket", arn("Work")),
        ("s3:PutObject", below("${Work.Arn}/out/*")),
        ("sqs:ReceiveMessage", arn("WorkQueue")),
        ("sqs:DeleteMessage", arn("WorkQueue")),
        ("sqs:GetQueueAttributes", arn("WorkQueue")),
        ("sqs:SendMessage", arn("DeadLetters")),
        ("logs:CreateLogStream", arn("ConsumeLog")),
        ("logs:PutLogEvents", arn("ConsumeLog")),
    }
    prefixes = [said["Condition"]["StringLikeIfExists"]["s3:prefix"] for said in statements(role) if "Condition" in said]
    assert prefixes == ["models/*", "in/*"]
    assert all(said["Effect"] == "Allow" for said in statements(role))


def test_the_variables_of_consume_are_those_that_it_knows(consume, binaries):
    said = subprocess.run([binaries.functions["consume"], "--help"], capture_output=True, text=True, check=True).stdout
    variables = consume["Environment"]["Variables"]
    assert all(name in said for name in variables)
    assert variables.keys() == {
        *("EMBER_STORE", "EMBER_REFRESH_SECONDS", "EMBER_INPUTS", "EMBER_RESULTS", "EMBER_DEAD_LETTER_QUEUE_URL"),
    }
