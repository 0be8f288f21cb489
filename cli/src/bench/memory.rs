//! How much memory this process has: resident, its own, and at most.

use std::fs;

use serde::Serialize;

/// What Linux says of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// In memory, mapped files included.
    pub resident_bytes: u64,
    /// In memory and no file's.
    pub own_bytes: u64,
    /// The most that was in memory since [`forget_peak`].
    pub peak_bytes: u64,
}

impl Memory {
    /// Now; nothing where the system does not tell.
    pub(super) fn now() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/self/status").ok()?)
    }

    fn parse(status: &str) -> Option<Self> {
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
        };
        Some(Self { resident_bytes: field("VmRSS")?, own_bytes: field("RssAnon")?, peak_bytes: field("VmHWM")? })
    }
}

/// The peak is from now on what there is now. Where the system refuses, it stays that of the whole process.
pub(super) fn forget_peak() {
    drop(fs::write("/proc/self/clear_refs", "5"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_of_a_status_are_found_by_their_whole_names() {
        let status = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\nRssAnon:\t     512 kB\nRssFile:\t 512 kB\n";
        let memory = Memory { resident_bytes: 1 << 20, own_bytes: 1 << 19, peak_bytes: 1 << 21 };
        assert_eq!(Memory::parse(status), Some(memory));
        assert_eq!(Memory::parse("VmRSS:\t1 kB\n"), None);
    }
}
