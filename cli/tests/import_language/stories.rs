//! A model that was trained, where there is one beside the checkout.

use std::path::Path;

use emberlite::engine::{CacheFormat, Chunk, Decoder, Want};
use emberlite::model::{Model, Package};
use emberlite::tokenizer::{Limit, Overlong, Text, Tokenizer};
use emberlite_cli::pack::{Request, pack};
use emberlite_cli::quantize::Scheme;
use emberlite_cli::recipe::{QuantizeSettings, Recipe};
use serde_json::Value;

use crate::reference::follow;

/// What transformers 5.23.0 goes on with, greedily in single precision.
const BEGIN: &str = "Once upon a time";
const CONTINUATION: &str =
    ", there was a little girl named Lily. She loved to play outside in the park. One day, she saw a big, red ball";

/// The folder of the model, or nothing where it is not there.
fn folder() -> Option<std::path::PathBuf> {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let beside = checkout.ancestors().skip(1).map(|folder| folder.join("shared/models/tinystories_260k"));
    let found = beside.into_iter().find(|folder| folder.join("config.json").is_file());
    if found.is_none() {
        eprintln!("skipped: there is no shared/models/tinystories_260k beside the checkout");
    }
    found
}

fn packed(folder: &Path, scheme: Scheme) -> Model {
    let quantize = QuantizeSettings { scheme: Some(scheme), ..QuantizeSettings::default() };
    let recipe = Recipe { model: folder.to_owned(), quantize, ..Recipe::default() };
    let packed = pack(&Request { recipe, ..Request::default() }).unwrap();
    Model::load(&Package::open(packed.bytes.into()).unwrap()).unwrap()
}

fn encode(tokenizer: &Tokenizer, text: &str) -> Vec<u32> {
    let limit = Limit { max_tokens: 512, overlong: Overlong::Refuse };
    let ids = tokenizer.encode(&Text::One(text.to_owned()), "", limit).unwrap().ids;
    ids.into_iter().map(|id| id as u32).collect()
}

#[test]
fn stories_begin_as_transformers_tells_them() {
    let Some(folder) = folder() else { return };
    let model = packed(&folder, Scheme::None);
    let tokenizer = model.tokenizer().unwrap();
    let expected = encode(tokenizer, &format!("{BEGIN}{CONTINUATION}"));
    let prompt = encode(tokenizer, BEGIN);
    let expected = &expected[prompt.len()..];
    // The last token may be a part of the word that transformers went on with.
    let got = follow(model.decoder().unwrap(), &prompt, expected.len());
    let same = expected.len() - 1;
    assert_eq!(got[..same], expected[..same]);
}

#[test]
fn rounding_with_a_calibration_text_loses_less() {
    let Some(folder) = folder() else { return };
    let grown = |scheme: Scheme| {
        let perplexity = packed(&folder, scheme).manifest().generate.clone().unwrap().perplexity.unwrap();
        perplexity.packed / perplexity.source - 1.0
    };
    let (int8, plain, calibrated) = (grown(Scheme::Int8), grown(Scheme::Q4), grown(Scheme::Q4Calibrated));
    assert!(int8 < 0.02, "{int8}");
    assert!(calibrated < 0.6 * plain, "{calibrated} {plain}");
    assert!(plain < 0.2, "{plain}");
}

#[test]
fn the_package_says_how_it_was_checked_and_what_it_lost() {
    let Some(folder) = folder() else { return };
    let model = packed(&folder, Scheme::Q4);
    let manifest: Value = serde_json::to_value(model.manifest()).unwrap();
    assert_eq!(manifest["task"], "generate");
    assert_eq!(manifest["verification"]["lengths"], serde_json::json!([1, 2, 7, 16, 33, 128]));
    assert!(manifest["verification"]["max_abs_difference"].as_f64().unwrap() < 1e-3);
    assert_eq!(manifest["quantization"]["scheme"], "q4");
    let layers = manifest["quantization"]["layers"].as_array().unwrap();
    let format = |name: &str| layers.iter().find(|layer| layer["name"] == name).map(|layer| layer["format"].clone());
    assert_eq!(format("lm_head"), Some("int8".into()));
    assert_eq!(format("layer_0_qkv"), Some("q4".into()));
    let decoder: &Decoder = model.decoder().unwrap();
    let mut sequence = decoder.sequence(CacheFormat::F16);
    let run = decoder.run(&mut [Chunk { sequence: &mut sequence, tokens: &[1, 2, 3], want: Want::Last }]).unwrap();
    assert_eq!(run.rows(0).count(), 1);
}
