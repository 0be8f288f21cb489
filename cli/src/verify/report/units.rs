//! Numbers as people read them.

use crate::verify::Part;

/// A size with three digits.
pub(super) fn bytes(bytes: f64) -> String {
    let (number, unit) = match bytes {
        bytes if bytes < 1e3 => return format!("{bytes:.0} bytes"),
        bytes if bytes < 1e6 => (bytes / 1e3, "kB"),
        bytes if bytes < 1e9 => (bytes / 1e6, "MB"),
        bytes => (bytes / 1e9, "GB"),
    };
    let digits = if number < 9.995 { 2 } else { usize::from(number < 99.95) };
    format!("{number:.digits$} {unit}")
}

/// A time with three digits.
pub(super) fn milliseconds(ms: f64) -> String {
    let (number, unit) = match ms {
        ms if ms < 1.0 => (ms * 1e3, "µs"),
        ms if ms < 1e3 => (ms, "ms"),
        ms => (ms / 1e3, "s"),
    };
    let digits = if number < 9.995 { 2 } else { usize::from(number < 99.95) };
    format!("{number:.digits$} {unit}")
}

/// A count with its thousands apart.
pub(super) fn count(number: usize) -> String {
    let digits = number.to_string();
    let group = |(index, digit): (usize, char)| {
        let apart = index > 0 && (digits.len() - index).is_multiple_of(3);
        apart.then_some(',').into_iter().chain([digit])
    };
    digits.chars().enumerate().flat_map(group).collect()
}

/// How much faster or slower something is.
pub(super) fn times(ratio: f64) -> String {
    match ratio {
        ratio if ratio >= 1.05 => format!("{ratio:.2} times as fast"),
        ratio if ratio <= 0.95 => format!("{:.2} times as slow", 1.0 / ratio.max(f64::MIN_POSITIVE)),
        _ => "about as fast".to_owned(),
    }
}

/// A difference of parts, in points of a percent.
pub(super) fn points(difference: f64) -> String {
    let points = difference * 100.0;
    let sign = if points < 0.0 { "\u{2212}" } else { "+" };
    if points.abs() < 0.005 { "0".to_owned() } else { format!("{sign}{:.2}", points.abs()) }
}

/// A part as a percentage.
pub(super) fn percent(part: f64) -> String {
    Part(part).to_string()
}

/// `1 example`, `3 examples`.
pub(super) fn of_many(number: usize, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_digits_that_people_read() {
        assert_eq!(
            [0.0, 999.0, 2_009_408.0, 23_456_789.0, 9.9996e6].map(bytes),
            ["0 bytes", "999 bytes", "2.01 MB", "23.5 MB", "10.0 MB"]
        );
        assert_eq!([0.0123, 1.5, 123.4, 4000.0].map(milliseconds), ["12.3 µs", "1.50 ms", "123 ms", "4.00 s"]);
        assert_eq!([7, 999, 1000, 1_822_285].map(count), ["7", "999", "1,000", "1,822,285"]);
        assert_eq!([-0.001, 0.0, 0.0123].map(points), ["\u{2212}0.10", "0", "+1.23"]);
        assert_eq!([2.0, 0.5, 1.01].map(times), ["2.00 times as fast", "2.00 times as slow", "about as fast"]);
    }
}
