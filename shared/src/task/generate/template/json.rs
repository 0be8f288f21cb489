//! JSON as Python's `json.dumps` writes it.

use serde_json::Value;

/// How values are written.
pub(super) struct Style {
    indent: Option<usize>,
    item: String,
    key: String,
    ascii: bool,
    sorted: bool,
}

impl Style {
    pub(super) fn new(indent: Option<usize>, separators: Option<Vec<String>>, ascii: bool, sorted: bool) -> Self {
        let mut separators = separators.unwrap_or_default().into_iter();
        let item = if indent.is_some() { "," } else { ", " };
        Self {
            indent,
            item: separators.next().unwrap_or_else(|| item.to_owned()),
            key: separators.next().unwrap_or_else(|| ": ".to_owned()),
            ascii,
            sorted,
        }
    }

    pub(super) fn write(&self, value: &Value) -> String {
        let mut text = String::new();
        self.value(value, 0, &mut text);
        text
    }

    fn value(&self, value: &Value, depth: usize, text: &mut String) {
        match value {
            Value::String(string) => self.string(string, text),
            Value::Array(items) => self.list('[', ']', items.len(), depth, text, |index, text| {
                self.value(&items[index], depth + 1, text);
            }),
            Value::Object(fields) => {
                let mut fields: Vec<_> = fields.iter().collect();
                if self.sorted {
                    fields.sort_by_key(|(key, _)| *key);
                }
                self.list('{', '}', fields.len(), depth, text, |index, text| {
                    let (key, value) = fields[index];
                    self.string(key, text);
                    text.push_str(&self.key);
                    self.value(value, depth + 1, text);
                });
            }
            other => text.push_str(&other.to_string()),
        }
    }

    fn list(
        &self,
        open: char,
        close: char,
        count: usize,
        depth: usize,
        text: &mut String,
        write: impl Fn(usize, &mut String),
    ) {
        text.push(open);
        for index in 0..count {
            if index > 0 {
                text.push_str(&self.item);
            }
            self.line(depth + 1, text);
            write(index, text);
        }
        if count > 0 {
            self.line(depth, text);
        }
        text.push(close);
    }

    fn line(&self, depth: usize, text: &mut String) {
        if let Some(indent) = self.indent {
            text.push('\n');
            text.extend(std::iter::repeat_n(' ', indent * depth));
        }
    }

    fn string(&self, string: &str, text: &mut String) {
        let quoted = Value::from(string).to_string();
        if !self.ascii {
            return text.push_str(&quoted);
        }
        for unit in quoted.encode_utf16() {
            match u8::try_from(unit).ok().filter(u8::is_ascii) {
                Some(byte) => text.push(char::from(byte)),
                None => text.push_str(&format!("\\u{unit:04x}")),
            }
        }
    }
}
