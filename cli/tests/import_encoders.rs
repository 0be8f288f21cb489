//! What `emberlite` promises about text encoders in ONNX files: every architecture, from every usual exporter, gives
//! what transformers gives, at any batch size and length, padding included, in one plan.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "import_encoders/export.rs"]
mod export;
#[path = "import_encoders/side_files.rs"]
mod side_files;
#[path = "import_encoders/table.rs"]
mod table;

use export::Export;

/// Defines tests that every export of the models named matches.
macro_rules! matches_transformers {
    ($($promise:ident: $($model:literal),+;)*) => {
        $(#[test]
        fn $promise() {
            let tested: Vec<Export> = Export::all().into_iter().filter(|export| [$($model),+].contains(&&*export.model)).collect();
            assert!(!tested.is_empty());
            let failures: Vec<String> = tested.iter().filter_map(|export| export.check().err()).collect();
            assert!(failures.is_empty(), "{} of {} fail:\n{}", failures.len(), tested.len(), failures.join("\n"));
        })*

        const TESTED: &[&str] = &[$($($model),+),*];
    };
}

matches_transformers! {
    bert_matches: "bert";
    distilbert_matches: "distilbert";
    roberta_matches: "roberta";
    xlm_roberta_matches: "xlm_roberta";
    mpnet_matches: "mpnet";
    albert_matches: "albert";
    electra_matches: "electra";
    deberta_v2_matches: "deberta_v2";
    modernbert_matches: "modernbert";
    t5_encoder_matches: "t5_encoder";
    clip_text_matches: "clip_text";
    sentence_transformers_match: "bert_sentence";
    classifiers_match: "bert_classifier", "roberta_classifier";
}

#[test]
fn every_export_is_tested() {
    for export in Export::all() {
        assert!(TESTED.contains(&&*export.model), "{} is in no test", export.file);
    }
}
