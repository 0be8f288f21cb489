//! Templates of published models against what transformers makes of them: `shared/tests/templates`.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::{ChatTemplate, TemplateError};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/templates")
}

fn read(path: &Path) -> Map<String, Value> {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// What a template sees of a chat: all that transformers hands it, too.
fn variables(chat: &Value) -> Map<String, Value> {
    let mut variables = chat.as_object().unwrap().clone();
    for name in ["tools", "documents"] {
        variables.entry(name).or_insert(Value::Null);
    }
    variables
}

#[test]
fn published_templates_render_as_in_transformers() {
    let chats = read(&folder().join("chats.json"));
    let mut differ = Vec::new();
    let mut compared = 0;
    for (name, expected) in read(&folder().join("rendered.json")) {
        let Value::Object(expected) = expected else { continue };
        let source = fs::read_to_string(folder().join(format!("{name}.jinja"))).unwrap();
        let template = match ChatTemplate::new(&source) {
            Ok(template) => template,
            Err(error) => {
                differ.push(format!("{name}: {error}"));
                continue;
            }
        };
        for (chat, expected) in expected {
            compared += 1;
            let rendered = template.render(&variables(&chats[&chat]));
            let same = match (&rendered, &expected) {
                (Ok(text), Value::String(expected)) => text == expected,
                (Err(TemplateError::Raised(message)), Value::Object(expected)) => {
                    expected["raised"] == message.as_str()
                }
                _ => false,
            };
            if !same {
                differ.push(format!("{name}, {chat}:\n  expected {expected}\n  got      {rendered:?}"));
            }
        }
    }
    assert!(compared > 0 && differ.is_empty(), "{} of {compared} differ:\n{}", differ.len(), differ.join("\n"));
}
