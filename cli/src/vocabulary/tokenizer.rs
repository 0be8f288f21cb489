//! A `tokenizer.json` as a tree of values, and the places where it has ids.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Map, Value, json};

use super::merges::Merges;

/// A tokenizer's file.
#[derive(Clone, Debug)]
pub(super) struct TokenizerFile {
    root: Map<String, Value>,
    kind: Kind,
}

/// What a tokenizer's vocabulary is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    WordPiece,
    WordLevel,
    Bpe,
    Unigram,
}

/// A token with its id.
type Entry = (String, i64);

impl TokenizerFile {
    pub(super) fn read(json: &[u8]) -> Result<Self> {
        let Value::Object(root) = serde_json::from_slice(json).context("the tokenizer is no JSON")? else {
            bail!("the tokenizer is no JSON object");
        };
        let kind = match root.get("model").and_then(|model| model.get("type")).and_then(Value::as_str) {
            Some("WordPiece") => Kind::WordPiece,
            Some("WordLevel") => Kind::WordLevel,
            Some("BPE") => Kind::Bpe,
            Some("Unigram") => Kind::Unigram,
            other => {
                bail!("the tokenizer has a model of type {other:?}: expected WordPiece, WordLevel, BPE or Unigram")
            }
        };
        Ok(Self { root, kind })
    }

    /// The file's bytes, without white space and without settings that have no effect in a package.
    pub(super) fn to_json(&self) -> Result<Vec<u8>> {
        let mut root = self.root.clone();
        for setting in ["truncation", "padding"] {
            root.insert(setting.to_owned(), Value::Null);
        }
        Ok(serde_json::to_vec(&root)?)
    }

    /// How many tokens there are, added ones included.
    pub(super) fn tokens(&self) -> usize {
        let ids: BTreeSet<i64> = self.vocabulary().into_iter().chain(self.added()).map(|(_, id)| id).collect();
        ids.len()
    }

    /// The ids that stay whatever texts need: added tokens, those that others stand for, and single characters.
    pub(super) fn required(&self) -> Result<BTreeSet<i64>> {
        let vocabulary = self.vocabulary();
        let mut ids: BTreeSet<i64> = self.added().into_iter().map(|(_, id)| id).collect();
        let unknown = self.model("unk_token").and_then(Value::as_str);
        ids.extend(
            vocabulary
                .iter()
                .filter(|(token, _)| self.is_single(token) || Some(token.as_str()) == unknown)
                .map(|(_, id)| *id),
        );
        if self.kind == Kind::Unigram {
            ids.extend(self.model("unk_id").and_then(Value::as_i64));
            ids.extend(self.least_likely());
        }
        let known: BTreeMap<&str, i64> = vocabulary.iter().map(|(token, id)| (token.as_str(), *id)).collect();
        let mut named = Vec::new();
        each_id(self.root.get("post_processor"), &mut |id| named.push(id));
        ids.extend(named.into_iter().filter(|id| known.values().any(|known| known == id)));
        Ok(ids)
    }

    /// Adds what the kept tokens can't be made without.
    pub(super) fn close(&self, kept: &mut BTreeSet<i64>) -> Result<()> {
        if self.kind != Kind::Bpe {
            return Ok(());
        }
        let merges = self.merges()?;
        let vocabulary = self.vocabulary();
        let ids: BTreeMap<&str, i64> = vocabulary.iter().map(|(token, id)| (token.as_str(), *id)).collect();
        let made: Vec<&str> =
            vocabulary.iter().filter(|(_, id)| kept.contains(id)).map(|(token, _)| token.as_str()).collect();
        for token in made {
            let parts =
                merges.steps(token).into_iter().flat_map(|(left, right)| [format!("{left}{right}"), left, right]);
            kept.extend(parts.filter_map(|part| ids.get(part.as_str())));
        }
        Ok(())
    }

    /// Leaves the tokens with these ids, which are in ascending order; a token's place becomes its id.
    pub(super) fn retain(&mut self, kept: &[i64]) -> Result<()> {
        let new_id = |old: i64| kept.binary_search(&old).ok().and_then(|place| i64::try_from(place).ok());
        let merges = if self.kind == Kind::Bpe { Some(self.kept_merges(kept)?) } else { None };
        let vocabulary = match self.model("vocab") {
            Some(Value::Object(tokens)) => {
                let left = tokens.iter().filter_map(|(token, id)| Some((token.clone(), json!(new_id(id.as_i64()?)?))));
                Value::Object(left.collect())
            }
            Some(Value::Array(pieces)) => {
                let left = pieces.iter().enumerate().filter(|(id, _)| new_id(*id as i64).is_some());
                Value::Array(left.map(|(_, piece)| piece.clone()).collect())
            }
            _ => bail!("the tokenizer has no vocabulary"),
        };
        let unknown = self.model("unk_id").and_then(Value::as_i64).and_then(new_id);
        let model = self.root.get_mut("model").and_then(Value::as_object_mut).context("the tokenizer has no model")?;
        model.insert("vocab".to_owned(), vocabulary);
        if let Some(unknown) = unknown {
            model.insert("unk_id".to_owned(), json!(unknown));
        }
        if let Some(merges) = merges {
            model.insert("merges".to_owned(), merges);
        }
        for added in self.root.get_mut("added_tokens").and_then(Value::as_array_mut).into_iter().flatten() {
            let id = added.get("id").and_then(Value::as_i64).and_then(new_id);
            added["id"] = json!(id.context("an added token has no id")?);
        }
        renumber(self.root.get_mut("post_processor"), &new_id)
    }

