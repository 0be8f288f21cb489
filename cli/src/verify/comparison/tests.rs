use crate::data::{Data, Example, Input, Label};
use crate::verify::{Answers, Classes, Comparison, Outcome, Passage, Predictions};

fn data(labels: Vec<Option<Label>>) -> Data {
    let example = |(index, label)| Example {
        name: format!("line {}", index + 1),
        input: Input::Text(format!("text {}", index + 1)),
        label,
    };
    Data { name: "a.csv".to_owned(), examples: labels.into_iter().enumerate().map(example).collect() }
}

fn class(name: &str) -> Option<Label> {
    Some(Label::Classes(vec![name.to_owned()]))
}

fn classes(chosen: &str, probability: f32) -> Classes {
    let other = if chosen == "a" { "b" } else { "a" };
    let mut probabilities = vec![(chosen.to_owned(), probability), (other.to_owned(), 1.0 - probability)];
    probabilities.sort_by(|a, b| a.0.cmp(&b.0));
    Classes { chosen: vec![chosen.to_owned()], probabilities }
}

#[test]
fn classes_are_compared_with_each_other_and_with_the_labels() {
    let source = Answers::Labels(vec![classes("a", 0.9), classes("a", 0.8), classes("b", 0.7), classes("b", 0.6)]);
    let packed = Answers::Labels(vec![classes("a", 0.9), classes("b", 0.6), classes("b", 0.9), classes("a", 0.7)]);
    let data = data(vec![class("a"), class("a"), class("b"), class("a")]);
    let comparison = Comparison::new(&source, &packed, &data).unwrap();
    let Outcome::Labels(outcome) = &comparison.outcome else { panic!("{comparison:?}") };
    assert_eq!((outcome.agreement, outcome.changed), (0.5, 2));
    let accuracy = outcome.accuracy.unwrap();
    assert_eq!((accuracy.examples, accuracy.source, accuracy.packed, accuracy.difference), (4, 0.75, 0.75, 0.0));
    assert!(accuracy.low < 0.0 && accuracy.high > 0.0);
    assert_eq!(comparison.loss().value, 0.0, "as many right as before");
    // Those whose class changed come first, the surest first.
    let names: Vec<_> = comparison.worst.iter().map(|case| case.name.as_str()).collect();
    assert_eq!(names, ["line 2", "line 4", "line 3"]);
    let worst = &comparison.worst[0];
    assert_eq!((worst.source.as_str(), worst.packed.as_str()), ("a (0.800)", "b (0.600)"));
    assert_eq!((worst.input.as_str(), worst.label.as_deref()), ("text 2", Some("a")));
}

#[test]
fn without_labels_what_changed_is_lost() {
    let source = Answers::Labels(vec![classes("a", 0.9), classes("a", 0.8)]);
    let packed = Answers::Labels(vec![classes("a", 0.9), classes("b", 0.6)]);
    let comparison = Comparison::new(&source, &packed, &data(vec![None, None])).unwrap();
    assert_eq!((comparison.loss().value, comparison.loss().what), (0.5, "labels changed"));
}

#[test]
fn embeddings_are_compared_by_direction_and_by_what_is_near() {
    let single = |rows: Vec<Vec<f32>>| Answers::Vectors(rows.into_iter().map(|row| vec![row]).collect());
    let source = single(vec![vec![1.0, 0.0], vec![0.9, 0.1], vec![0.0, 1.0], vec![0.1, 0.9]]);
    let packed = single(vec![vec![2.0, 0.0], vec![0.9, 0.1], vec![0.0, 1.0], vec![0.9, 0.1]]);
    let data = data(vec![class("x"), class("x"), class("y"), class("y")]);
    let comparison = Comparison::new(&source, &packed, &data).unwrap();
    let Outcome::Vectors(outcome) = &comparison.outcome else { panic!("{comparison:?}") };
    // numpy 2.4: the cosine of the last rows is 0.18 / 0.82.
    let least = 0.18 / 0.82;
    assert!((outcome.cosine.least - least).abs() < 1e-6, "{outcome:?}");
    assert!((comparison.loss().value - (1.0 - least) / 4.0).abs() < 1e-6);
    assert_eq!(outcome.similarities, 6);
    // The first, the second and the last have the same nearest or, the last, another; the third keeps none of its own.
    let nearest = outcome.nearest_accuracy.unwrap();
    assert_eq!((nearest.source, nearest.packed), (1.0, 0.25));
    assert_eq!(comparison.worst.iter().map(|case| case.name.as_str()).collect::<Vec<_>>(), ["line 4"]);
}

