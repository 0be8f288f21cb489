use std::fs;

use emberlite::model::{Agreement, Cosine, Pruning, QuantizedLayer};
use emberlite::ops::WeightFormat;

use super::*;
use crate::verify::{Accuracy, Case, LabelsOutcome, Outcome, Part, Point, Spread, Target};

/// A report in which whatever comes from outside tries to leave its place.
fn report() -> Report {
    let hostile = "<script>alert('x')</script>\"&".to_owned();
    let accuracy =
        Accuracy { examples: 3080, source: 0.9078, packed: 0.8968, difference: -0.011, low: -0.018, high: -0.004 };
    let outcome = LabelsOutcome {
        agreement: 0.97,
        changed: 92,
        accuracy: Some(accuracy),
        divergence: Some(0.01),
        largest: Some(0.4),
    };
    let case = Case {
        name: hostile.clone(),
        input: hostile.clone(),
        label: Some(hostile.clone()),
        source: hostile.clone(),
        packed: hostile.clone(),
        picture: Some("data:image/png;base64,iVBORw==".to_owned()),
        distance: 1.2,
    };
    let comparison = Comparison {
        data: hostile.clone(),
        examples: 3080,
        labelled: 3080,
        isa: "avx2".to_owned(),
        outcome: Outcome::Labels(outcome),
        worst: vec![case],
    };
    let thresholds =
        Thresholds { max_loss: Some(Part(0.01)), min_agreement: Some(Part(0.95)), ..Thresholds::default() };
    let side = |package_bytes: usize| Side {
        file: hostile.clone(),
        format: "onnx".to_owned(),
        producer: Some(hostile.clone()),
        file_digest: "00".repeat(32),
        file_bytes: Some(3_700_000),
        package_digest: "11".repeat(32),
        package_bytes,
        parts: vec![
            PartBytes { name: "graph", bytes: 1000 },
            PartBytes { name: "linear layers", bytes: package_bytes - 1000 },
        ],
    };
    let spread = |median_ms: f64| Spread { median_ms, low_ms: median_ms * 0.9, high_ms: median_ms * 1.2 };
    let timing = |what: &str, count| Timing {
        what: what.to_owned(),
        count,
        rounds: 30,
        source: spread(4.0),
        packed: spread(2.0),
        faster: 1.0,
    };
    let layer = |index: usize| QuantizedLayer {
        name: format!("layer.{index}.{hostile}"),
        format: WeightFormat::Int8,
        error: Some(1.0 / index as f64),
    };
    let agreement = Agreement {
        texts: 3,
        isa: "avx2".to_owned(),
        cosine: Some(Cosine { mean: 1.0, least: 1.0 }),
        labels: None,
        max_abs_difference: 0.0,
    };
    let point = |index: usize| Point {
        name: format!("{index}{hostile}"),
        loss: 0.002 * index as f64,
        latency_ms: 10.0 / (1.0 + index as f64),
        package_bytes: 1_000_000,
        memory_bytes: 3_000_000,
        chosen: index == 4,
        within: index < 5,
    };
    Report {
        name: "intents".to_owned(),
        task: Task::Classify,
        description: hostile.clone(),
        tool: "0.1.0".to_owned(),
        loss: comparison.loss(),
        missed: thresholds.check(&comparison).unwrap_err().0,
        comparison,
        thresholds,
        source: side(7_300_000),
        package: side(2_009_408),
        latency: vec![timing("1 example", 1), timing("8 examples at once", 8)],
        pruning: vec![Pruning {
            method: hostile.clone(),
            amount: 0.25,
            units: 4096,
            removed: 1024,
            parameters_before: 2000,
            parameters_after: 1500,
            loss: 0.001,
        }],
        quantization: Some(Quantization {
            method: None,
            scheme: WeightFormat::Int8,
            calibration: Some(hostile.clone()),
            kept: Vec::new(),
            layers: (1..60).map(layer).collect(),
            agreement,
        }),
        frontier: Some(Frontier { target: Target::Latency, max_loss: 0.01, points: (0..12).map(point).collect() }),
        recipe: Some(hostile),
    }
}

#[test]
fn the_page_has_every_section_and_nothing_from_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.html");
    write(&file, &report()).unwrap();
    let page = fs::read_to_string(&file).unwrap();
    for heading in [
        "Refused",
        "Answers",
        "Thresholds",
        "Size by part",
        "Time",
        "Error by layer",
        "Frontier",
        "Worst cases",
        "Recipe",
        "Provenance",
    ] {
        assert!(page.contains(&format!(">{heading}</h")), "{heading}");
    }
    assert!(page.contains("19 more lose less"));
    assert!(page.contains("75 % of 2,000"));
    assert_eq!(page.matches("src=").count(), 1, "the picture");
    assert!(page.contains("src=\"data:image&#x2f;png;base64,iVBORw==\""));
    for elsewhere in ["http:", "https:", "@import", "url(", "<script"] {
        assert!(!page.contains(elsewhere), "{elsewhere}");
    }
    if let Some(kept) = std::env::var_os("EMBER_REPORT_SAMPLE") {
        fs::write(kept, page).unwrap();
    }
}

#[test]
fn a_small_report_leaves_out_what_it_has_not() {
    let report = Report { latency: Vec::new(), quantization: None, frontier: None, recipe: None, ..report() };
    let page = page::render(&report).unwrap();
    for heading in [">Time<", ">Error by layer<", ">Frontier<", ">Recipe<"] {
        assert!(!page.contains(heading), "{heading}");
    }
    let open = Report { thresholds: Thresholds::default(), missed: Vec::new(), ..report };
    assert!(page::render(&open).unwrap().contains("Measured, no threshold set"));
}

#[test]
fn a_few_lines_say_what_was_lost() {
    let shown = report().to_string();
    for words in [
        "intents gives the same label as its source on 97 % of 3,080 examples",
        "90.78 % -> 89.68 %",
        "\u{2212}1.10 points (95 % interval \u{2212}1.80 to \u{2212}0.40), on 3,080",
        "2.00 times as fast",
        "loss                   1.1 % (accuracy lost)",
    ] {
        assert!(shown.contains(words), "{words}\n{shown}");
    }
}
