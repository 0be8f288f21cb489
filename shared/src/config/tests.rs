//! What the environment says, and what is refused.

use super::*;
use crate::trust::KeySource;

fn read(variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    Config::read(|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
}

#[test]
fn a_wrong_value_is_refused_with_the_name_of_its_variable() {
    for (name, value) in [
        ("EMBER_STORE", "gs://bucket"),
        ("EMBER_MODEL", "../x"),
        ("EMBER_MODELS", "a,,b"),
        ("EMBER_PRELOAD", "yes"),
        ("EMBER_STORE_TIMEOUT_SECONDS", "0"),
        ("EMBER_STORE_TIMEOUT_SECONDS", "inf"),
        ("EMBER_DOWNLOAD_PART_BYTES", "3000"),
        ("EMBER_REFRESH_SECONDS", "soon"),
        ("EMBER_TRUSTED_KEYS", "release=none"),
        ("EMBER_REQUIRE_SIGNATURE", "yes"),
        ("EMBER_REQUIRE_ENCRYPTION", "maybe"),
        ("EMBER_KMS_ENDPOINT", "localhost:4000"),
        ("EMBER_MAX_BODY_BYTES", "0"),
        ("EMBER_S3_ENDPOINT", "localhost:9000"),
        ("EMBER_S3_PATH_STYLE", "maybe"),
        ("EMBER_THREADS", "0"),
        ("EMBER_ISA", "sse9"),
        ("EMBER_CONTEXT_TOKENS", "0"),
        ("EMBER_CACHE_BYTES", "1 GB"),
        ("EMBER_CACHE_FORMAT", "f8"),
        ("EMBER_SPECULATE", "maybe"),
        ("EMBER_INVOKE_MODE", "stream"),
        ("EMBER_QUEUE_URL", "work"),
        ("EMBER_RESULTS", "results"),
        ("EMBER_REPLY_QUEUE_URL", "https://host"),
        ("EMBER_DEAD_LETTER_QUEUE_URL", "arn:aws:sqs:eu-central-1:123456789012:dead"),
        ("EMBER_INPUTS", "s3://"),
        ("EMBER_MAX_OBJECT_BYTES", "0"),
        ("EMBER_SQS_ENDPOINT", "localhost:9324"),
        ("EMBER_QUEUE_VISIBILITY_SECONDS", "2"),
        ("EMBER_QUEUE_BATCHES", "0"),
        ("EMBER_LOG", "=="),
        ("EMBER_LOG_FORMAT", "xml"),
        ("EMBER_MAX_REQUESTS", "0"),
        ("PORT", "99999"),
        ("FC_SERVER_PORT", "none"),
        ("FUNCTIONS_CUSTOMHANDLER_PORT", "-1"),
    ] {
        let error = read(&[(name, value), ("EMBER_STORE", ".")]).unwrap_err();
        assert!(error.to_string().starts_with(&format!("{name}=")), "{error}");
    }
}

#[test]
fn packages_are_kept_in_tmp_on_lambda_and_elsewhere_where_it_is_said() {
    let folder = |variables: &[(&str, &str)]| {
        let variables = [variables, &[("EMBER_STORE", ".")]].concat();
        read(&variables).unwrap().cache_folder
    };
    let lambda = ("AWS_LAMBDA_FUNCTION_NAME", "predict");
    assert_eq!(folder(&[]), None);
    assert_eq!(folder(&[lambda]), Some("/tmp".into()));
    assert_eq!(folder(&[lambda, ("EMBER_CACHE_DIR", "none")]), None);
    assert_eq!(folder(&[("EMBER_CACHE_DIR", "/var/cache/ember")]), Some("/var/cache/ember".into()));
}

#[test]
fn a_package_has_to_fit_into_the_memory_of_a_function() {
    let config = read(&[("EMBER_STORE", "s3://ember"), ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512")]).unwrap();
    let Location::S3 { settings, .. } = config.store else { panic!("{:?} is in S3", config.store) };
    assert_eq!(settings.patience.memory_bytes, Some(512 << 20));
}

#[test]
fn results_are_not_put_where_they_would_be_read() {
    let places = [("EMBER_STORE", "."), ("EMBER_INPUTS", "s3://ember/work"), ("EMBER_RESULTS", "s3://ember/work/out")];
    let error = read(&places).unwrap_err();
    assert!(error.to_string().starts_with("EMBER_RESULTS="), "{error}");
    let work = "https://sqs.eu-central-1.amazonaws.com/123456789012/work";
    for name in ["EMBER_REPLY_QUEUE_URL", "EMBER_DEAD_LETTER_QUEUE_URL"] {
        let error = read(&[("EMBER_STORE", "."), ("EMBER_QUEUE_URL", work), (name, work)]).unwrap_err();
        assert!(error.to_string().starts_with(&format!("{name}=")), "{error}");
    }
}

#[test]
fn the_endpoint_of_queues_is_said_by_us_or_by_aws_or_by_the_queue() {
    let queue = ("EMBER_QUEUE_URL", "http://127.0.0.1:9324/000000000000/work");
    let endpoint = |variables: &[(&str, &str)]| {
        let variables = [variables, &[("EMBER_STORE", "."), queue]].concat();
        read(&variables).unwrap().consume.endpoint
    };
    let aws = ("AWS_ENDPOINT_URL_SQS", "http://127.0.0.1:2");
    assert_eq!(endpoint(&[("EMBER_SQS_ENDPOINT", "http://127.0.0.1:1"), aws]), Some("http://127.0.0.1:1".into()));
    assert_eq!(endpoint(&[aws]), Some("http://127.0.0.1:2".into()));
    assert_eq!(endpoint(&[]), Some("http://127.0.0.1:9324".into()));
}

#[test]
fn who_has_started_the_process_says_where_it_listens() {
    let port = ("PORT", "8081");
    for (variables, expected) in [
        (&[][..], (Runtime::Plain, 8080)),
        (&[port], (Runtime::Plain, 8081)),
        (&[("FC_FUNCTION_NAME", "predict")], (Runtime::FunctionCompute, 9000)),
        (&[("FC_FUNCTION_NAME", "predict"), port], (Runtime::FunctionCompute, 8081)),
        (&[("FC_SERVER_PORT", "9001"), port], (Runtime::FunctionCompute, 9001)),
        (&[("FC_CUSTOM_LISTEN_PORT", "9002")], (Runtime::FunctionCompute, 9002)),
        (&[("FUNCTIONS_CUSTOMHANDLER_PORT", "40001"), port], (Runtime::AzureFunctions, 40001)),
    ] {
        let config = read(&[variables, &[("EMBER_STORE", ".")]].concat()).unwrap();
        assert_eq!((config.runtime, config.port), expected, "{variables:?}");
    }
}

#[test]
fn an_empty_variable_counts_as_absent() {
    let config = read(&[("EMBER_STORE", "."), ("EMBER_MODEL", ""), ("PORT", " ")]).unwrap();
    assert_eq!((config.default_model, config.port), (None, 8080));
}

#[test]
fn a_missing_store_is_said_plainly() {
    let error = read(&[]).unwrap_err();
    assert_eq!(error.to_string(), "EMBER_STORE is not set: expected a folder's path or s3://bucket/prefix");
}

#[test]
fn help_names_every_variable() {
    for variable in &ALL {
        assert!(Config::help().contains(variable.name));
    }
}

const PUBLIC: &str = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
const SECRET: &str = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";

fn trust(variables: &[(&str, &str)]) -> Result<Requirements, ConfigError> {
    Config::trust(|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
}

#[test]
fn whoever_names_keys_to_trust_wants_signatures_unless_that_is_said() {
    assert!(!trust(&[]).unwrap().signature);
    let keys = ("EMBER_TRUSTED_KEYS", PUBLIC);
    assert!(trust(&[keys]).unwrap().signature);
    assert!(!trust(&[keys, ("EMBER_REQUIRE_SIGNATURE", "0")]).unwrap().signature);
}

#[test]
fn what_can_never_be_met_is_not_required() {
    for (name, needed) in
        [("EMBER_REQUIRE_SIGNATURE", "EMBER_TRUSTED_KEYS"), ("EMBER_REQUIRE_ENCRYPTION", "EMBER_PACKAGE_KEY")]
    {
        let error = trust(&[(name, "1")]).unwrap_err();
        assert_eq!(error.to_string(), format!("{name}=1 needs {needed} to be set"));
    }
}

#[test]
fn a_package_key_comes_from_the_variable_a_file_or_kms() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("package.key");
    std::fs::write(&file, format!("# ours\nEMBER-PACKAGE-KEY:{SECRET}\n")).unwrap();
    let both = format!("{SECRET}, kms:alias/ember, {}", file.display());
    let keys = trust(&[("EMBER_PACKAGE_KEY", &both), ("EMBER_REQUIRE_ENCRYPTION", "1")]).unwrap().keys;
    let [KeySource::Own(one), KeySource::Kms(alias), KeySource::Own(other)] = &keys[..] else { panic!("{keys:?}") };
    assert_eq!((one.id(), alias.as_str()), (other.id(), "alias/ember"));
}

#[test]
fn a_secret_that_is_misspelt_is_not_told() {
    let misspelt = SECRET.replace('=', "!");
    let error = trust(&[("EMBER_PACKAGE_KEY", &misspelt)]).unwrap_err().to_string();
    assert!(error.starts_with("EMBER_PACKAGE_KEY is wrong") && !error.contains(&misspelt[..20]), "{error}");
}