#[test]
fn pairs_are_compared_by_similarity_and_with_given_scores() {
    let pair = |angle: f32| vec![vec![1.0, 0.0], vec![angle.cos(), angle.sin()]];
    let source = Answers::Vectors([0.1, 0.5, 1.0, 1.5].map(pair).to_vec());
    let packed = Answers::Vectors([0.5, 0.1, 1.0, 1.5].map(pair).to_vec());
    let scores = [5.0, 4.0, 2.0, 0.0].map(|score| Some(Label::Number(score)));
    let comparison = Comparison::new(&source, &packed, &data(scores.to_vec())).unwrap();
    let Outcome::Vectors(outcome) = &comparison.outcome else { panic!("{comparison:?}") };
    let scores = outcome.scores.unwrap();
    assert_eq!((scores.examples, scores.source), (4, 1.0));
    assert!((scores.packed - 0.8).abs() < 1e-12, "{scores:?}");
    assert!((outcome.rank_correlation.unwrap() - 0.8).abs() < 1e-12);
}

#[test]
fn numbers_are_compared_in_parts_of_their_size() {
    let source = Answers::Values(vec![vec![3.0], vec![4.0]]);
    let packed = Answers::Values(vec![vec![3.0], vec![4.5]]);
    let comparison = Comparison::new(&source, &packed, &data(vec![None, None])).unwrap();
    let Outcome::Values(outcome) = &comparison.outcome else { panic!("{comparison:?}") };
    assert!((outcome.relative_error - 0.1).abs() < 1e-12);
    assert_eq!((outcome.largest, comparison.worst.len()), (0.5, 1));
    let odd = Answers::Values(vec![vec![3.0], vec![4.0, 5.0]]);
    let refused = Comparison::new(&source, &odd, &data(vec![None, None])).unwrap_err().to_string();
    assert_eq!(refused, "line 2: the source answers 1 numbers, the package 2");
}

#[test]
fn what_is_no_number_any_more_is_no_small_loss() {
    let loss = |after: f64| {
        let (source, packed) =
            (Answers::Values(vec![vec![1.0], vec![f64::NAN]]), Answers::Values(vec![vec![after], vec![f64::NAN]]));
        Comparison::new(&source, &packed, &data(vec![None, None])).unwrap().loss().value
    };
    assert_eq!((loss(1.0), loss(f64::NAN)), (0.0, f64::INFINITY));
    let tokens = |loss| Answers::Tokens {
        passages: vec![Passage { name: String::new(), text: String::new(), predicted: 1 }],
        predictions: Predictions::of_losses(&[loss]),
    };
    let comparison = Comparison::new(&tokens(1.0), &tokens(f64::NAN), &data(vec![None])).unwrap();
    assert_eq!(comparison.loss().value, f64::INFINITY);
}

#[test]
fn answers_of_two_kinds_or_of_other_data_are_no_comparison() {
    let labels = Answers::Labels(vec![classes("a", 0.9)]);
    let values = Answers::Values(vec![vec![1.0]]);
    assert!(Comparison::new(&labels, &values, &data(vec![None])).is_err());
    assert!(Comparison::new(&labels, &labels, &data(vec![None, None])).is_err());
}

#[test]
fn passages_whose_perplexity_grew_are_named() {
    let passage = |name: &str, predicted| Passage { name: name.to_owned(), text: "Once upon".to_owned(), predicted };
    let passages = vec![passage("tale.txt from line 1", 2), passage("tale.txt from line 9", 1)];
    let predictions = |losses: &[f64]| Predictions::of_losses(losses);
    let tokens = |losses| Answers::Tokens { passages: passages.clone(), predictions: predictions(losses) };
    let comparison = Comparison::new(&tokens(&[1.0, 2.0, 3.0]), &tokens(&[1.0, 1.9, 3.3]), &data(vec![None])).unwrap();
    assert_eq!(comparison.worst.iter().map(|case| case.name.as_str()).collect::<Vec<_>>(), ["tale.txt from line 9"]);
    let Outcome::Tokens(outcome) = &comparison.outcome else { panic!("{comparison:?}") };
    assert!((outcome.growth - ((0.2f64 / 3.0).exp() - 1.0)).abs() < 1e-4, "{outcome:?}");
    // In other tokens the same text costs what it costs.
    let others = Answers::Tokens { passages: vec![passage("", 2)], predictions: predictions(&[3.0, 3.2]) };
    let comparison = Comparison::new(&tokens(&[1.0, 2.0, 3.0]), &others, &data(vec![None])).unwrap();
    let Outcome::Tokens(outcome) = &comparison.outcome else { panic!("{comparison:?}") };
    assert!((outcome.growth - ((0.2f64 / 3.0).exp() - 1.0)).abs() < 1e-4, "{outcome:?}");
    assert_eq!((outcome.agreement, outcome.divergence), (None, None));
}
