//! A part of a whole, as people write it: `1%` or `0.01`.

use std::fmt;
use std::str::FromStr;

use serde::de::{Error as _, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const EXPECTED: &str = "a part below 1 as 0.01, or a percentage as \"1%\"";

/// A part of a whole, 0 or more.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Part(pub f64);

impl Part {
    /// A number without a percent sign is below 1, or it would be unclear what it means.
    fn plain(number: f64) -> Option<Self> {
        (0.0..1.0).contains(&number).then_some(Self(number))
    }
}

impl FromStr for Part {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let part = match text.strip_suffix('%') {
            Some(percent) => percent.trim().parse().ok().map(|percent: f64| Self(percent / 100.0)),
            None => text.parse().ok().and_then(Self::plain),
        };
        let valid = part.filter(|part| part.0.is_finite() && part.0 >= 0.0);
        valid.ok_or_else(|| format!("expected {EXPECTED}, got {text:?}"))
    }
}

/// As a percentage with as many digits as say something.
impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = self.0 * 100.0;
        let digits = if percent.abs() >= 0.1 || percent == 0.0 { 2 } else { 4 };
        let text = format!("{percent:.digits$}");
        let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
        write!(f, "{} %", if text == "-0" { "0" } else { text })
    }
}

impl Serialize for Part {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match Self::plain(self.0) {
            Some(Self(number)) => serializer.serialize_f64(number),
            None => serializer.serialize_str(&format!("{}%", self.0 * 100.0)),
        }
    }
}

impl<'de> Deserialize<'de> for Part {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Parts;

        impl Visitor<'_> for Parts {
            type Value = Part;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(EXPECTED)
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Part, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Part, E> {
                Part::plain(number).ok_or_else(|| E::invalid_value(Unexpected::Float(number), &self))
            }

            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Part, E> {
                Part::plain(number as f64).ok_or_else(|| E::invalid_value(Unexpected::Signed(number), &self))
            }

            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Part, E> {
                Part::plain(number as f64).ok_or_else(|| E::invalid_value(Unexpected::Unsigned(number), &self))
            }
        }

        deserializer.deserialize_any(Parts).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_read_as_people_write_them() {
        for (text, part) in [("1%", 0.01), ("0.01", 0.01), (" 2.5 % ", 0.025), ("0", 0.0), ("150%", 1.5), ("100%", 1.0)]
        {
            assert_eq!(text.parse(), Ok(Part(part)), "{text}");
        }
        for text in ["1", "5", "-1%", "-0.1", "", "%", "much", "nan", "inf%"] {
            assert!(text.parse::<Part>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_recipe_may_say_either_and_reads_back() {
        for (json, part) in [("0.01", 0.01), ("\"1%\"", 0.01), ("0", 0.0), ("\"150%\"", 1.5)] {
            let read: Part = serde_json::from_str(json).unwrap();
            assert_eq!(read, Part(part));
            assert_eq!(serde_json::from_str::<Part>(&serde_json::to_string(&read).unwrap()).unwrap(), read);
        }
        let refused = serde_json::from_str::<Part>("5").unwrap_err().to_string();
        assert!(refused.contains("expected a part below 1"), "{refused}");
    }

    #[test]
    fn a_percentage_has_the_digits_that_say_something() {
        let shown = [0.01, 0.985, 0.0, 1.0, 0.00012345, 0.333_333, -0.02, 0.1].map(|part| Part(part).to_string());
        assert_eq!(shown, ["1 %", "98.5 %", "0 %", "100 %", "0.0123 %", "33.33 %", "-2 %", "10 %"]);
    }
}
