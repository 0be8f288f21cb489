//! What both contenders are asked: the examples of a model's recipe, once and 64 rows at a time.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use crate::http::Request;

/// How many rows the large request has.
pub(crate) const MANY: usize = 64;
const TOLERANCE: f64 = 1e-5;

/// The requests for one model.
#[derive(Debug)]
pub(crate) struct Work {
    /// The model's name.
    pub(crate) model: String,
    /// Its classes in the order of their ids.
    pub(crate) labels: Vec<String>,
    /// A request of one row.
    pub(crate) one: Request,
    /// A request of [`MANY`] rows.
    pub(crate) many: Request,
    /// The request of one row as an event of a function URL.
    pub(crate) event: Value,
}

impl Work {
    /// Reads the recipe of a model in the store.
    pub(crate) fn read(store: &Path, model: &str) -> Result<Self> {
        let path = store.join("models").join(model).join("pack.toml");
        let text = fs::read_to_string(&path).with_context(|| format!("can't read {}", path.display()))?;
        let recipe: toml::Table = toml::from_str(&text).with_context(|| format!("{} is damaged", path.display()))?;
        let recipe = serde_json::to_value(recipe)?;
        let rows = rows(&recipe).with_context(|| format!("{} has no usable examples", path.display()))?;
        let [first, ..] = rows.as_slice() else { bail!("{} has no examples", path.display()) };
        let one = json!({ "input": first }).to_string();
        let many: Vec<_> = rows.iter().cycle().take(MANY).collect();
        Ok(Self {
            model: model.to_owned(),
            labels: texts(&recipe["labels"]),
            one: Request::post("/predict", &one),
            many: Request::post("/predict", &json!({ "input": many }).to_string()),
            event: event(&one),
        })
    }
}

/// The examples as both contenders take them: lists where all features feed one tensor, else objects by feature.
fn rows(recipe: &Value) -> Option<Vec<Value>> {
    let features = recipe["features"].as_array()?;
    let feeds = |feature: &Value| feature["input"].as_str().map(str::to_owned);
    let one_tensor = features.first().and_then(feeds).is_some_and(|input| {
        let others = features.iter().filter(|feature| feeds(feature).as_deref() == Some(input.as_str()));
        others.count() == features.len()
    });
    let examples = recipe["examples"].as_array()?.iter().map(|example| &example["input"]);
    if !one_tensor {
        return Some(examples.cloned().collect());
    }
    let as_list = |example: &Value| {
        let values = features.iter().map(|feature| example.get(feature["name"].as_str()?).cloned());
        values.collect::<Option<Vec<_>>>().map(Value::Array)
    };
    examples.map(as_list).collect()
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|text| text.as_str().map(str::to_owned)).collect()
}

/// The event that a function URL makes of a POST to `/predict`.
fn event(body: &str) -> Value {
    let host = "a1b2c3d4e5f6g7h8i9j0.lambda-url.us-east-1.on.aws";
    json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": "/predict",
        "rawQueryString": "",
        "headers": { "content-type": "application/json", "host": host },
        "requestContext": {
            "accountId": "anonymous",
            "apiId": "a1b2c3d4e5f6g7h8i9j0",
            "domainName": host,
            "domainPrefix": "a1b2c3d4e5f6g7h8i9j0",
            "http": { "method": "POST", "path": "/predict", "protocol": "HTTP/1.1", "sourceIp": "192.0.2.17", "userAgent": "peers" },
            "requestId": "5d1c1b7e-6f0a-4c58-9d3e-2b7a8c9d0e1f",
            "routeKey": "$default",
            "stage": "$default",
            "time": "01/Jan/2026:00:00:00 +0000",
            "timeEpoch": 1_767_225_600_000_u64,
        },
        "body": body,
        "isBase64Encoded": false,
    })
}

/// An answer as far as both contenders give it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer(Vec<Prediction>);

#[derive(Clone, Debug, PartialEq)]
struct Prediction {
    label: String,
    probabilities: BTreeMap<String, f64>,
}

impl Answer {
    pub(crate) fn parse(body: &[u8]) -> Result<Self> {
        let body: Value = serde_json::from_slice(body).context("the answer is no JSON")?;
        let predictions = match body["predictions"].as_array() {
            Some(several) => several.iter().map(Prediction::parse).collect(),
            None => Prediction::parse(&body).map(|only| vec![only]),
        };
        predictions.map(Self).with_context(|| format!("the answer is no prediction: {body}"))
    }

    pub(crate) fn rows(&self) -> usize {
        self.0.len()
    }

    /// Whether the other answer says the same: equal labels, probabilities within 1e-5.
    ///
    /// # Errors
    /// The first row that differs.
    pub(crate) fn agree(&self, other: &Self) -> Result<()> {
        ensure!(self.rows() == other.rows(), "one answer has {} rows, the other {}", self.rows(), other.rows());
        let differing = self.0.iter().zip(&other.0).find(|(one, other)| !one.agrees(other));
        match differing {
            Some((one, other)) => bail!("the answers differ: {one:?} and {other:?}"),
            None => Ok(()),
        }
    }
}

impl Prediction {
    fn parse(value: &Value) -> Option<Self> {
        let probabilities = value["probabilities"].as_object()?;
        let probability = |(label, value): (&String, &Value)| Some((label.clone(), value.as_f64()?));
        Some(Self {
            label: value["predicted_label"].as_str()?.to_owned(),
            probabilities: probabilities.iter().map(probability).collect::<Option<_>>()?,
        })
    }

    fn agrees(&self, other: &Self) -> bool {
        self.label == other.label
            && self.probabilities.keys().eq(other.probabilities.keys())
            && self
                .probabilities
                .values()
                .zip(other.probabilities.values())
                .all(|(one, other)| (one - other).abs() <= TOLERANCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(probability: f64) -> Answer {
        let text = json!({ "predicted_label": "a", "probabilities": { "a": probability } }).to_string();
        Answer::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn answers_agree_within_the_tolerance() {
        assert!(answer(0.5).agree(&answer(0.500_001)).is_ok());
        assert!(answer(0.5).agree(&answer(0.501)).is_err());
    }

    #[test]
    fn what_is_no_prediction_is_refused() {
        assert!(Answer::parse(br#"{"error": "no"}"#).is_err());
    }
}
