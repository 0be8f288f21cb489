//! What `emberlite` promises about ONNX files, each kept against onnxruntime's own numbers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "import_onnx/fixture.rs"]
mod fixture;
#[path = "import_onnx/refusals.rs"]
mod refusals;

use fixture::{Fixture, names};
use tract_core::prelude::*;

/// Defines tests that the fixtures named match onnxruntime, with a batch of one, three and 64 rows where there are so
/// many, before and after a round trip through tract-OPL text.
macro_rules! matches_onnxruntime {
    ($($promise:ident: $($fixture:literal),+;)*) => {
        $(#[test]
        fn $promise() {
            $(Fixture::load($fixture).assert_matches();)+
        })*
    };
}

matches_onnxruntime! {
    logistic_regressions_match: "logistic_regression", "logistic_regression_three_names", "logistic_regression_odd_classes";
    random_forests_match: "random_forest", "random_forest_two_names", "random_forest_odd_classes";
    extra_trees_match: "extra_trees";
    decision_trees_match: "decision_tree";
    naive_bayes_matches: "naive_bayes", "naive_bayes_names";
    gradient_boosting_of_two_classes_matches: "gradient_boosting_two", "gradient_boosting_two_names";
    gradient_boosting_of_three_classes_matches: "gradient_boosting_three";
    hist_gradient_boosting_with_missing_values_matches:
        "hist_gradient_boosting_holes", "hist_gradient_boosting_regressor_holes";
    min_max_scaling_and_ridge_match: "min_max_ridge";
    standard_scaling_matches: "standard_scaler_logistic_regression", "scaler_each", "scaler_all", "scaler_integers";
    imputation_matches: "imputer_logistic_regression", "imputer_nan_all", "imputer_nan_each", "imputer_value",
        "imputer_integers";
    normalization_matches: "normalizer_logistic_regression", "normalizer_max_logistic_regression", "normalizer_max",
        "normalizer_l1", "normalizer_l2";
    binarization_matches: "binarizer_logistic_regression", "binarizer";
    tree_regressors_match: "random_forest_regressor", "gradient_boosting_regressor";
    isolation_forests_match: "isolation_forest";
    neural_networks_match: "neural_network";
    xgboost_matches: "xgboost_regressor", "xgboost_two", "xgboost_three_holes";
    tables_of_numbers_and_words_match: "columns";
    one_hot_words_match: "words_one_hot", "one_hot_strings", "one_hot_strict";
    one_hot_numbers_match: "integers_one_hot", "one_hot_integers", "one_hot_floats";
    ordinal_words_match: "words_ordinal";
    every_branch_mode_matches: "tree_branch_leq", "tree_branch_lt", "tree_branch_gte", "tree_branch_gt",
        "tree_branch_eq", "tree_branch_neq", "tree_mixed";
    every_branch_mode_matches_with_missing_values: "tree_branch_leq_holes", "tree_branch_lt_holes",
        "tree_branch_gte_holes", "tree_branch_gt_holes", "tree_branch_eq_holes", "tree_branch_neq_holes",
        "tree_mixed_holes";
    every_aggregate_of_one_target_matches: "aggregate_sum_1_base_0", "aggregate_sum_1_base_1",
        "aggregate_average_1_base_0", "aggregate_average_1_base_1", "aggregate_min_1_base_0",
        "aggregate_min_1_base_1", "aggregate_max_1_base_0", "aggregate_max_1_base_1";
    every_aggregate_of_three_targets_matches: "aggregate_sum_3_base_0", "aggregate_sum_3_base_3",
        "aggregate_average_3_base_0", "aggregate_average_3_base_3", "aggregate_min_3_base_0",
        "aggregate_min_3_base_3", "aggregate_max_3_base_0", "aggregate_max_3_base_3";
    every_post_transform_of_targets_matches: "transform_none_1", "transform_none_3", "transform_logistic_1",
        "transform_logistic_3", "transform_softmax_1", "transform_softmax_3", "transform_softmax_zero_1",
        "transform_softmax_zero_3", "transform_probit_1", "transform_probit_3";
    every_post_transform_of_classes_matches: "transform_none_three_classes", "transform_logistic_three_classes",
        "transform_softmax_three_classes", "transform_softmax_zero_three_classes", "transform_probit_three_classes";
    two_classes_from_the_weights_of_one_match: "transform_none_two_classes_second_positive",
        "transform_none_two_classes_second_mixed", "transform_logistic_two_classes_second_positive",
        "transform_logistic_two_classes_second_mixed", "transform_softmax_two_classes_second_positive",
        "transform_softmax_two_classes_second_mixed", "transform_softmax_zero_two_classes_second_positive",
        "transform_softmax_zero_two_classes_second_mixed";
    two_classes_from_the_weights_of_both_match: "transform_none_two_classes_all_mixed",
        "transform_logistic_two_classes_all_mixed", "transform_softmax_two_classes_all_mixed",
        "transform_softmax_zero_two_classes_all_mixed";
    base_values_of_two_classes_match: "base_1_two_classes", "base_2_two_classes";
    rows_of_doubles_are_compared_as_doubles: "tree_doubles";
    label_encoders_match: "label_strings_to_strings", "label_strings_to_int64s", "label_strings_to_floats",
        "label_int64s_to_strings", "label_int64s_to_floats", "label_floats_to_strings", "label_floats_to_int64s",
        "label_default";
    linear_classifiers_match: "linear_none_two", "linear_none_three", "linear_logistic_two", "linear_logistic_three",
        "linear_softmax_two", "linear_softmax_three";
    linear_classifiers_with_one_score_for_two_classes_match: "linear_none_one_sided", "linear_logistic_one_sided",
        "linear_softmax_one_sided";
    linear_regressors_match: "linear_regressor";
    casts_to_and_from_strings_match: "cast_floats_to_strings", "cast_integers_to_strings", "cast_strings_to_floats",
        "cast_strings_to_integers";
    a_cast_to_integers_makes_integers: "cast_floats_to_integers";
    columns_can_be_taken_and_joined: "columns_floats", "columns_strings", "feature_vectorizer";
    names_that_tract_opl_has_to_quote_survive: "awkward_names";
    a_layer_norm_written_as_batch_normalization_matches: "layer_norm_as_batch_normalization";
    of_branches_only_the_one_that_a_shape_decides_for_is_read: "branch_that_a_shape_decides";
    a_size_divided_by_the_batch_is_a_size: "size_divided_by_rows";
    tensors_of_eight_bits_match: "weights_of_eight_bits";
    dropout_left_in_training_mode_does_nothing: "awkward_names";
    a_batch_of_one_stays_one: "batch_of_one";
    a_batch_may_have_any_name: "batch_with_a_name";
}

