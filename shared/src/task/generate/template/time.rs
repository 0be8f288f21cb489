//! Time as Python's `strftime` writes it, in UTC.

use std::time::{SystemTime, UNIX_EPOCH};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// A time in a format with Python's directives.
///
/// # Errors
/// A directive that is not known here.
pub(super) fn format(time: SystemTime, format: &str) -> Result<String, String> {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (days, second) = ((seconds / 86_400) as i64, seconds % 86_400);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let weekday = DAYS[(days + 3).rem_euclid(7) as usize];
    let month_name = MONTHS[month as usize - 1];
    let half = if hour < 12 { "AM" } else { "PM" };
    let of_twelve = (hour + 11) % 12 + 1;
    let mut text = String::new();
    let mut characters = format.chars();
    while let Some(c) = characters.next() {
        if c != '%' {
            text.push(c);
            continue;
        }
        let mut directive = characters.next().ok_or("the format ends with %")?;
        let padded = directive != '-';
        if !padded {
            directive = characters.next().ok_or("the format ends with %-")?;
        }
        let number = |number: i64, width: usize| if padded { format!("{number:0width$}") } else { number.to_string() };
        let written = match directive {
            'Y' => year.to_string(),
            'y' => number(year % 100, 2),
            'm' => number(month, 2),
            'd' => number(day, 2),
            'e' => format!("{day:2}"),
            'j' => number(days - first_day(year) + 1, 3),
            'H' => number(hour as i64, 2),
            'I' => number(of_twelve as i64, 2),
            'M' => number(minute as i64, 2),
            'S' => number(second as i64, 2),
            'p' => half.to_owned(),
            'B' => month_name.to_owned(),
            'b' | 'h' => month_name[..3].to_owned(),
            'A' => weekday.to_owned(),
            'a' => weekday[..3].to_owned(),
            'F' => format!("{year}-{month:02}-{day:02}"),
            'T' => format!("{hour:02}:{minute:02}:{second:02}"),
            'Z' => "UTC".to_owned(),
            'z' => "+0000".to_owned(),
            '%' => "%".to_owned(),
            other => return Err(format!("strftime_now does not know %{other}")),
        };
        text.push_str(&written);
    }
    Ok(text)
}

/// The year, month and day that is so many days after the first of January 1970, by Hinnant's algorithm: years begin in
/// March, and 400 of them repeat.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// The number of a year's first day, counted from 1970.
fn first_day(year: i64) -> i64 {
    let before = year - 1;
    365 * (year - 1970) + (before / 4 - before / 100 + before / 400) - (1969 / 4 - 1969 / 100 + 1969 / 400)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_those_of_python() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        // datetime.datetime.fromtimestamp(…, datetime.UTC).strftime(…) of Python 3.13
        for (seconds, directives, expected) in [
            (1_732_543_205, "%d %b %Y", "25 Nov 2024"),
            (1_709_210_096, "%A, %B %d, %Y %H:%M:%S %j", "Thursday, February 29, 2024 12:34:56 060"),
            (946_684_799, "%Y-%m-%d %I:%M %p", "1999-12-31 11:59 PM"),
            (0, "%a %y %-d%%", "Thu 70 1%"),
        ] {
            assert_eq!(format(at(seconds), directives).unwrap(), expected);
        }
        assert!(format(at(0), "%Q").is_err());
    }
}
