//! Graph text to its syntax tree, in one pass.
//!
//! tract's own parser tries every kind of expression at every place, which takes milliseconds for a graph of some hundred
//! operators. What the packer writes needs but a few kinds: this reads those, and leaves any other text to tract.

use tract_nnef::ast::parse::parse_document;
use tract_nnef::ast::{
    Argument, Assignment, Document, GraphDef, Identifier, Invocation, LValue, Literal, RValue, TypeName,
};

use super::{bounds, explain};

/// How deep expressions may lie in one another; what lies deeper is left to tract.
const DEEPEST: usize = 32;

/// Reads a document.
///
/// # Errors
/// Text that is no tract-OPL, or that nests too deep.
pub(super) fn document(text: &str) -> Result<Document, String> {
    let document = match quick(text) {
        Some(document) => document,
        None => by_tract(text)?,
    };
    bounds::check_fragments(&document)?;
    Ok(document)
}

/// What tract's parser makes of a text that it may be given.
fn by_tract(text: &str) -> Result<Document, String> {
    bounds::check(text)?;
    parse_document(text).map_err(|error| explain(&error))
}

/// The document, where its graph has nothing but assignments of calls, literals and names.
fn quick(text: &str) -> Option<Document> {
    // What stands before the graph is short, and has a syntax of its own.
    let start = text.find("\ngraph ")?;
    let head = format!("{}\ngraph network() -> () {{}}", &text[..start]);
    let mut reader = Reader { rest: &text[start..] };
    let graph_def = reader.graph()?;
    Some(Document { graph_def, ..by_tract(&head).ok()? })
}

