//! What chats and completions have in common: how text is to be written, and how it is to be sent.

use serde_json::{Value, json};

use super::fields::{Fields, kind};
use crate::api::ApiError;
use crate::model::SamplingDefaults;
use crate::task::generate::Sampling;

/// How many texts a request may ask for.
const MOST_CHOICES: i64 = 128;
/// How many stops.
const MOST_STOPS: usize = 4;

/// Fields that change nothing here: who asks, and what OpenAI keeps of it.
const IGNORED: [&str; 9] = [
    "user",
    "metadata",
    "store",
    "service_tier",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "parallel_tool_calls",
    "verbosity",
];

/// How text is to be written and sent. `top_k`, `min_p`, `repetition_penalty` and `ignore_eos` are this server's own, as
/// others have them.
#[derive(Debug)]
pub(super) struct Wishes {
    pub(super) model: Option<String>,
    pub(super) choices: usize,
    pub(super) max_tokens: Option<usize>,
    pub(super) stop: Vec<String>,
    /// The JSON Schema that the text has to follow.
    pub(super) schema: Option<Value>,
    pub(super) ignore_end: bool,
    pub(super) stream: bool,
    pub(super) include_usage: bool,
    temperature: Option<f32>,
    top_p: Option<f32>,
    top_k: Option<i64>,
    min_p: Option<f32>,
    repetition_penalty: Option<f32>,
    presence_penalty: Option<f32>,
    frequency_penalty: Option<f32>,
    logit_bias: Vec<(u32, f32)>,
    seed: Option<u64>,
}

impl Wishes {
    /// Takes what it knows from a body; `least_tokens` is the least that may be asked for.
    pub(super) fn take(fields: &mut Fields, least_tokens: i64) -> Result<Self, ApiError> {
        fields.ignore(&IGNORED);
        let old = fields.whole("max_tokens", least_tokens..=i64::MAX)?;
        let new = fields.whole("max_completion_tokens", least_tokens..=i64::MAX)?;
        let stream = fields.flag("stream")?.unwrap_or(false);
        Ok(Self {
            model: fields.text("model")?,
            choices: fields.whole("n", 1..=MOST_CHOICES)?.unwrap_or(1) as usize,
            max_tokens: new.or(old).map(|tokens| usize::try_from(tokens).unwrap_or(usize::MAX)),
            stop: stop(fields)?,
            schema: schema(fields)?,
            ignore_end: fields.flag("ignore_eos")?.unwrap_or(false),
            stream,
            include_usage: include_usage(fields, stream)?,
            temperature: fields.number("temperature", 0.0..=2.0)?,
            top_p: fields.number("top_p", 0.0..=1.0)?,
            top_k: fields.whole("top_k", -1..=i64::from(u32::MAX))?,
            min_p: fields.number("min_p", 0.0..=1.0)?,
            repetition_penalty: fields.number("repetition_penalty", 0.01..=10.0)?,
            presence_penalty: fields.number("presence_penalty", -2.0..=2.0)?,
            frequency_penalty: fields.number("frequency_penalty", -2.0..=2.0)?,
            logit_bias: logit_bias(fields)?,
            seed: fields.whole("seed", i64::MIN..=i64::MAX)?.map(|seed| seed as u64),
        })
    }

    /// How tokens are chosen: as the request says, else as the model's authors say, else as they are probable.
    pub(super) fn sampling(&self, defaults: &SamplingDefaults) -> Sampling {
        let top_k = match self.top_k {
            Some(top_k) => usize::try_from(top_k).ok(),
            None => defaults.top_k,
        };
        Sampling {
            temperature: self.temperature.or(defaults.temperature).unwrap_or(1.0),
            top_k: top_k.filter(|top_k| *top_k > 0),
            top_p: self.top_p.or(defaults.top_p).unwrap_or(1.0),
            min_p: self.min_p.or(defaults.min_p).unwrap_or(0.0),
            repetition_penalty: self.repetition_penalty.or(defaults.repetition_penalty).unwrap_or(1.0),
            presence_penalty: self.presence_penalty.unwrap_or(0.0),
            frequency_penalty: self.frequency_penalty.unwrap_or(0.0),
            logit_bias: self.logit_bias.clone(),
            seed: self.seed,
        }
    }
}

