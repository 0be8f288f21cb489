//! The messages of a chat: from OpenAI's form to the one that chat templates know.

use serde_json::{Map, Value};

use super::fields::kind;
use crate::api::ApiError;

const ROLES: [&str; 6] = ["system", "developer", "user", "assistant", "tool", "function"];

/// Reads messages: contents become texts, developers are the system, and the arguments of tool calls become objects.
///
/// # Errors
/// What is no message, or holds what no text model reads, by its place.
pub(super) fn read(messages: Vec<Value>) -> Result<Vec<Value>, ApiError> {
    if messages.is_empty() {
        let message =
            "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array.";
        return Err(ApiError::parameter("empty_array", "messages", message));
    }
    messages.into_iter().enumerate().map(|(index, message)| read_one(message, &format!("messages[{index}]"))).collect()
}

fn read_one(message: Value, place: &str) -> Result<Value, ApiError> {
    let Value::Object(mut message) = message else { return Err(wrong_type(place, "an object", &message)) };
    let role = match message.get("role") {
        Some(Value::String(role)) if ROLES.contains(&role.as_str()) => role.clone(),
        Some(Value::String(role)) => {
            let expected = ROLES.map(|role| format!("'{role}'")).join(", ");
            let text = format!("Invalid value: '{role}'. Supported values are: {expected}.");
            return Err(ApiError::parameter("invalid_value", format!("{place}.role"), text));
        }
        None | Some(Value::Null) => return Err(missing(&format!("{place}.role"))),
        Some(other) => return Err(wrong_type(&format!("{place}.role"), "a string", other)),
    };
    if role == "developer" {
        message.insert("role".to_owned(), Value::from("system"));
    }
    let may_lack = role == "assistant";
    let text = content(message.remove("content"), &format!("{place}.content"), may_lack)?;
    message.insert("content".to_owned(), Value::from(text));
    if let Some(calls) = message.get_mut("tool_calls") {
        read_calls(calls, &format!("{place}.tool_calls"))?;
    }
    Ok(Value::Object(message))
}

/// The text of a content: a text, or parts of it.
fn content(content: Option<Value>, place: &str, may_lack: bool) -> Result<String, ApiError> {
    match content {
        Some(Value::String(text)) => Ok(text),
        Some(Value::Array(parts)) => {
            let parts =
                parts.into_iter().enumerate().map(|(index, part)| part_text(part, &format!("{place}[{index}]")));
            Ok(parts.collect::<Result<Vec<_>, _>>()?.join("\n"))
        }
        None | Some(Value::Null) if may_lack => Ok(String::new()),
        None | Some(Value::Null) => Err(missing(place)),
        Some(other) => Err(wrong_type(place, "a string or an array of parts", &other)),
    }
}

fn part_text(part: Value, place: &str) -> Result<String, ApiError> {
    let Value::Object(mut part) = part else { return Err(wrong_type(place, "an object", &part)) };
    let field = match part.get("type").and_then(Value::as_str) {
        Some("text") => "text",
        Some("refusal") => "refusal",
        other => {
            let got = other.map_or("none".to_owned(), |kind| format!("'{kind}'"));
            let text = format!("Invalid value: {got}. This server reads parts of type 'text' only.");
            return Err(ApiError::parameter("invalid_value", format!("{place}.type"), text));
        }
    };
    match part.remove(field) {
        Some(Value::String(text)) => Ok(text),
        None => Err(missing(&format!("{place}.{field}"))),
        Some(other) => Err(wrong_type(&format!("{place}.{field}"), "a string", &other)),
    }
}

/// Templates write the arguments of a call as JSON themselves; clients send them as a text of JSON.
fn read_calls(calls: &mut Value, place: &str) -> Result<(), ApiError> {
    let Value::Array(calls) = calls else {
        return if calls.is_null() { Ok(()) } else { Err(wrong_type(place, "an array", calls)) };
    };
    for call in calls {
        if let Some(arguments) = call.pointer_mut("/function/arguments")
            && let Some(Value::Object(read)) = arguments.as_str().and_then(|text| serde_json::from_str(text).ok())
        {
            *arguments = Value::Object(read);
        }
    }
    Ok(())
}

/// Checks the tools that a template is to tell of.
///
/// # Errors
/// What is no function, by its place.
pub(super) fn check_tools(tools: &[Value]) -> Result<(), ApiError> {
    for (index, tool) in tools.iter().enumerate() {
        let place = format!("tools[{index}]");
        let function = tool.as_object().ok_or_else(|| wrong_type(&place, "an object", tool))?;
        if function.get("type").and_then(Value::as_str) != Some("function") {
            let text = format!("Invalid value for '{place}.type': this server knows tools of type 'function' only.");
            return Err(ApiError::parameter("invalid_value", format!("{place}.type"), text));
        }
        let name = function.get("function").and_then(Value::as_object).and_then(|function| function.get("name"));
        if !name.is_some_and(Value::is_string) {
            return Err(missing(&format!("{place}.function.name")));
        }
    }
    Ok(())
}

/// What a template sees of a request beside its messages.
pub(super) fn variables(messages: Vec<Value>, tools: Vec<Value>, own: Map<String, Value>) -> Map<String, Value> {
    let mut variables = Map::new();
    variables.insert("messages".to_owned(), Value::Array(messages));
    if !tools.is_empty() {
        variables.insert("tools".to_owned(), Value::Array(tools));
    } else {
        variables.insert("tools".to_owned(), Value::Null);
    }
    variables.insert("documents".to_owned(), Value::Null);
    variables.insert("add_generation_prompt".to_owned(), Value::from(true));
    variables.extend(own);
    variables
}

fn missing(place: &str) -> ApiError {
    ApiError::parameter("missing_required_parameter", place, format!("Missing required parameter: '{place}'."))
}

fn wrong_type(place: &str, expected: &str, got: &Value) -> ApiError {
    let message = format!("Invalid type for '{place}': expected {expected}, but got {} instead.", kind(got));
    ApiError::parameter("invalid_type", place, message)
}
