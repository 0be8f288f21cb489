//! The promises of the memory that packages lie in.

use super::*;

#[test]
fn memory_starts_at_a_cache_line_is_zeroed_and_as_long_as_asked_for() {
    for length in [0, 1, 64, HUGE_PAGE - 1, HUGE_PAGE, 3 * HUGE_PAGE + 5] {
        let memory = aligned(length);
        assert_eq!(memory.len(), length);
        assert!((memory.as_ptr() as usize).is_multiple_of(if length < HUGE_PAGE { LINE } else { HUGE_PAGE }));
        assert!(memory.iter().all(|byte| *byte == 0));
    }
}

#[test]
fn bytes_from_elsewhere_are_brought_to_a_cache_line() {
    let bytes = Bytes::from((0..=255).cycle().take(1000).collect::<Vec<u8>>());
    for start in 0..70 {
        let moved = PackageBytes::from(bytes.slice(start..));
        assert_eq!(*moved, bytes[start..]);
        assert!((moved.as_ptr() as usize).is_multiple_of(LINE));
    }
}

/// Linux marks the memory that it was asked to hold in huge pages with `hg`.
#[cfg(target_os = "linux")]
#[test]
fn linux_is_asked_for_huge_pages_as_far_as_they_are_filled() {
    let has_huge_pages = std::fs::exists("/sys/kernel/mm/transparent_hugepage").unwrap();
    // So much that no allocator hands out memory again for which another test had asked.
    let memory = aligned(17 * HUGE_PAGE + 5000);
    let is_asked = |offset: usize| is_marked(memory.as_ptr() as usize + offset);
    assert_eq!([is_asked(0), is_asked(17 * HUGE_PAGE - 1)], [has_huge_pages; 2]);
    assert!(!is_asked(17 * HUGE_PAGE), "less than a huge page is left");
}

/// Whether the mapping that an address is in has the flag.
#[cfg(target_os = "linux")]
fn is_marked(address: usize) -> bool {
    let mappings = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let mut is_inside = false;
    for line in mappings.lines() {
        let range = line.split(' ').next().and_then(|range| range.split_once('-'));
        let bounds = range
            .and_then(|(start, end)| usize::from_str_radix(start, 16).ok().zip(usize::from_str_radix(end, 16).ok()));
        if let Some((start, end)) = bounds {
            is_inside = (start..end).contains(&address);
        } else if let Some(flags) = line.strip_prefix("VmFlags:").filter(|_| is_inside) {
            return flags.split(' ').any(|flag| flag == "hg");
        }
    }
    panic!("no mapping has the address");
}
