//! How deep a graph may nest: tract reads, and then follows, whatever nests by recursion.
//!
//! Its parser tries what follows a bracket or a sign once for each kind of expression that may start there, so that the time
//! doubles with every one of them; further on the stack ends, and with it the process. A package comes from outside: what
//! lies deeper than packers write is refused before tract sees it.

use std::collections::BTreeMap;

use tract_nnef::ast::{Assignment, Document, FragmentDef, Literal, RValue, Subscript};

/// How many brackets and signs tract's parser may meet within one another. A packer writes lists of pairs in a call: three.
const DEEPEST: usize = 8;
/// How many operators may follow one another between two commas: each lies within the next one.
const LONGEST_CHAIN: usize = 64;
/// How many brackets and signs may lie within one another in a text in quotes, which may be a dimension.
const DEEPEST_IN_QUOTES: usize = 32;
/// How many operators a text in quotes may have; names of tensors have a dozen slashes.
const LONGEST_IN_QUOTES: usize = 256;
/// How deep fragments may call one another, and how many assignments they may come to when all are followed.
const DEEPEST_CALLS: usize = 16;
const MOST_ASSIGNMENTS: u64 = 1 << 20;

/// Checks a text that tract's parser is to read: expressions, and texts in quotes.
///
/// # Errors
/// What lies too deep, by its place.
pub(super) fn check(text: &str) -> Result<(), String> {
    Scanner { text, at: 0, levels: vec![Level::default()], is_body: false, starts_statement: true }.run()
}

/// Whether a text in quotes may be read as a dimension or a condition.
pub(super) fn is_flat(text: &[u8]) -> bool {
    let (mut levels, mut operators) = (vec![0usize], 0);
    for &byte in text {
        match byte {
            b'(' | b'[' => levels.push(0),
            b')' | b']' if levels.len() > 1 => drop(levels.pop()),
            b'+' | b'-' | b'*' | b'/' | b'#' => operators += 1,
            _ => {}
        }
        if let Some(signs) = levels.last_mut() {
            match byte {
                b'-' => *signs += 1,
                b' ' | b'\t' | b'\r' | b'\n' => {}
                _ => *signs = 0,
            }
        }
        let depth = levels.len() - 1 + levels.iter().sum::<usize>();
        if depth > DEEPEST_IN_QUOTES || operators > LONGEST_IN_QUOTES {
            return false;
        }
    }
    true
}

/// What was met since the last comma of a pair of brackets.
#[derive(Default)]
struct Level {
    signs: usize,
    chain: usize,
}

/// Goes through a text as tract's parser does, token by token. Where both could come to differ, tract's ends with an error.
struct Scanner<'a> {
    text: &'a str,
    at: usize,
    levels: Vec<Level>,
    /// Whether this is between braces.
    is_body: bool,
    /// Whether nothing of a statement has come yet.
    starts_statement: bool,
}

impl Scanner<'_> {
    fn run(mut self) -> Result<(), String> {
        let bytes = self.text.as_bytes();
        while let Some(&byte) = bytes.get(self.at) {
            self.at += 1;
            match byte {
                b' ' | b'\t' | b'\n' | b'\r' => continue,
                b'#' => {
                    self.skip_to(|byte| matches!(byte, b'\n' | b'\r'));
                    continue;
                }
                b'"' | b'\'' => self.quoted()?,
                b'(' | b'[' => self.levels.push(Level::default()),
                b')' | b']' if self.levels.len() > 1 => drop(self.levels.pop()),
                // No expression goes on behind these.
                b';' | b'{' | b'}' => {
                    self.levels = vec![Level::default()];
                    self.is_body = byte == b'{' || (byte == b';' && self.is_body);
                    self.starts_statement = true;
                    continue;
                }
                b',' => self.change(|level| *level = Level::default()),
                b'+' | b'-' | b'!' => self.change(|level| level.signs += 1),
                b'*' | b'/' | b'^' | b'<' | b'>' | b'=' | b'|' | b'&' | b':' => self.change(|level| level.chain += 1),
                b'i' if matches!(bytes.get(self.at), Some(b'n' | b'f')) => self.change(|level| level.chain += 1),
                b'e' if self.starts_statement && !self.is_body && bytes[self.at..].starts_with(b"xtension") => {
                    self.extension()?;
                }
                _ => {}
            }
            self.starts_statement = false;
            let depth = self.levels.len() - 1 + self.levels.iter().map(|level| level.signs).sum::<usize>();
            if depth > DEEPEST || self.levels.last().is_some_and(|level| level.chain > LONGEST_CHAIN) {
                return Err(self.too_deep(DEEPEST));
            }
        }
        Ok(())
    }

    fn change(&mut self, change: impl FnOnce(&mut Level)) {
        if let Some(level) = self.levels.last_mut() {
            change(level);
        }
    }

    /// Goes on behind a text in quotes, which either quote ends.
    fn quoted(&mut self) -> Result<(), String> {
        let (bytes, start) = (self.text.as_bytes(), self.at);
        loop {
            match bytes.get(self.at) {
                None => break,
                Some(b'\\') => self.at += 2,
                Some(b'"' | b'\'') => break,
                Some(_) => self.at += 1,
            }
        }
        self.at = self.at.min(bytes.len());
        self.check_quoted(start)?;
        self.at += 1;
        Ok(())
    }

    /// Goes to the end of an extension, which may hold anything else.
    fn extension(&mut self) -> Result<(), String> {
        let start = self.at;
        self.skip_to(|byte| byte == b';');
        self.check_quoted(start)
    }

    fn check_quoted(&self, start: usize) -> Result<(), String> {
        if is_flat(&self.text.as_bytes()[start..self.at]) { Ok(()) } else { Err(self.too_deep(DEEPEST_IN_QUOTES)) }
    }

    fn skip_to(&mut self, is_end: impl Fn(u8) -> bool) {
        let rest = &self.text.as_bytes()[self.at..];
        self.at += rest.iter().position(|byte| is_end(*byte)).unwrap_or(rest.len());
    }

    fn too_deep(&self, deepest: usize) -> String {
        format!("its text nests too deep at byte {}: expected at most {deepest} brackets and signs", self.at)
    }
}

