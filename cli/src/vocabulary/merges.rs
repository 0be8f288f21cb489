//! The merges of a byte-pair encoding, and those that a token is made by.

use std::collections::HashMap;

use anyhow::Result;

/// Two tokens that become one.
type Pair = (String, String);

/// Merges with their ranks: the least comes first.
#[derive(Clone, Debug)]
pub(super) struct Merges {
    ranks: HashMap<Pair, usize>,
    /// What the last character of a word ends with.
    suffix: String,
}

impl Merges {
    pub(super) fn new(pairs: Vec<Pair>, suffix: &str) -> Result<Self> {
        let mut ranks = HashMap::with_capacity(pairs.len());
        for (rank, pair) in pairs.into_iter().enumerate() {
            ranks.entry(pair).or_insert(rank);
        }
        Ok(Self { ranks, suffix: suffix.to_owned() })
    }

    /// The merges that make `token` of its characters, in their order; none where no merges make it.
    ///
    /// A token of a text is made by the same ones, since none of them reached across its borders.
    pub(super) fn steps(&self, token: &str) -> Vec<Pair> {
        let mut parts = self.characters(token);
        let mut steps = Vec::new();
        while let Some(place) = self.next(&parts) {
            let right = parts.remove(place + 1);
            let left = std::mem::take(&mut parts[place]);
            parts[place] = format!("{left}{right}");
            steps.push((left, right));
        }
        if parts.len() == 1 { steps } else { Vec::new() }
    }

    fn characters(&self, token: &str) -> Vec<String> {
        let body = token.strip_suffix(&self.suffix).filter(|body| !body.is_empty()).unwrap_or(token);
        let mut parts: Vec<String> = body.chars().map(String::from).collect();
        if body.len() < token.len()
            && let Some(last) = parts.last_mut()
        {
            last.push_str(&self.suffix);
        }
        parts
    }

    /// Where the next merge is: the first place of the least rank.
    fn next(&self, parts: &[String]) -> Option<usize> {
        let ranked = parts.windows(2).enumerate().filter_map(|(place, pair)| {
            let rank = self.ranks.get(&(pair[0].clone(), pair[1].clone()))?;
            Some((*rank, place))
        });
        ranked.min().map(|(_, place)| place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merges(pairs: &[(&str, &str)], suffix: &str) -> Merges {
        let pairs = pairs.iter().map(|(left, right)| ((*left).to_owned(), (*right).to_owned())).collect();
        Merges::new(pairs, suffix).unwrap()
    }

    fn steps(merges: &Merges, token: &str) -> Vec<String> {
        merges.steps(token).into_iter().map(|(left, right)| format!("{left} {right}")).collect()
    }

    #[test]
    fn a_token_is_made_by_the_merges_of_least_rank_first() {
        let merges = merges(&[("b", "c"), ("a", "b"), ("a", "bc"), ("ab", "c")], "");
        assert_eq!(steps(&merges, "abc"), ["b c", "a bc"]);
        assert_eq!(steps(&merges, "ab"), ["a b"]);
        assert!(steps(&merges, "a").is_empty() && steps(&merges, "ac").is_empty());
    }

    #[test]
    fn the_last_character_of_a_word_has_its_suffix() {
        let merges = merges(&[("o", "w</w>"), ("l", "ow</w>"), ("o", "w")], "</w>");
        assert_eq!(steps(&merges, "low</w>"), ["o w</w>", "l ow</w>"]);
        assert_eq!(steps(&merges, "ow"), ["o w"]);
    }
}
