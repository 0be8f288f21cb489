//! Chat templates: Jinja, rendered as transformers renders them.

mod json;
#[cfg(test)]
mod rendered;
mod time;

use std::time::SystemTime;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Serde, Value};
use minijinja::{Environment, Error, ErrorKind};
use serde_json::Map;

/// A template may take so many steps.
const FUEL: u64 = 2_000_000;
const NAME: &str = "chat";

/// The template of a model's chats.
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
}

/// Why a template renders nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum TemplateError {
    #[error("the model's chat template can't be used: {0}")]
    Unusable(String),
    /// The template itself raised this.
    #[error("the model's chat template refuses the messages: {0}")]
    Raised(String),
    #[error("the model's chat template failed: {0}")]
    Failed(String),
}

impl ChatTemplate {
    /// Reads a template.
    ///
    /// # Errors
    /// [`TemplateError::Unusable`] where it is no Jinja.
    pub fn new(source: &str) -> Result<Self, TemplateError> {
        let unusable = |error: Error| TemplateError::Unusable(error.to_string());
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().map_err(unusable)?;
        environment.set_syntax(syntax);
        environment.set_fuel(Some(FUEL));
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_filter("tojson", to_json);
        environment.add_test("iterable", is_iterable);
        environment.add_function("raise_exception", raise);
        environment
            .add_function("strftime_now", |format: String| time::format(SystemTime::now(), &format).map_err(failed));
        environment.add_template_owned(NAME, without_generation(source)).map_err(unusable)?;
        Ok(Self { environment })
    }

    /// The text of a chat. `variables` are what the template sees: `messages`, `tools`, `add_generation_prompt`, special
    /// tokens, and what a request adds.
    ///
    /// # Errors
    /// What the template raises, or why it can't go on.
    pub fn render(&self, variables: &Map<String, serde_json::Value>) -> Result<String, TemplateError> {
        let template = self.environment.get_template(NAME).map_err(refusal)?;
        template.render(Serde(variables)).map_err(refusal)
    }
}

/// What a template raises is carried by this, so that it can be told from other errors.
const RAISED: &str = "raised: ";

fn raise(message: String) -> Result<Value, Error> {
    Err(failed(format!("{RAISED}{message}")))
}

fn failed(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.into())
}

fn refusal(error: Error) -> TemplateError {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(current) = cause {
        let detail = current.downcast_ref::<Error>().and_then(Error::detail);
        if let Some(message) = detail.and_then(|detail| detail.strip_prefix(RAISED)) {
            return TemplateError::Raised(message.to_owned());
        }
        cause = current.source();
    }
    TemplateError::Failed(error.to_string())
}

/// `json.dumps` as transformers calls it.
fn to_json(value: &Value, kwargs: Kwargs) -> Result<Value, Error> {
    let indent: Option<usize> = kwargs.get("indent")?;
    let ascii: Option<bool> = kwargs.get("ensure_ascii")?;
    let sorted: Option<bool> = kwargs.get("sort_keys")?;
    let separators: Option<Vec<String>> = kwargs.get("separators")?;
    kwargs.assert_all_used()?;
    let value = serde_json::to_value(value).map_err(|error| failed(error.to_string()))?;
    let style = json::Style::new(indent, separators, ascii.unwrap_or(false), sorted.unwrap_or(false));
    Ok(Value::from(style.write(&value)))
}

/// Whether a value can be gone through: `none` can not, other than minijinja thinks.
fn is_iterable(value: &Value) -> bool {
    !value.is_none() && value.try_iter().is_ok()
}

/// A template without the tags that mark, for training, what a model says.
fn without_generation(source: &str) -> String {
    let mut text = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(start) = rest.find("{%") {
        let Some(length) = rest[start..].find("%}") else { break };
        let tag = &rest[start + 2..start + length];
        let word = tag.trim_matches(|c: char| c == '-' || c == '+' || c.is_whitespace());
        text.push_str(&rest[..start]);
        match word {
            "generation" => text.push_str(&format!("{{%{}%}}", tag.replace("generation", "if true"))),
            "endgeneration" => text.push_str(&format!("{{%{}%}}", tag.replace("endgeneration", "endif"))),
            _ => text.push_str(&rest[start..start + length + 2]),
        }
        rest = &rest[start + length + 2..];
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn render(source: &str, variables: serde_json::Value) -> Result<String, TemplateError> {
        ChatTemplate::new(source)?.render(variables.as_object().unwrap())
    }

    #[test]
    fn blocks_take_their_lines_with_them() {
        let template = "{% for message in messages %}\n    {% if true %}\n<{{ message.role }}>\n    {% endif %}\n{% endfor %}\nend\n";
        let chat = json!({"messages": [{"role": "user"}, {"role": "assistant"}]});
        assert_eq!(render(template, chat).unwrap(), "<user>\n<assistant>\nend");
    }

    #[test]
    fn values_are_written_as_python_writes_them() {
        let chat = json!({"tools": [{"b": 1, "a": ["é", null, true, 1.5, "<'>"]}], "x": null});
        assert_eq!(
            render("{{ tools | tojson }}|{{ x }}|{{ true }}", chat.clone()).unwrap(),
            r#"[{"b": 1, "a": ["é", null, true, 1.5, "<'>"]}]|None|True"#
        );
        assert_eq!(
            render("{{ tools[0] | tojson(indent=2) }}", chat).unwrap(),
            "{\n  \"b\": 1,\n  \"a\": [\n    \"é\",\n    null,\n    true,\n    1.5,\n    \"<'>\"\n  ]\n}"
        );
    }

    #[test]
    fn what_a_template_raises_is_told() {
        let refused = render("{{ raise_exception('Roles must alternate') }}", json!({}));
        assert_eq!(refused, Err(TemplateError::Raised("Roles must alternate".to_owned())));
    }

    #[test]
    fn methods_of_python_texts_are_there() {
        let template =
            "{% set x = ' a b '.strip() %}{{ x.split(' ')[-1] }}{{ messages[0].get('no', 'none') }}{{ 'ab'[::-1] }}";
        assert_eq!(render(template, json!({"messages": [{}]})).unwrap(), "bnoneba");
        let namespace = "{% set ns = namespace(n=0) %}{% for i in range(3) %}{% set ns.n = ns.n + i %}{% if i == 1 %}{% break %}{% endif %}{% endfor %}{{ ns.n }}";
        assert_eq!(render(namespace, json!({})).unwrap(), "1");
    }

    #[test]
    fn marks_for_training_leave_no_trace() {
        assert_eq!(render("a{%- generation -%} b {%- endgeneration %}c", json!({})).unwrap(), "abc");
    }

    #[test]
    fn a_template_without_end_is_stopped() {
        let endless = "{% for a in range(9999) %}{% for b in range(9999) %}{{ b }}{% endfor %}{% endfor %}";
        assert!(matches!(render(endless, json!({})), Err(TemplateError::Failed(_))));
    }

    #[test]
    fn what_is_no_template_is_refused() {
        assert!(matches!(ChatTemplate::new("{% for %}"), Err(TemplateError::Unusable(_))));
    }
}
