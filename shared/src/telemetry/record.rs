//! The record of a cold start: one line of the log, which on Lambda is a set of CloudWatch metrics as well.

use std::io::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};
use tracing::info;

use super::cold_start::{Step, Timeline};

/// The metrics' namespace.
const NAMESPACE: &str = "Emberlite";

/// Tells how a model came to its first run.
pub(crate) fn cold_start(model: &str, package: &str, bytes: usize, timeline: &Timeline) {
    let ms = |step| timeline.took(step).map(milliseconds);
    info!(
        model,
        package,
        bytes,
        exec_ms = ms(Step::Exec),
        init_ms = ms(Step::Init),
        wait_ms = ms(Step::Wait),
        client_ms = ms(Step::Client),
        pointer_ms = ms(Step::Pointer),
        first_byte_ms = ms(Step::FirstByte),
        download_ms = ms(Step::Download),
        decrypt_ms = ms(Step::Decrypt),
        digest_ms = ms(Step::Digest),
        graph_ms = ms(Step::Graph),
        plan_ms = ms(Step::Plan),
        tokenizer_ms = ms(Step::Tokenizer),
        first_run_ms = ms(Step::FirstRun),
        total_ms = milliseconds(timeline.total()),
        "cold_start"
    );
    if let Some(function) = std::env::var_os("AWS_LAMBDA_FUNCTION_NAME") {
        let metrics = metrics(&function.to_string_lossy(), model, timeline);
        // A log that can't be written to is no reason to fail a request.
        drop(writeln!(std::io::stdout().lock(), "{metrics}"));
    }
}

/// The record in CloudWatch's embedded metric format.
fn metrics(function: &str, model: &str, timeline: &Timeline) -> Value {
    let steps =
        Step::ALL.into_iter().filter_map(|step| Some((format!("cold_start_{}", step.name()), timeline.took(step)?)));
    let mut values: Map<String, Value> = steps.map(|(name, took)| (name, milliseconds(took).into())).collect();
    values.insert("cold_start".to_owned(), milliseconds(timeline.total()).into());
    let names: Vec<_> = values.keys().map(|name| json!({"Name": name, "Unit": "Milliseconds"})).collect();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
    values.insert("function".to_owned(), function.into());
    values.insert("model".to_owned(), model.into());
    let set = json!({"Namespace": NAMESPACE, "Dimensions": [["function", "model"]], "Metrics": names});
    values.insert("_aws".to_owned(), json!({"Timestamp": now, "CloudWatchMetrics": [set]}));
    values.into()
}

/// A duration in milliseconds, to the microsecond.
pub(crate) fn milliseconds(duration: std::time::Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn every_metric_has_a_value() {
        let timeline = Timeline::default();
        timeline.end(Step::Plan, Instant::now());
        timeline.ran(Instant::now());
        let record = metrics("embed", "minilm", &timeline);
        let set = &record["_aws"]["CloudWatchMetrics"][0];
        let names: Vec<_> =
            set["Metrics"].as_array().unwrap().iter().map(|metric| metric["Name"].as_str().unwrap()).collect();
        assert!(["cold_start", "cold_start_plan", "cold_start_first_run"].iter().all(|name| names.contains(name)));
        assert!(names.iter().all(|name| record[*name].is_number()), "{record}");
        let dimensions = set["Dimensions"][0].as_array().unwrap();
        assert!(dimensions.iter().all(|name| record[name.as_str().unwrap()].is_string()));
    }
}
