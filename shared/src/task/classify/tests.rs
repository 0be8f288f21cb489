//! Logits to scores, for each kind of problem.

use super::*;
use crate::model::{Digest, FORMAT, Source, TextSpec, Verification};

fn manifest(labels: &[&str], problem: Option<Problem>) -> Manifest {
    let text: TextSpec = serde_json::from_value(serde_json::json!({"max_tokens": 8, "ids": "ids"})).unwrap();
    Manifest {
        format: FORMAT,
        name: "mood".parse().unwrap(),
        task: Task::Classify,
        description: String::new(),
        licence: String::new(),
        inputs: Vec::new(),
        outputs: Vec::new(),
        labels: labels.iter().map(|&label| label.to_owned()).collect(),
        features: Vec::new(),
        image: None,
        text: Some(TextSpec { problem, ..text }),
        generate: None,
        vocabulary: None,
        pruning: Vec::new(),
        quantization: None,
        recipe: None,
        examples: Vec::new(),
        source: Source {
            file: String::new(),
            format: String::new(),
            producer: None,
            digest: Digest::of(b""),
            files: Vec::new(),
        },
        tool: None,
        verification: Verification::default(),
        sections: Default::default(),
    }
}

fn of(labels: &[&str], problem: Option<Problem>, logits: &[f32]) -> Vec<(String, f32)> {
    scores(&manifest(labels, problem), logits, false).into_iter().map(|score| (score.label, score.score)).collect()
}

#[test]
fn one_right_label_of_several_gets_a_share_of_one() {
    let scores = of(&["sad", "glad", "mad"], None, &[1.0, 3.0, 2.0]);
    assert_eq!(scores.iter().map(|(label, _)| label.as_str()).collect::<Vec<_>>(), ["glad", "mad", "sad"]);
    assert!((scores.iter().map(|(_, score)| score).sum::<f32>() - 1.0).abs() < 1e-6);
}

#[test]
fn any_number_of_right_labels_gets_a_probability_each() {
    let scores = of(&["sad", "mad"], Some(Problem::MultiLabel), &[0.0, 0.0]);
    assert_eq!(scores, [("sad".to_owned(), 0.5), ("mad".to_owned(), 0.5)]);
}

#[test]
fn a_regression_answers_its_number() {
    assert_eq!(of(&["stars"], Some(Problem::Regression), &[3.7]), [("stars".to_owned(), 3.7)]);
}

#[test]
fn one_logit_of_two_labels_is_that_of_the_second() {
    let scores = of(&["no", "yes"], Some(Problem::SingleLabel), &[2.0]);
    assert_eq!((scores[0].0.as_str(), scores[1].0.as_str()), ("yes", "no"));
    assert_eq!(scores[0].1 + scores[1].1, 1.0);
}

#[test]
fn labels_that_the_manifest_lacks_are_numbered() {
    assert_eq!(of(&[], None, &[0.0, 1.0])[0].0, "LABEL_1");
}

#[test]
fn raw_scores_are_the_logits() {
    assert_eq!(scores(&manifest(&["a", "b"], None), &[7.0, -7.0], true)[1].score, -7.0);
}
