//! The report as a page: every number as text, every bar as a part of the longest.

use anyhow::Result;
use emberlite::model::{Pruning, Quantization};
use minijinja::Environment;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use serde::Serialize;

use super::figures::{self, Figure};
use super::plot::Plot;
use super::units::{bytes, count, milliseconds, of_many, percent, times};
use super::{Report, Side};
use crate::verify::comparison::Case;
use crate::verify::latency::Timing;
use crate::verify::thresholds::Rule;

/// How many layers are shown: those with the greatest errors.
const LAYERS: usize = 40;
const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");

/// The whole page.
pub(super) fn render(report: &Report) -> Result<String> {
    let mut environment = Environment::new();
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    // The ending of its name makes every value be escaped.
    environment.add_template("page.html", PAGE)?;
    Ok(environment.get_template("page.html")?.render(Serde(View::of(report)))?)
}

/// What the page shows.
#[derive(Serialize)]
struct View<'a> {
    style: &'static str,
    report: &'a Report,
    verdict: &'static str,
    state: &'static str,
    sentence: String,
    loss: String,
    size: String,
    speed: Option<String>,
    figures: Vec<Figure>,
    rules: Vec<Rule>,
    sizes: Sizes,
    timings: Vec<TimingRow>,
    taken: Vec<Taken>,
    layers: Option<Layers>,
    cases: Vec<CaseRow<'a>>,
    plot: Option<Plot>,
    examples: String,
    labelled: String,
}

/// A step of pruning.
#[derive(Serialize)]
struct Taken {
    method: String,
    removed: String,
    units: String,
    left: String,
    loss: String,
}

impl Taken {
    fn of(step: &Pruning) -> Self {
        let left = step.parameters_after as f64 / step.parameters_before.max(1) as f64;
        Self {
            method: step.method.clone(),
            removed: count(step.removed),
            units: count(step.units),
            left: format!("{} of {}", percent(left), count(step.parameters_before)),
            loss: format!("{:.1e}", step.loss),
        }
    }
}

impl<'a> View<'a> {
    fn of(report: &'a Report) -> Self {
        let (verdict, state) = match (report.thresholds.is_empty(), report.missed.is_empty()) {
            (true, _) => ("Measured, no threshold set", "open"),
            (false, true) => ("Good enough", "kept"),
            (false, false) => ("Refused", "missed"),
        };
        Self {
            style: STYLE,
            verdict,
            state,
            sentence: figures::sentence(report),
            loss: percent(report.loss.value),
            size: percent(report.size()),
            speed: report.latency.first().map(|timing| times(timing.speed())),
            figures: figures::of(&report.comparison),
            rules: report.thresholds.rules(&report.comparison),
            sizes: Sizes::of(report),
            timings: timings(&report.latency),
            taken: report.pruning.iter().map(Taken::of).collect(),
            layers: report.quantization.as_ref().map(Layers::of),
            cases: report.comparison.worst.iter().map(CaseRow::of).collect(),
            plot: report.frontier.as_ref().and_then(Plot::of),
            labelled: count(report.comparison.labelled),
            examples: of_many(report.comparison.examples, "example", "examples"),
            report,
        }
    }
}

/// Both packages by their parts.
#[derive(Serialize)]
struct Sizes {
    rows: Vec<SizeRow>,
    source: Vec<Segment>,
    packed: Vec<Segment>,
    source_bytes: String,
    packed_bytes: String,
    file_bytes: Option<String>,
}

#[derive(Serialize)]
struct SizeRow {
    name: &'static str,
    /// Its colour, counted from 1.
    colour: usize,
    source: String,
    packed: String,
    part: String,
}

/// A part of a bar, in percent of the longer one.
#[derive(Serialize)]
struct Segment {
    name: &'static str,
    colour: usize,
    x: f64,
    width: f64,
}

