//! What `emberlite bench` prints for people.

use std::fmt;

use emberlite::model::Task;

use super::{Bench, Cell, Memories, What};

impl fmt::Display for Bench {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let threads = if self.threads == 1 { "1 thread".to_owned() } else { format!("{} threads", self.threads) };
        let mut lines = vec![
            format!("{} ({}) on {threads} with {}", self.model, self.task, self.isa),
            format!("  package  {}", bytes(self.package_bytes as u64)),
            format!("  load     {} ms", digits(self.load_ms)),
        ];
        lines.extend(self.memory.map(|memory| memory_line(&memory)));
        let units = match self.task {
            Task::Predict => "rows/s",
            Task::Generate => "tokens/s",
            Task::Embed | Task::Classify | Task::Rerank => "texts/s",
        };
        let titles = [
            (What::Run, None),
            (What::Prefill, Some("Reading a prompt:")),
            (What::Decode, Some("Writing a token in each of so many texts, after so many tokens:")),
        ];
        for (what, title) in titles {
            let cells: Vec<_> = self.cells.iter().filter(|cell| cell.what == what).collect();
            if let [first, ..] = *cells {
                lines.push(String::new());
                lines.extend(title.map(str::to_owned));
                lines.push(heading(first, units));
                lines.extend(cells.into_iter().map(line));
            }
        }
        if self.cells.iter().any(|cell| cell.wide) {
            lines.push(format!("\n{BUSY}"));
        }
        f.write_str(&lines.join("\n"))
    }
}

/// What a mark at a line means.
const BUSY: &str = "* These runs are far apart: the machine has something else to do. Measure again when it is idle, or longer \
                    (--seconds).";

fn memory_line(memory: &Memories) -> String {
    let Memories { before_load, loaded, after_runs, peak_bytes } = memory;
    format!(
        "  memory   {} before the load, {} after it, {} after the runs ({} of no file), {} at most",
        bytes(before_load.resident_bytes),
        bytes(loaded.resident_bytes),
        bytes(after_runs.resident_bytes),
        bytes(after_runs.own_bytes),
        bytes(*peak_bytes)
    )
}

fn heading(first: &Cell, units: &str) -> String {
    let tokens = if first.length.is_some() { "  tokens" } else { "" };
    format!("  batch{tokens}  median ms      p10 – p90 ms  {units:>10}     peak   runs")
}

fn line(cell: &Cell) -> String {
    let Cell { batch, length, latency, per_second, peak_bytes, wide, .. } = cell;
    let length = length.map(|length| format!("{length:>8}")).unwrap_or_default();
    let range = format!("{} – {}", digits(latency.low_ms), digits(latency.high_ms));
    let peak = peak_bytes.map_or_else(|| "-".to_owned(), bytes);
    let mark = if *wide { " *" } else { "" };
    let (median, rate, runs) = (digits(latency.median_ms), digits(*per_second), latency.runs);
    format!("  {batch:>5}{length}  {median:>9}  {range:>16}  {rate:>10}  {peak:>7} {runs:>6}{mark}")
}

/// Three digits, or all before the point.
fn digits(number: f64) -> String {
    let decimals = (2 - number.abs().max(1e-9).log10().floor() as i32).clamp(0, 5);
    format!("{number:.*}", decimals as usize)
}

/// A size in words.
pub(crate) fn bytes(bytes: u64) -> String {
    let number = bytes as f64;
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{} kB", digits(number / 1e3)),
        1_000_000..1_000_000_000 => format!("{} MB", digits(number / 1e6)),
        _ => format!("{} GB", digits(number / 1e9)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_and_sizes_a_unit() {
        let told = [0.012_345, 1.234_5, 12.345, 123.45, 12_345.6].map(digits);
        assert_eq!(told, ["0.0123", "1.23", "12.3", "123", "12346"]);
        assert_eq!([999, 23_400, 23_456_789, 1_500_000_000].map(bytes), ["999 B", "23.4 kB", "23.5 MB", "1.50 GB"]);
    }
}
