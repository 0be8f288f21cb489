//! The frontier as a plot: points at percentages of its width and height.

use serde::Serialize;

use super::units::{bytes, milliseconds, percent};
use crate::verify::frontier::{Frontier, Point, Target};

/// About how many lines there are along an axis.
const TICKS: f64 = 4.0;
/// What lies so many budgets above nothing is drawn at the upper edge.
const HEIGHT_IN_BUDGETS: f64 = 4.0;

/// A plot, from left to right by cost and from bottom to top by loss.
#[derive(Debug, Serialize)]
pub(super) struct Plot {
    /// What the horizontal axis tells.
    across: &'static str,
    across_ticks: Vec<Tick>,
    up_ticks: Vec<Tick>,
    /// Where the budget lies.
    budget: f64,
    budget_text: String,
    dots: Vec<Dot>,
    /// From each of the best points to the next.
    lines: Vec<[f64; 4]>,
    /// The plot in a sentence, for those who can't see it.
    alternative: String,
}

#[derive(Debug, Serialize)]
struct Tick {
    at: f64,
    text: String,
}

/// A candidate.
#[derive(Debug, Serialize)]
pub(super) struct Dot {
    number: usize,
    x: f64,
    y: f64,
    /// Whether it loses more than the plot is high.
    beyond: bool,
    best: bool,
    chosen: bool,
    within: bool,
    name: String,
    loss: String,
    latency: String,
    size: String,
    memory: String,
}

impl Plot {
    /// The plot of a frontier; none of one without points.
    pub(super) fn of(frontier: &Frontier) -> Option<Self> {
        let widest = frontier.points.iter().map(|point| frontier.cost(point)).reduce(f64::max)?;
        let highest = frontier.points.iter().map(|point| point.loss).fold(frontier.max_loss * 1.25, f64::max);
        let picked = frontier.points.iter().filter(|point| point.chosen).map(|point| point.loss * 1.25);
        let room = picked.fold(frontier.max_loss * HEIGHT_IN_BUDGETS, f64::max);
        let (width, height) = (rounded_up(widest * 1.02), rounded_up(highest.min(room)));
        let x = |point: &Point| 100.0 * frontier.cost(point) / width;
        let y = |loss: f64| 100.0 * (1.0 - loss.min(height) / height);
        let best = frontier.best();
        let mut points: Vec<&Point> = frontier.points.iter().collect();
        points.sort_by(|a, b| a.loss.total_cmp(&b.loss).then(frontier.cost(a).total_cmp(&frontier.cost(b))));
        let dot = |(index, point): (usize, &&Point)| Dot {
            number: index + 1,
            x: x(point),
            y: y(point.loss),
            beyond: point.loss > height,
            best: best.iter().any(|other| std::ptr::eq(*other, *point)),
            chosen: point.chosen,
            within: point.within,
            name: point.name.clone(),
            loss: percent(point.loss),
            latency: milliseconds(point.latency_ms),
            size: bytes(point.package_bytes as f64),
            memory: bytes(point.memory_bytes as f64),
        };
        let shown: Vec<_> = best.iter().filter(|point| point.loss <= height).collect();
        let lines = shown.windows(2).map(|pair| [x(pair[0]), y(pair[0].loss), x(pair[1]), y(pair[1].loss)]);
        let (across, unit): (_, fn(f64) -> String) = match frontier.target {
            Target::Latency => ("time of an answer", milliseconds),
            Target::Size => ("size of the package", bytes),
            Target::Memory => ("memory of the loaded model", bytes),
        };
        Some(Self {
            across,
            across_ticks: ticks(width, unit, |part| part),
            up_ticks: ticks(height, percent, |part| 1.0 - part),
            budget: y(frontier.max_loss),
            budget_text: percent(frontier.max_loss),
            dots: points.iter().enumerate().map(dot).collect(),
            lines: lines.collect(),
            alternative: alternative(frontier),
        })
    }
}

fn alternative(frontier: &Frontier) -> String {
    let within = frontier.points.iter().filter(|point| point.within).count();
    let chosen = frontier.points.iter().find(|point| point.chosen);
    let chosen = chosen.map_or("none was picked".to_owned(), |point| {
        format!("{} was picked, with a loss of {}", point.name, percent(point.loss))
    });
    format!(
        "{} candidates by cost and loss; {within} lose no more than {}; {chosen}. The table below has all of them.",
        frontier.points.len(),
        percent(frontier.max_loss)
    )
}

/// Even steps of a round length from 0 to the end.
fn ticks(end: f64, unit: fn(f64) -> String, place: impl Fn(f64) -> f64) -> Vec<Tick> {
    let step = round_step(end / TICKS);
    let count = (end / step + 1e-9).floor() as usize;
    let tick = |index: usize| {
        let value = index as f64 * step;
        Tick { at: 100.0 * place(value / end), text: if index == 0 { "0".to_owned() } else { unit(value) } }
    };
    (0..=count).map(tick).collect()
}

fn rounded_up(value: f64) -> f64 {
    let value = value.max(f64::MIN_POSITIVE);
    let step = round_step(value / TICKS) / 2.0;
    (value / step).ceil() * step
}

/// 1, 2 or 5 times a power of ten, about as much as `about`.
fn round_step(about: f64) -> f64 {
    let power = 10f64.powf(about.max(1e-300).log10().floor());
    let leading = about / power;
    let digit = if leading < 1.5 {
        1.0
    } else if leading < 3.5 {
        2.0
    } else if leading < 7.5 {
        5.0
    } else {
        10.0
    };
    digit * power
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(name: &str, loss: f64, latency_ms: f64) -> Point {
        let (package_bytes, memory_bytes) = (1_000_000, 2_000_000);
        let (chosen, within) = (name == "int8", loss <= 0.01);
        Point { name: name.to_owned(), loss, latency_ms, package_bytes, memory_bytes, chosen, within }
    }

    #[test]
    fn points_lie_within_the_plot_and_those_far_beyond_the_budget_at_its_edge() {
        let points = vec![point("none", 0.0, 9.0), point("int8", 0.004, 3.0), point("q4", 0.9, 2.0)];
        let plot = Plot::of(&Frontier { target: Target::Latency, max_loss: 0.01, points }).unwrap();
        assert!(plot.dots.iter().all(|dot| (0.0..=100.0).contains(&dot.x) && (0.0..=100.0).contains(&dot.y)));
        let beyond: Vec<_> = plot.dots.iter().filter(|dot| dot.beyond).map(|dot| (dot.name.as_str(), dot.y)).collect();
        assert_eq!(beyond, [("q4", 0.0)]);
        assert_eq!(plot.lines.len(), 1, "a line leads to no point that is not shown");
        assert!((0.0..100.0).contains(&plot.budget));
        assert!(plot.up_ticks.len() >= 3 && plot.across_ticks.len() >= 3, "{plot:?}");
        assert!(plot.alternative.contains("3 candidates") && plot.alternative.contains("int8 was picked"));
    }

    #[test]
    fn no_points_are_no_plot() {
        assert!(Plot::of(&Frontier { target: Target::Size, max_loss: 0.01, points: Vec::new() }).is_none());
    }

    #[test]
    fn steps_are_round() {
        assert_eq!([0.0013, 0.19, 2.9, 80.0].map(round_step), [0.001, 0.2, 2.0, 100.0]);
    }
}