impl Sizes {
    fn of(report: &Report) -> Self {
        let mut names: Vec<&'static str> = Vec::new();
        for part in report.source.parts.iter().chain(&report.package.parts) {
            if !names.contains(&part.name) {
                names.push(part.name);
            }
        }
        let of =
            |side: &Side, name: &str| side.parts.iter().find(|part| part.name == name).map_or(0, |part| part.bytes);
        let row = |(index, name): (usize, &&'static str)| {
            let (source, packed) = (of(&report.source, name), of(&report.package, name));
            let part = if source > 0 { percent(packed as f64 / source as f64) } else { String::new() };
            let (source, packed) = (bytes(source as f64), bytes(packed as f64));
            SizeRow { name, colour: index + 1, source, packed, part }
        };
        let longest = report.source.package_bytes.max(report.package.package_bytes).max(1) as f64;
        let bar = |side: &Side| {
            let mut x = 0.0;
            let segment = |(index, name): (usize, &&'static str)| {
                let width = 100.0 * of(side, name) as f64 / longest;
                let segment = Segment { name, colour: index + 1, x, width };
                x += width;
                segment
            };
            names.iter().enumerate().map(segment).filter(|segment| segment.width > 0.0).collect()
        };
        Self {
            source: bar(&report.source),
            packed: bar(&report.package),
            rows: names.iter().enumerate().map(row).collect(),
            source_bytes: bytes(report.source.package_bytes as f64),
            packed_bytes: bytes(report.package.package_bytes as f64),
            file_bytes: report.source.file_bytes.map(|size| bytes(size as f64)),
        }
    }
}

#[derive(Serialize)]
struct TimingRow {
    what: String,
    rounds: usize,
    source: TimingBar,
    packed: TimingBar,
    times: String,
}

/// A bar with the range of the middle half, in percent of the longest of its row.
#[derive(Serialize)]
struct TimingBar {
    median: String,
    range: String,
    rate: String,
    width: f64,
    low: f64,
    high: f64,
}

fn timings(latency: &[Timing]) -> Vec<TimingRow> {
    let row = |timing: &Timing| {
        let longest = timing.source.high_ms.max(timing.packed.high_ms).max(f64::MIN_POSITIVE);
        let bar = |spread: crate::verify::latency::Spread| TimingBar {
            median: milliseconds(spread.median_ms),
            range: format!("{} to {}", milliseconds(spread.low_ms), milliseconds(spread.high_ms)),
            rate: rate(timing.count as f64 / spread.median_ms.max(f64::MIN_POSITIVE) * 1000.0),
            width: 100.0 * spread.median_ms / longest,
            low: 100.0 * spread.low_ms / longest,
            high: 100.0 * spread.high_ms / longest,
        };
        TimingRow {
            what: timing.what.clone(),
            rounds: timing.rounds,
            source: bar(timing.source),
            packed: bar(timing.packed),
            times: times(timing.speed()),
        }
    };
    latency.iter().map(row).collect()
}

fn rate(per_second: f64) -> String {
    if per_second < 10.0 {
        format!("{per_second:.1} a second")
    } else {
        format!("{} a second", count(per_second as usize))
    }
}

/// An example whose answer changed, with its picture.
#[derive(Serialize)]
struct CaseRow<'a> {
    picture: Option<&'a String>,
    #[serde(flatten)]
    case: &'a Case,
}

impl<'a> CaseRow<'a> {
    fn of(case: &'a Case) -> Self {
        Self { picture: case.picture.as_ref(), case }
    }
}

/// What each layer loses.
#[derive(Serialize)]
struct Layers {
    scheme: String,
    calibration: Option<String>,
    measured: Vec<LayerRow>,
    /// What is left out.
    more: usize,
    /// How many layers have each format.
    formats: Vec<(String, usize)>,
}

#[derive(Serialize)]
struct LayerRow {
    name: String,
    format: String,
    error: String,
    width: f64,
}

impl Layers {
    fn of(quantization: &Quantization) -> Self {
        let greatest = quantization.layers.iter().filter_map(|layer| layer.error).fold(0.0, f64::max);
        let measured = quantization.layers.iter().filter_map(|layer| Some((layer, layer.error?)));
        let row = |(layer, error): (&emberlite::model::QuantizedLayer, f64)| LayerRow {
            name: layer.name.clone(),
            format: format!("{:?}", layer.format),
            error: format!("{error:.2e}"),
            width: if greatest > 0.0 { 100.0 * error / greatest } else { 0.0 },
        };
        let mut formats: Vec<(String, usize)> = Vec::new();
        for layer in &quantization.layers {
            let format = format!("{:?}", layer.format);
            match formats.iter_mut().find(|(known, _)| *known == format) {
                Some((_, count)) => *count += 1,
                None => formats.push((format, 1)),
            }
        }
        let all: Vec<_> = measured.map(row).collect();
        let more = all.len().saturating_sub(LAYERS);
        Self {
            scheme: format!("{:?}", quantization.scheme),
            calibration: quantization.calibration.clone(),
            measured: all.into_iter().take(LAYERS).collect(),
            more,
            formats,
        }
    }
}
