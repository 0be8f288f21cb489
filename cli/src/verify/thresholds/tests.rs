use super::*;
use crate::verify::{Accuracy, Cosines, LabelsOutcome, VectorsOutcome};

fn labels() -> Comparison {
    let accuracy = Accuracy { examples: 100, source: 0.91, packed: 0.88, difference: -0.03, low: -0.06, high: 0.0 };
    comparison(Outcome::Labels(LabelsOutcome {
        agreement: 0.95,
        changed: 5,
        accuracy: Some(accuracy),
        divergence: Some(0.02),
        largest: Some(0.4),
    }))
}

fn comparison(outcome: Outcome) -> Comparison {
    let (data, isa) = ("a.csv".to_owned(), "avx2".to_owned());
    Comparison { data, examples: 100, labelled: 100, isa, outcome, worst: Vec::new() }
}

#[test]
fn every_threshold_that_is_missed_is_told() {
    let thresholds = Thresholds {
        min_agreement: Some(Part(0.98)),
        max_accuracy_loss: Some(Part(0.01)),
        max_divergence: Some(0.05),
        ..Thresholds::default()
    };
    let missed = thresholds.check(&labels()).unwrap_err();
    assert_eq!(
        missed.to_string(),
        "the package is refused:\n  min_agreement: expected at least 98 %, got 95 %\n  max_accuracy_loss: expected at most \
         1 %, got 3 %"
    );
    assert!(Thresholds { max_loss: Some(Part(0.03)), ..Thresholds::default() }.check(&labels()).is_ok());
    assert!(Thresholds::default().check(&labels()).is_ok());
}

#[test]
fn a_threshold_for_what_was_not_measured_is_missed() {
    let thresholds = Thresholds { min_cosine: Some(Part(0.9)), ..Thresholds::default() };
    let missed = thresholds.check(&labels()).unwrap_err().to_string();
    assert!(
        missed.ends_with("min_cosine: expected at least 90 %, got nothing: the model makes no embeddings"),
        "{missed}"
    );
    let cosine = Cosines { mean: 0.99, least: 0.9, percentile_1: 0.91, percentile_5: 0.95, median: 0.99 };
    let vectors = comparison(Outcome::Vectors(VectorsOutcome {
        cosine,
        rank_correlation: None,
        similarities: 0,
        same_nearest: None,
        scores: None,
        nearest_accuracy: None,
    }));
    assert!(thresholds.check(&vectors).is_ok());
    assert!(Thresholds { max_accuracy_loss: Some(Part(0.5)), ..thresholds }.check(&vectors).is_err());
}

#[test]
fn a_recipe_says_them_and_nothing_else() {
    let read: Thresholds = toml::from_str("min_agreement = \"98%\"\nmax_loss = 0.01").unwrap();
    let expected = Thresholds { min_agreement: Some(Part(0.98)), max_loss: Some(Part(0.01)), ..Thresholds::default() };
    assert_eq!(read, expected);
    assert!(toml::from_str::<Thresholds>("min_agrement = 0.9").is_err());
    let flags = Thresholds { max_loss: Some(Part(0.02)), ..Thresholds::default() };
    assert_eq!(flags.clone().or(&read), Thresholds { max_loss: flags.max_loss, ..read });
}
