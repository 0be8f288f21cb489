//! Layers with int8 weights whose empty blocks are left out: of each row only what meets a block is read.

mod products;

use std::ops::Range;

#[cfg(target_arch = "x86_64")]
use products::{Avx2, Avx512, AvxVnni};
use products::{Plain, Products, ROWS};

use super::finish::{Place, write_row};
use super::int8::{Quantized, quantized};
use super::quantize::RowScale;
use super::sparse::{BLOCK, Blocks, PANEL};
use super::{GROUP, Job};
use crate::lanes::{Lanes, Portable};
use crate::{Isa, scratch};

/// The weights of a layer.
#[derive(Clone, Copy)]
pub(super) struct Operands<'a> {
    pub(super) blocks: Blocks<'a>,
    pub(super) scales: &'a [f32],
    pub(super) sums: &'a [f32],
}

/// How many rows are laid side by side at once.
const QUAD: usize = 4;

/// The rows of activations as bytes.
struct Rows<'a> {
    /// Row after row; or for instruction sets that [want it](Products::INTERLEAVED) `[tile][group][rows of the tile][4]`, a
    /// tile having [`ROWS`] rows and the last those that are left.
    bytes: &'a [u8],
    /// How many bytes a row has.
    width: usize,
    scales: &'a [RowScale],
}

pub(super) fn run(isa: Isa, job: &Job<'_>, x: &[f32], weights: Operands<'_>) {
    quantized(isa, job, x, |Quantized { bytes, stride, scales }| {
        let (bytes, width) = (*bytes, *stride);
        let work = |x: &Rows<'_>| {
            job.split(PANEL, |panels, rows| {
                // SAFETY: the lengths were checked by the caller, which splits the work without overlap.
                unsafe { part(isa, job, x, weights, panels, rows) }
            });
        };
        if !is_interleaved(isa) {
            return work(&Rows { bytes, width, scales });
        }
        scratch::more_bytes(bytes.len(), |tiles| {
            let size = ROWS * width;
            tiles.chunks_mut(size).zip(bytes.chunks(size)).for_each(|(tile, rows)| interleave(rows, width, tile));
            work(&Rows { bytes: tiles, width, scales });
        });
    });
}

fn is_interleaved(isa: Isa) -> bool {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => Avx512::INTERLEAVED,
        _ => false,
    }
}

/// Lays the groups of a few rows side by side.
fn interleave(rows: &[u8], width: usize, tile: &mut [u8]) {
    let (groups, count) = (width / GROUP, rows.len() / width);
    let (tile, _) = tile.as_chunks_mut::<GROUP>();
    let row = |m: usize| rows[m * width..][..width].as_chunks::<GROUP>().0;
    let quads = count - count % QUAD;
    for m in (0..quads).step_by(QUAD) {
        let rows: [_; QUAD] = std::array::from_fn(|i| row(m + i));
        for (group, to) in tile.chunks_exact_mut(count).enumerate() {
            to[m..m + QUAD].copy_from_slice(&rows.map(|row| row[group]));
        }
    }
    for m in quads..count {
        for (group, bytes) in row(m).iter().enumerate().take(groups) {
            tile[group * count + m] = *bytes;
        }
    }
}

/// Some panels over some rows.
///
/// # Safety
/// The instruction set is available; the job's pointers cover the panels and rows, which no other thread writes.
unsafe fn part(isa: Isa, job: &Job<'_>, x: &Rows<'_>, w: Operands<'_>, panels: Range<usize>, rows: Range<usize>) {
    #[cfg(target_arch = "x86_64")]
    {
        use crate::lanes;

        #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
        unsafe fn avx512(job: &Job<'_>, x: &Rows<'_>, w: Operands<'_>, panels: Range<usize>, rows: Range<usize>) {
            // SAFETY: the caller's promise.
            unsafe { tiles::<lanes::Avx512, Avx512, 1>(job, x, w, panels, rows) }
        }
        #[target_feature(enable = "avxvnni,avx2,fma,f16c")]
        unsafe fn avx_vnni(job: &Job<'_>, x: &Rows<'_>, w: Operands<'_>, panels: Range<usize>, rows: Range<usize>) {
            // SAFETY: the caller's promise.
            unsafe { tiles::<lanes::Avx2, AvxVnni, 2>(job, x, w, panels, rows) }
        }
        #[target_feature(enable = "avx2,fma,f16c")]
        unsafe fn avx2(job: &Job<'_>, x: &Rows<'_>, w: Operands<'_>, panels: Range<usize>, rows: Range<usize>) {
            // SAFETY: the caller's promise.
            unsafe { tiles::<lanes::Avx2, Avx2, 2>(job, x, w, panels, rows) }
        }
        match isa {
            // SAFETY: the caller's promise.
            Isa::Avx512 => return unsafe { avx512(job, x, w, panels, rows) },
            // SAFETY: the caller's promise.
            Isa::AvxVnni => return unsafe { avx_vnni(job, x, w, panels, rows) },
            // SAFETY: the caller's promise.
            Isa::Avx2 => return unsafe { avx2(job, x, w, panels, rows) },
            Isa::Portable => {}
        }
    }
    let _ = isa;
    // SAFETY: the caller's promise.
    unsafe { tiles::<Portable, Plain, 1>(job, x, w, panels, rows) }
}

