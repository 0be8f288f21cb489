//! What `emberlite pull` prints for people.

use std::fmt;

use super::Pulled;
use crate::bench::bytes;

/// How many of the files that were left out are named.
const SHOWN: usize = 6;

impl fmt::Display for Pulled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { folder, source, commit, files, left_out, model } = self;
        let size = |sizes: &mut dyn Iterator<Item = u64>| bytes(sizes.sum());
        let all = size(&mut files.iter().map(|file| file.bytes));
        writeln!(f, "{}: {source} at {commit}, {} files, {all}", folder.display(), files.len())?;
        let new: Vec<_> = files.iter().filter(|file| file.downloaded).collect();
        if new.is_empty() {
            writeln!(f, "  downloaded  nothing: all were there")?;
        } else {
            let there = if new.len() < files.len() { ", the others were there" } else { "" };
            writeln!(f, "  downloaded  {} files, {}{there}", new.len(), size(&mut new.iter().map(|file| file.bytes)))?;
        }
        if !left_out.is_empty() {
            let mut largest: Vec<_> = left_out.iter().collect();
            largest.sort_by_key(|file| std::cmp::Reverse(file.bytes));
            let named: Vec<_> = largest.iter().take(SHOWN).map(|file| file.path.as_str()).collect();
            let more = if left_out.len() > SHOWN { ", …" } else { "" };
            let bytes = size(&mut left_out.iter().map(|file| file.bytes));
            writeln!(f, "  left out    {} files, {bytes}: {}{more}", left_out.len(), named.join(", "))?;
        }
        write!(f, "Next: emberlite pack {}", model.display())
    }
}
