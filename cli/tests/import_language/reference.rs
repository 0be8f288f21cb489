//! A language model, and what transformers makes of some prompts.

use std::path::{Path, PathBuf};

use emberlite::engine::{CacheFormat, Chunk, Decoder, Want, read_graph, write_graph};
use emberlite::model::GenerateSpec;
use emberlite::tokenizer::{Limit, Overlong, Text, Tokenizer};
use emberlite_cli::import::{Imported, import, spelled};
use serde_json::Value;

/// How far a logit may be from the reference.
const TOLERANCE: f32 = 1e-3;

pub(crate) fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/language").join(name)
}

/// A model that `language/folders.py` or `language/ggufs.py` made, imported.
pub(crate) struct Reference {
    pub(crate) imported: Imported,
    pub(crate) value: Value,
    /// As imported, and read back from tract-OPL.
    decoders: [Decoder; 2],
}

impl Reference {
    pub(crate) fn folder(name: &str) -> Self {
        let folder = path("folders").join(name);
        Self::of(&folder, &folder.join("reference.json"))
    }

    pub(crate) fn of(source: &Path, reference: &Path) -> Self {
        let text = std::fs::read_to_string(reference).unwrap();
        let imported = import(source).unwrap_or_else(|error| panic!("{}: {error}", source.display()));
        let graph = write_graph(&spelled(&imported.model)).unwrap();
        let again = read_graph(&graph.text, &graph).unwrap_or_else(|error| panic!("{error}\n{}", graph.text));
        let decoders = [imported.model.clone(), again].map(|model| Decoder::new(model).unwrap());
        Self { imported, value: serde_json::from_str(&text).unwrap(), decoders }
    }

    pub(crate) fn spec(&self) -> &GenerateSpec {
        self.imported.generate.as_ref().unwrap()
    }

    /// Asserts that the logits after every prompt are the reference's: in one go, token by token, and in chunks.
    pub(crate) fn assert_logits(&self) {
        for prompt in self.value["prompts"].as_array().unwrap() {
            let tokens = ids(&prompt["ids"]);
            let places = prompt["places"].as_array().unwrap().iter().map(|place| place.as_u64().unwrap() as usize);
            let expected: Vec<(usize, Vec<f32>)> =
                places.zip(prompt["logits"].as_array().unwrap()).map(|(place, row)| (place, floats(row))).collect();
            for decoder in &self.decoders {
                for step in [tokens.len(), 1, 7] {
                    let got = rows(decoder, &tokens, step);
                    for (place, expected) in &expected {
                        let what = format!("token {place} of {}, {step} at once", tokens.len());
                        assert_close(expected, &got[*place], &what);
                    }
                }
            }
        }
    }

    /// Asserts that the text that follows greedily is the reference's.
    pub(crate) fn assert_greedy(&self) {
        let greedy = &self.value["greedy"];
        let expected = ids(&greedy["ids"]);
        assert_eq!(expected.len(), 64);
        let got = follow(&self.decoders[0], &ids(&greedy["prompt"]), expected.len());
        assert_eq!(got, expected);
    }

    /// Asserts that what the importer says of texts is what the reference knows.
    pub(crate) fn assert_spec(&self) {
        let spec = self.spec();
        assert_eq!(spec.vocabulary, self.decoders[0].vocabulary());
        assert_eq!(spec.context_tokens as u64, self.value["context_tokens"].as_u64().unwrap());
        assert_eq!(spec.end_tokens, ids(&self.value["end_tokens"]));
        assert_eq!(spec.begin_token.map(u64::from), self.value["begin_token"].as_u64());
        let tokenizer = Tokenizer::from_json(self.imported.tokenizer.as_ref().unwrap()).unwrap();
        let limit = Limit { max_tokens: 1000, overlong: Overlong::Refuse };
        for sample in self.value["texts"].as_array().unwrap() {
            let text = sample["text"].as_str().unwrap();
            let got = tokenizer.encode(&Text::One(text.to_owned()), "", limit).unwrap().ids;
            let got: Vec<u32> = got.into_iter().map(|id| id as u32).collect();
            assert_eq!(got, ids(&sample["ids"]), "{text:?}");
        }
    }
}

/// The logits after every token, so many tokens read at once.
fn rows(decoder: &Decoder, tokens: &[u32], step: usize) -> Vec<Vec<f32>> {
    let mut sequence = decoder.sequence(CacheFormat::F32);
    let mut rows = Vec::new();
    for tokens in tokens.chunks(step) {
        let logits = decoder.run(&mut [Chunk { sequence: &mut sequence, tokens, want: Want::All }]).unwrap();
        rows.extend(logits.rows(0).map(<[f32]>::to_vec));
    }
    rows
}

/// The likeliest tokens after a prompt.
pub(crate) fn follow(decoder: &Decoder, prompt: &[u32], count: usize) -> Vec<u32> {
    let mut sequence = decoder.sequence(CacheFormat::F32);
    let (mut next, mut made) = (prompt.to_vec(), Vec::new());
    while made.len() < count {
        let chunk = Chunk { sequence: &mut sequence, tokens: &next, want: Want::Last };
        let logits = decoder.run(&mut [chunk]).unwrap();
        let row = logits.rows(0).next().unwrap();
        let best = (0..row.len()).max_by(|a, b| row[*a].total_cmp(&row[*b])).unwrap() as u32;
        made.push(best);
        next = vec![best];
    }
    made
}

fn assert_close(expected: &[f32], got: &[f32], what: &str) {
    assert_eq!(expected.len(), got.len(), "{what}");
    for (token, (expected, got)) in expected.iter().zip(got).enumerate() {
        assert!((expected - got).abs() <= TOLERANCE, "{what}, logit {token}: expected {expected}, got {got}");
    }
}

fn ids(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

fn floats(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap() as f32).collect()
}