/// Some rows, and the blocks that they meet.
#[derive(Clone, Copy)]
struct Tile<'a> {
    /// Where the first row's first group is.
    bytes: *const u8,
    /// From a row to the next, or where they are interleaved from a group to the next.
    stride: usize,
    /// The last group of a row.
    last: usize,
    /// `[blocks][PANEL][4]`
    values: &'a [i8],
    /// `[blocks]`
    groups: &'a [u16],
}

#[inline(always)]
unsafe fn tiles<L: Lanes, P: Products, const C: usize>(
    job: &Job<'_>,
    x: &Rows<'_>,
    weights: Operands<'_>,
    panels: Range<usize>,
    rows: Range<usize>,
) {
    let last = x.width / GROUP - 1;
    let mut next = rows.start;
    while next < rows.end {
        let start = if P::INTERLEAVED { next - next % ROWS } else { next };
        let count = (job.rows - start).min(P::ROWS);
        let rows = next..rows.end.min(start + count);
        next = rows.end;
        let stride = if P::INTERLEAVED { count * GROUP } else { x.width };
        let within = (rows.start - start) * GROUP;
        for panel in panels.clone() {
            let (values, groups) = weights.blocks.panel(panel);
            // SAFETY: the bytes hold the tile from its first row on, and the caller's promise.
            unsafe {
                let bytes = x.bytes.as_ptr().add(start * x.width + within);
                let tile = Tile { bytes, stride, last, values, groups };
                write_tile::<L, P, C>(job, tile, (weights, x.scales), panel, rows.clone());
            }
        }
    }
}

/// A panel over some rows of a tile, the first of which is the first of `tile`.
#[inline(always)]
unsafe fn write_tile<L: Lanes, P: Products, const C: usize>(
    job: &Job<'_>,
    mut tile: Tile<'_>,
    (weights, scales): (Operands<'_>, &[RowScale]),
    panel: usize,
    rows: Range<usize>,
) {
    let mut sums = [0i32; ROWS * PANEL];
    let mut row = rows.start;
    while row < rows.end {
        // SAFETY: the tile has these rows; terms are padded to whole panels, and the caller's promise.
        unsafe {
            let count = match rows.end - row {
                16.. => tile.sum::<P, 16, C, 1>(&mut sums),
                12.. => tile.sum::<P, 12, C, 1>(&mut sums),
                8.. => tile.sum::<P, 8, C, 2>(&mut sums),
                6.. => tile.sum::<P, 6, C, 1>(&mut sums),
                4.. => tile.sum::<P, 4, C, 1>(&mut sums),
                3 => tile.sum::<P, 3, C, 1>(&mut sums),
                2 => tile.sum::<P, 2, C, 2>(&mut sums),
                _ => tile.sum::<P, 1, C, 4>(&mut sums),
            };
            for m in 0..count {
                let RowScale { scale, zero_point } = scales[row + m];
                let scale = L::splat(scale);
                let (sums, first) = (sums.as_ptr().add(m * PANEL), panel * PANEL);
                write_row::<L>(job, Place { first, width: PANEL, row: row + m }, |i| {
                    let terms = first + i;
                    let centred = L::centre(sums.add(i), weights.sums.as_ptr().add(terms), zero_point);
                    L::mul(centred, L::mul(scale, L::load(weights.scales.as_ptr().add(terms))))
                });
            }
            tile.bytes = tile.bytes.add(count * if P::INTERLEAVED { GROUP } else { tile.stride });
            row += count;
        }
    }
}

impl Tile<'_> {
    /// The sums of `M` rows over a panel of `C` vectors, as `U` sums each that are added at the end: so many products do not
    /// wait for each other. Gives `M`.
    ///
    /// # Safety
    /// The contract of [`Products`]; there are `M` rows or more, and as many groups as `last` says.
    #[inline(always)]
    unsafe fn sum<P: Products, const M: usize, const C: usize, const U: usize>(
        self,
        sums: &mut [i32; ROWS * PANEL],
    ) -> usize {
        const { assert!(M <= ROWS && C * P::WIDTH == PANEL) }
        // SAFETY: the caller's promise; no group is beyond the last of a row.
        unsafe {
            let mut acc = [[[P::zero(); C]; U]; M];
            let mut blocks = self.values.as_ptr();
            let mut add = |acc: &mut [[[P::V; C]; U]; M], u: usize, group: u16| {
                let group = usize::from(group).min(self.last);
                let columns: [P::V; C] = std::array::from_fn(|c| P::load(blocks.add(c * P::WIDTH * GROUP)));
                blocks = blocks.add(BLOCK);
                for (m, acc) in acc.iter_mut().enumerate() {
                    let at = match P::INTERLEAVED {
                        true => group * self.stride + m * GROUP,
                        false => m * self.stride + group * GROUP,
                    };
                    let row = P::splat(self.bytes.add(at).cast::<u32>().read_unaligned());
                    for (acc, column) in acc[u].iter_mut().zip(columns) {
                        *acc = P::step(*acc, row, column);
                    }
                }
            };
            let mut groups = self.groups.chunks_exact(U);
            for groups in groups.by_ref() {
                for (u, group) in groups.iter().enumerate() {
                    add(&mut acc, u, *group);
                }
            }
            for group in groups.remainder() {
                add(&mut acc, 0, *group);
            }
            for (m, acc) in acc.iter().enumerate() {
                for c in 0..C {
                    let sum = acc[1..].iter().fold(acc[0][c], |sum, acc| P::add(sum, acc[c]));
                    P::store(sums.as_mut_ptr().add(m * PANEL + c * P::WIDTH), sum);
                }
            }
        }
        M
    }
}