#[test]
fn every_fixture_is_tested() {
    let tested = include_str!("import_onnx.rs");
    let folder = fixture::path("");
    let stems = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    for path in stems.filter(|path| path.extension().is_some_and(|extension| extension == "onnx")) {
        let stem = path.file_stem().unwrap().to_str().unwrap();
        assert!(tested.contains(&format!("\"{stem}\"")), "{stem} is in no test");
    }
}

#[test]
fn an_unnamed_batch_becomes_n() {
    let imported = Fixture::load("logistic_regression").imported;
    assert_eq!(imported.batch.as_deref(), Some("N"));
    let shape: Vec<String> = imported.model.input_fact(0).unwrap().shape.iter().map(ToString::to_string).collect();
    assert_eq!(shape, ["N", "5"]);
}

#[test]
fn a_named_batch_becomes_n() {
    assert_eq!(Fixture::load("batch_with_a_name").imported.batch.as_deref(), Some("N"));
}

#[test]
fn a_batch_beside_a_tensor_called_n_gets_another_name() {
    let fixture = Fixture::load("logistic_regression_without_zipmap");
    assert_eq!(names(&fixture.imported.model).0, ["N"]);
    assert_eq!(fixture.imported.batch.as_deref(), Some("N_1"));
    fixture.assert_matches();
}

#[test]
fn a_fixed_batch_has_no_symbol() {
    assert_eq!(Fixture::load("batch_of_one").imported.batch, None);
}

#[test]
fn names_that_tract_opl_reads_as_something_else_can_be_spelled_otherwise() {
    Fixture::load("literal_names").assert_matches_with_plain_names();
}

#[test]
fn outputs_keep_their_names_without_zipmap() {
    let imported = Fixture::load("random_forest").imported;
    assert_eq!(
        names(&imported.model),
        (vec!["input".into()], vec!["output_label".into(), "output_probability".into()])
    );
}

#[test]
fn labels_are_taken_from_the_classifier() {
    for name in ["logistic_regression_three_names", "logistic_regression_without_zipmap", "naive_bayes_names"] {
        assert_eq!(Fixture::load(name).imported.labels, ["high", "low", "middle"], "{name}");
    }
    assert_eq!(Fixture::load("random_forest_odd_classes").imported.labels, ["5", "7"]);
    assert_eq!(Fixture::load("min_max_ridge").imported.labels, [""; 0]);
}

#[test]
fn an_unknown_word_is_an_error_only_where_the_encoder_says_so() {
    let stranger = || ("input", tensor2(&[["a".to_owned(), "stranger".to_owned()]]));
    assert!(Fixture::load("one_hot_strings").run(&[stranger()]).is_ok());
    let refused = Fixture::load("one_hot_strict").run(&[stranger()]).unwrap_err();
    assert!(format!("{refused:?}").contains("\"stranger\" is none of the 4 categories"), "{refused:?}");
}

#[test]
fn the_words_that_an_input_may_hold_are_told() {
    let words = |name: &str, input: &str| Fixture::load(name).imported.words.remove(input).unwrap_or_default();
    assert_eq!(words("columns", "colour"), ["blue", "green", "red"]);
    assert_eq!(words("columns", "size"), ["L's", "M", "S"]);
    assert_eq!(words("columns", "weight"), [""; 0]);
    assert_eq!(words("words_ordinal", "words"), ["a", "b", "c"]);
    assert_eq!(words("columns_strings", "input"), [""; 0]);
}

#[test]
fn the_source_is_told() {
    let source = Fixture::load("random_forest").imported.source;
    assert_eq!((source.format, source.producer.as_deref(), source.opset), ("onnx", Some("skl2onnx 1.20.0"), Some(17)));
}

#[test]
fn an_untested_operator_set_is_a_warning() {
    let warnings = Fixture::load("batch_of_one").imported.warnings;
    assert_eq!(warnings, ["the file uses operator set 19; only 9 to 18 are tested"]);
    assert_eq!(Fixture::load("random_forest").imported.warnings, [""; 0]);
}