/// Checks that fragments end when they are followed into one another.
///
/// # Errors
/// The fragment that calls itself, or that comes to too much.
pub(super) fn check_fragments(document: &Document) -> Result<(), String> {
    let mut fragments = BTreeMap::new();
    for fragment in &document.fragments {
        // Of two with one name, tract takes the first.
        fragments.entry(fragment.decl.id.0.as_str()).or_insert(fragment);
    }
    let mut known = BTreeMap::new();
    for name in fragments.keys() {
        extent(name, &fragments, 0, &mut known)?;
    }
    let graph = extent_of(&document.graph_def.body, &fragments, 0, &mut known)?;
    if graph.assignments > MOST_ASSIGNMENTS {
        return Err(format!("with its fragments it comes to more than {MOST_ASSIGNMENTS} assignments"));
    }
    Ok(())
}

/// What a body comes to when all that it names is followed.
#[derive(Clone, Copy)]
struct Extent {
    assignments: u64,
    calls: usize,
}

type Fragments<'a> = BTreeMap<&'a str, &'a FragmentDef>;

fn extent<'a>(
    name: &'a str,
    fragments: &Fragments<'a>,
    depth: usize,
    known: &mut BTreeMap<&'a str, Extent>,
) -> Result<Extent, String> {
    if let Some(extent) = known.get(name) {
        return Ok(*extent);
    }
    let too_deep = || format!("fragment {name:?} calls itself, or more than {DEEPEST_CALLS} others in a row");
    if depth > DEEPEST_CALLS {
        return Err(too_deep());
    }
    let body = fragments.get(name).and_then(|fragment| fragment.body.as_deref()).unwrap_or_default();
    let extent = extent_of(body, fragments, depth, known)?;
    if extent.calls > DEEPEST_CALLS {
        return Err(too_deep());
    }
    known.insert(name, extent);
    Ok(extent)
}

fn extent_of<'a>(
    body: &'a [Assignment],
    fragments: &Fragments<'a>,
    depth: usize,
    known: &mut BTreeMap<&'a str, Extent>,
) -> Result<Extent, String> {
    let mut whole = Extent { assignments: body.len() as u64, calls: 0 };
    for named in named(body).into_iter().filter(|named| fragments.contains_key(named)) {
        let inner = extent(named, fragments, depth + 1, known)?;
        whole.assignments = whole.assignments.saturating_add(inner.assignments);
        whole.calls = whole.calls.max(inner.calls + 1);
    }
    Ok(whole)
}

/// What assignments name that may be a fragment, as often as they do: calls, and texts, by which a loop names its body.
fn named(body: &[Assignment]) -> Vec<&str> {
    let (mut names, mut values) = (Vec::new(), body.iter().map(|assignment| &assignment.right).collect::<Vec<_>>());
    while let Some(value) = values.pop() {
        match value {
            RValue::Identifier(_) => {}
            RValue::Literal(literal) => texts(literal, &mut names),
            RValue::Binary(left, _, right) => values.extend([&**left, &**right]),
            RValue::Unary(_, inner) => values.push(inner),
            RValue::Tuple(items) | RValue::Array(items) => values.extend(items),
            RValue::Subscript(inner, subscript) => {
                values.push(inner);
                match &**subscript {
                    Subscript::Single(index) => values.push(index),
                    Subscript::Range(start, end) => values.extend(start.iter().chain(end)),
                }
            }
            RValue::Comprehension(inner) => {
                values.extend(inner.loop_iters.iter().map(|(_, iterated)| iterated));
                values.extend(inner.filter.iter().chain([&inner.yields]));
            }
            RValue::IfThenElse(inner) => values.extend([&inner.cond, &inner.then, &inner.otherwise]),
            RValue::Invocation(call) => {
                names.push(call.id.0.as_str());
                values.extend(call.arguments.iter().map(|argument| &argument.rvalue));
            }
        }
    }
    names
}

fn texts<'a>(literal: &'a Literal, names: &mut Vec<&'a str>) {
    match literal {
        Literal::String(text) => names.push(text),
        Literal::Array(items) | Literal::Tuple(items) => items.iter().for_each(|item| texts(item, names)),
        Literal::Numeric(_) | Literal::Logical(_) => {}
    }
}

#[cfg(test)]
mod tests;
