//! Memory that a thread's kernels use again and again, aligned to cache lines.

use std::cell::Cell;
use std::thread::LocalKey;

/// A cache line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; LINE]);

const LINE: usize = 64;

thread_local! {
    static FLOATS: Cell<Vec<Line>> = const { Cell::new(Vec::new()) };
    static BYTES: Cell<Vec<Line>> = const { Cell::new(Vec::new()) };
    static MORE_BYTES: Cell<Vec<Line>> = const { Cell::new(Vec::new()) };
}

/// Lends `length` numbers of any value. A nested call on the same thread gets other ones.
pub(crate) fn floats<R>(length: usize, work: impl FnOnce(&mut [f32]) -> R) -> R {
    let mut lines = FLOATS.take();
    grow(&mut lines, length * size_of::<f32>());
    // SAFETY: the lines hold at least as many bytes, all initialized; any bits are an `f32`, and its alignment is less.
    let result = work(unsafe { std::slice::from_raw_parts_mut(lines.as_mut_ptr().cast(), length) });
    FLOATS.set(lines);
    result
}

/// Lends `length` bytes of any value. A nested call on the same thread gets other ones.
pub(crate) fn bytes<R>(length: usize, work: impl FnOnce(&mut [u8]) -> R) -> R {
    bytes_of(&BYTES, length, work)
}

/// Lends other bytes than [`bytes`] to work that has those.
pub(crate) fn more_bytes<R>(length: usize, work: impl FnOnce(&mut [u8]) -> R) -> R {
    bytes_of(&MORE_BYTES, length, work)
}

fn bytes_of<R>(scratch: &'static LocalKey<Cell<Vec<Line>>>, length: usize, work: impl FnOnce(&mut [u8]) -> R) -> R {
    let mut lines = scratch.take();
    grow(&mut lines, length);
    // SAFETY: the lines hold at least as many bytes, all initialized.
    let result = work(unsafe { std::slice::from_raw_parts_mut(lines.as_mut_ptr().cast(), length) });
    scratch.set(lines);
    result
}

fn grow(lines: &mut Vec<Line>, bytes: usize) {
    let needed = bytes.div_ceil(LINE);
    if lines.len() < needed {
        lines.resize(needed, Line([0; LINE]));
    }
}