    fn model(&self, field: &str) -> Option<&Value> {
        self.root.get("model").and_then(|model| model.get(field))
    }

    fn vocabulary(&self) -> Vec<Entry> {
        match self.model("vocab") {
            Some(Value::Object(tokens)) => {
                tokens.iter().filter_map(|(token, id)| Some((token.clone(), id.as_i64()?))).collect()
            }
            Some(Value::Array(pieces)) => {
                let token = |piece: &Value| piece.get(0).and_then(Value::as_str).unwrap_or_default().to_owned();
                pieces.iter().enumerate().map(|(id, piece)| (token(piece), id as i64)).collect()
            }
            _ => Vec::new(),
        }
    }

    fn added(&self) -> Vec<Entry> {
        let entry = |added: &Value| Some((added.get("content")?.as_str()?.to_owned(), added.get("id")?.as_i64()?));
        self.root.get("added_tokens").and_then(Value::as_array).into_iter().flatten().filter_map(entry).collect()
    }

    /// Whether a token is one character, at the start or within a word, or one byte.
    fn is_single(&self, token: &str) -> bool {
        let affix = |field| self.model(field).and_then(Value::as_str).unwrap_or_default();
        let token =
            token.strip_prefix(affix("continuing_subword_prefix")).filter(|rest| !rest.is_empty()).unwrap_or(token);
        let token = token.strip_suffix(affix("end_of_word_suffix")).filter(|rest| !rest.is_empty()).unwrap_or(token);
        let is_byte = token.len() == 6 && token.starts_with("<0x") && token.ends_with('>');
        is_byte || token.chars().count() == 1
    }

    /// The first of the pieces with the least score.
    fn least_likely(&self) -> Option<i64> {
        let pieces = self.model("vocab")?.as_array()?;
        let score = |piece: &Value| piece.get(1).and_then(Value::as_f64).unwrap_or(0.0);
        let least = pieces.iter().enumerate().min_by(|(_, a), (_, b)| score(a).total_cmp(&score(b)));
        least.and_then(|(id, _)| i64::try_from(id).ok())
    }

    fn merges(&self) -> Result<Merges> {
        let prefix = self.model("continuing_subword_prefix").and_then(Value::as_str).unwrap_or_default();
        ensure!(prefix.is_empty(), "a BPE vocabulary whose tokens continue words with {prefix:?} can't be trimmed");
        let suffix = self.model("end_of_word_suffix").and_then(Value::as_str).unwrap_or_default();
        let pairs = self.model("merges").and_then(Value::as_array).context("the tokenizer has no merges")?;
        Merges::new(pairs.iter().map(pair).collect::<Option<_>>().context("a merge is no pair of tokens")?, suffix)
    }

    /// The merges that the kept tokens are made by, in their order and form.
    fn kept_merges(&self, kept: &[i64]) -> Result<Value> {
        let merges = self.merges()?;
        let is_kept = |entry: &Entry| kept.binary_search(&entry.1).is_ok();
        let used: BTreeSet<(String, String)> =
            self.vocabulary().into_iter().filter(is_kept).flat_map(|(token, _)| merges.steps(&token)).collect();
        let all = self.model("merges").and_then(Value::as_array).into_iter().flatten();
        Ok(all.filter(|merge| pair(merge).is_some_and(|pair| used.contains(&pair))).cloned().collect())
    }
}

/// The two tokens of a merge, which is a list or a text with a space between them.
fn pair(merge: &Value) -> Option<(String, String)> {
    let (left, right) = match merge {
        Value::String(text) => text.split_once(' ')?,
        other => (other.get(0)?.as_str()?, other.get(1)?.as_str()?),
    };
    Some((left.to_owned(), right.to_owned()))
}

/// Every id that a post-processor names.
fn each_id(processor: Option<&Value>, found: &mut impl FnMut(i64)) {
    let Some(processor) = processor else { return };
    for inner in processor.get("processors").and_then(Value::as_array).into_iter().flatten() {
        each_id(Some(inner), found);
    }
    for field in ["sep", "cls"] {
        processor.get(field).and_then(|token| token.get(1)).and_then(Value::as_i64).into_iter().for_each(&mut *found);
    }
    for special in processor.get("special_tokens").and_then(Value::as_object).into_iter().flat_map(Map::values) {
        let ids = special.get("ids").and_then(Value::as_array).into_iter().flatten();
        ids.filter_map(Value::as_i64).for_each(&mut *found);
    }
}

/// Gives every id that a post-processor names its new number.
fn renumber(processor: Option<&mut Value>, new_id: &impl Fn(i64) -> Option<i64>) -> Result<()> {
    let Some(Value::Object(processor)) = processor else { return Ok(()) };
    let update = |id: &mut Value| {
        let new = id
            .as_i64()
            .and_then(new_id)
            .with_context(|| format!("the post-processor names the id {id}, which no token has"))?;
        *id = json!(new);
        Ok::<_, anyhow::Error>(())
    };
    for inner in processor.get_mut("processors").and_then(Value::as_array_mut).into_iter().flatten() {
        renumber(Some(inner), new_id)?;
    }
    for field in ["sep", "cls"] {
        processor.get_mut(field).and_then(|token| token.get_mut(1)).map(update).transpose()?;
    }
    for (_, special) in processor.get_mut("special_tokens").and_then(Value::as_object_mut).into_iter().flatten() {
        special.get_mut("ids").and_then(Value::as_array_mut).into_iter().flatten().try_for_each(update)?;
    }
    Ok(())
}