/// What is still to be read.
struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn graph(&mut self) -> Option<GraphDef> {
        self.word("graph")?;
        let id = self.name()?;
        let parameters = self.names()?;
        self.token("->")?;
        let results = self.names()?;
        self.token("{")?;
        let mut body = Vec::new();
        while self.token("}").is_none() {
            body.push(self.assignment()?);
        }
        self.space();
        self.rest.is_empty().then_some(GraphDef { id, parameters, results, body })
    }

    fn names(&mut self) -> Option<Vec<Identifier>> {
        self.token("(")?;
        self.list(")", Self::name)
    }

    fn assignment(&mut self) -> Option<Assignment> {
        let mut left = vec![self.left(0)?];
        while self.token(",").is_some() {
            left.push(self.left(0)?);
        }
        let left = if left.len() == 1 { left.pop()? } else { LValue::Tuple(left) };
        self.token("=")?;
        let right = self.right(0)?;
        self.token(";")?;
        Some(Assignment { left, right })
    }

    fn left(&mut self, depth: usize) -> Option<LValue> {
        if depth > DEEPEST {
            return None;
        }
        if self.token("[").is_some() {
            return self.list("]", |reader| reader.left(depth + 1)).map(LValue::Array);
        }
        if self.token("(").is_some() {
            return self.list(")", |reader| reader.left(depth + 1)).map(LValue::Tuple);
        }
        self.name().map(LValue::Identifier)
    }

    fn right(&mut self, depth: usize) -> Option<RValue> {
        if depth > DEEPEST {
            return None;
        }
        if self.token("[").is_some() {
            return self.list("]", |reader| reader.right(depth + 1)).map(RValue::Array);
        }
        if self.token("(").is_some() {
            let mut values = self.list(")", |reader| reader.right(depth + 1))?;
            return if values.len() == 1 { values.pop() } else { Some(RValue::Tuple(values)) };
        }
        match self.peek()? {
            b'"' | b'\'' => self.string().map(|text| RValue::Literal(Literal::String(text))),
            b'-' | b'0'..=b'9' => self.number().map(|number| RValue::Literal(Literal::Numeric(number))),
            _ => self.call_or_name(depth),
        }
    }

    fn call_or_name(&mut self, depth: usize) -> Option<RValue> {
        let is_escaped = self.is_escaped_name();
        let id = self.name()?;
        let generic_type_name = if self.token("<").is_some() {
            let name = self.type_name()?;
            self.token(">")?;
            Some(name)
        } else {
            None
        };
        if self.token("(").is_some() {
            let arguments = self.list(")", |reader| reader.argument(depth + 1))?;
            return Some(RValue::Invocation(Invocation { id, generic_type_name, arguments }));
        }
        match (id.0.as_str(), generic_type_name) {
            (_, Some(_)) => None,
            ("true" | "false", _) if !is_escaped => Some(RValue::Literal(Literal::Logical(id.0 == "true"))),
            // The first letters of a number that is none of the digits.
            (name, _)
                if !is_escaped
                    && (name.starts_with("inf") || name.starts_with("true") || name.starts_with("false")) =>
            {
                None
            }
            _ => Some(RValue::Identifier(id)),
        }
    }

    fn argument(&mut self, depth: usize) -> Option<Argument> {
        self.space();
        let before = self.rest;
        if let Some(id) = self.name()
            && self.token("=").is_some()
        {
            return Some(Argument { id: Some(id), rvalue: self.right(depth)? });
        }
        self.rest = before;
        Some(Argument { id: None, rvalue: self.right(depth)? })
    }

    fn type_name(&mut self) -> Option<TypeName> {
        let names = [
            ("integer", TypeName::Integer),
            ("scalar", TypeName::Scalar),
            ("logical", TypeName::Logical),
            ("string", TypeName::String),
            ("?", TypeName::Any),
        ];
        names.into_iter().find_map(|(text, name)| self.token(text).map(|()| name))
    }

    /// Items up to `end`, with commas between them.
    fn list<T>(&mut self, end: &str, mut item: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let mut items = Vec::new();
        if self.token(end).is_some() {
            return Some(items);
        }
        loop {
            items.push(item(self)?);
            if self.token(end).is_some() {
                return Some(items);
            }
            self.token(",")?;
        }
    }

    fn name(&mut self) -> Option<Identifier> {
        self.space();
        if self.is_escaped_name() {
            self.rest = &self.rest[1..];
            return self.string().map(Identifier);
        }
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let length = self.rest.bytes().take_while(is_part).count();
        if length == 0 || self.rest.as_bytes()[0].is_ascii_digit() {
            return None;
        }
        Some(Identifier(self.take(length).to_owned()))
    }

    fn is_escaped_name(&self) -> bool {
        matches!(self.rest.as_bytes(), [b'i', b'"' | b'\'', ..])
    }

    fn number(&mut self) -> Option<String> {
        self.space();
        let bytes = self.rest.as_bytes();
        let digits = |from: usize| bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let sign = usize::from(bytes.first() == Some(&b'-'));
        let whole = digits(sign);
        if whole == 0 {
            return None;
        }
        let mut length = sign + whole;
        if bytes.get(length) == Some(&b'.') {
            length += 1 + digits(length + 1);
        }
        if matches!(bytes.get(length), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(bytes.get(length + 1), Some(b'+' | b'-')));
            let exponent = digits(length + 1 + sign);
            if exponent == 0 {
                return None;
            }
            length += 1 + sign + exponent;
        }
        Some(self.take(length).to_owned())
    }

    /// A text in quotes of either kind, of which it has neither but escaped; one that may be read further.
    fn string(&mut self) -> Option<String> {
        let quote = self.rest.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
        let mut text = String::new();
        let mut characters = self.rest.char_indices().skip(1);
        loop {
            match characters.next()? {
                (_, '\\') => text.push(characters.next()?.1),
                (at, end) if end == quote => {
                    self.rest = &self.rest[at + 1..];
                    return bounds::is_flat(text.as_bytes()).then_some(text);
                }
                (_, '"' | '\'') => return None,
                (_, other) => text.push(other),
            }
        }
    }

    fn peek(&mut self) -> Option<u8> {
        self.space();
        self.rest.as_bytes().first().copied()
    }

    /// A word that no letter follows.
    fn word(&mut self, word: &str) -> Option<()> {
        let name = self.name()?;
        (name.0 == word).then_some(())
    }

    fn token(&mut self, token: &str) -> Option<()> {
        self.space();
        self.rest = self.rest.strip_prefix(token)?;
        Some(())
    }

    fn space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    fn take(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        taken
    }
}

#[cfg(test)]
mod tests;