fn stop(fields: &mut Fields) -> Result<Vec<String>, ApiError> {
    let expected = "a string or an array of strings";
    let stops = match fields.value("stop") {
        None => Vec::new(),
        Some(Value::String(stop)) => vec![stop],
        Some(Value::Array(stops)) => stops
            .into_iter()
            .map(|stop| match stop {
                Value::String(stop) => Ok(stop),
                other => Err(fields.wrong_type("stop", expected, &other)),
            })
            .collect::<Result<_, _>>()?,
        Some(other) => return Err(fields.wrong_type("stop", expected, &other)),
    };
    if stops.len() > MOST_STOPS {
        let got = format!("{} of them", stops.len());
        return Err(fields.wrong_value("stop", &format!("at most {MOST_STOPS} strings"), &got));
    }
    if stops.iter().any(String::is_empty) {
        return Err(fields.wrong_value("stop", "strings that are not empty", "an empty string"));
    }
    Ok(stops)
}

fn include_usage(fields: &mut Fields, stream: bool) -> Result<bool, ApiError> {
    let Some(mut options) = fields.object("stream_options")? else { return Ok(false) };
    if !stream {
        let message = "The 'stream_options' parameter is only allowed when 'stream' is enabled.";
        return Err(ApiError::parameter("invalid_value", "stream_options", message));
    }
    options.ignore(&["include_obfuscation"]);
    let include_usage = options.flag("include_usage")?.unwrap_or(false);
    options.end()?;
    Ok(include_usage)
}

fn schema(fields: &mut Fields) -> Result<Option<Value>, ApiError> {
    let Some(mut format) = fields.object("response_format")? else { return Ok(None) };
    let schema = match format.text("type")?.as_deref() {
        Some("text") => None,
        Some("json_object") => Some(json!({"type": "object"})),
        Some("json_schema") => {
            let Some(mut schema) = format.object("json_schema")? else {
                return Err(format.wrong_value("json_schema", "an object with a schema", "none"));
            };
            schema.ignore(&["name", "description", "strict"]);
            match schema.value("schema") {
                None => Some(json!({"type": "object"})),
                Some(object @ (Value::Object(_) | Value::Bool(_))) => {
                    schema.end()?;
                    Some(object)
                }
                Some(other) => return Err(schema.wrong_type("schema", "an object", &other)),
            }
        }
        other => {
            let got = other.map_or("none".to_owned(), |other| format!("'{other}'"));
            return Err(format.wrong_value("type", "'text', 'json_object' or 'json_schema'", &got));
        }
    };
    format.end()?;
    Ok(schema)
}

fn logit_bias(fields: &mut Fields) -> Result<Vec<(u32, f32)>, ApiError> {
    let biases = match fields.value("logit_bias") {
        None => return Ok(Vec::new()),
        Some(Value::Object(biases)) => biases,
        Some(other) => return Err(fields.wrong_type("logit_bias", "an object", &other)),
    };
    let bias = |(token, bias): (&String, &Value)| {
        let id: u32 = token
            .parse()
            .map_err(|_| fields.wrong_value("logit_bias", "ids of tokens as keys", &format!("'{token}'")))?;
        let bias = bias.as_f64().ok_or_else(|| fields.wrong_type("logit_bias", "numbers as values", bias))?;
        match bias.abs() <= 100.0 {
            true => Ok((id, bias as f32)),
            false => Err(fields.wrong_value("logit_bias", "values from -100 to 100", &bias.to_string())),
        }
    };
    biases.iter().map(bias).collect()
}

/// What stands in a list of texts, else an error that names its place.
pub(super) fn text_at<'a>(list: &str, index: usize, value: &'a Value) -> Result<&'a str, ApiError> {
    value.as_str().ok_or_else(|| {
        let place = format!("{list}[{index}]");
        let message = format!("Invalid type for '{place}': expected a string, but got {} instead.", kind(value));
        ApiError::parameter("invalid_type", place, message)
    })
}
