//! Layers with int8 weights whose empty blocks are left out: of each row only what meets a block is read.

use std::ops::Range;

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

/// The most rows of a tile.
const ROWS: usize = 16;

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
        Isa::Avx512 => x86::Avx512::INTERLEAVED,
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
            unsafe { tiles::<lanes::Avx512, x86::Avx512, 1>(job, x, w, panels, rows) }
        }
        #[target_feature(enable = "avxvnni,avx2,fma,f16c")]
        unsafe fn avx_vnni(job: &Job<'_>, x: &Rows<'_>, w: Operands<'_>, panels: Range<usize>, rows: Range<usize>) {
            // SAFETY: the caller's promise.
            unsafe { tiles::<lanes::Avx2, x86::AvxVnni, 2>(job, x, w, panels, rows) }
        }
        #[target_feature(enable = "avx2,fma,f16c")]
        unsafe fn avx2(job: &Job<'_>, x: &Rows<'_>, w: Operands<'_>, panels: Range<usize>, rows: Range<usize>) {
            // SAFETY: the caller's promise.
            unsafe { tiles::<lanes::Avx2, x86::Avx2, 2>(job, x, w, panels, rows) }
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

/// The products of an instruction set.
///
/// # Safety
/// Every function needs its instruction set, and is to be inlined into a function that enables it. `load` reads a vector
/// of bytes, `store` writes one of 32-bit sums.
trait Products {
    /// As many sums as a panel has, or half of them; or as many times four bytes.
    type V: Copy;
    /// How many sums a vector has.
    const WIDTH: usize;
    /// How many rows a tile has at most: with what feeds them, their sums fit into the registers.
    const ROWS: usize;
    /// Whether what a tile's rows have of a group is to lie side by side: so many rows have no registers for where each is.
    const INTERLEAVED: bool = false;

    unsafe fn zero() -> Self::V;
    unsafe fn load(from: *const i8) -> Self::V;
    /// The same four bytes for each sum.
    unsafe fn splat(bytes: u32) -> Self::V;
    /// Adds to each sum the products of four unsigned bytes of a row and four signed ones.
    unsafe fn step(sums: Self::V, row: Self::V, column: Self::V) -> Self::V;
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn store(to: *mut i32, sums: Self::V);
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

/// Plain Rust.
struct Plain;

impl Products for Plain {
    type V = [u32; PANEL];
    const WIDTH: usize = PANEL;
    const ROWS: usize = 4;

    #[inline(always)]
    unsafe fn zero() -> Self::V {
        [0; PANEL]
    }

    #[inline(always)]
    unsafe fn load(from: *const i8) -> Self::V {
        // SAFETY: the caller's promise.
        unsafe { from.cast::<Self::V>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn splat(bytes: u32) -> Self::V {
        [bytes; PANEL]
    }

    #[inline(always)]
    unsafe fn step(mut sums: Self::V, row: Self::V, column: Self::V) -> Self::V {
        for ((sum, row), column) in sums.iter_mut().zip(row).zip(column) {
            let pairs = row.to_ne_bytes().into_iter().zip(column.to_ne_bytes());
            let added: i32 = pairs.map(|(byte, weight)| i32::from(byte) * i32::from(weight as i8)).sum();
            *sum = sum.wrapping_add_signed(added);
        }
        sums
    }

    #[inline(always)]
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|i| a[i].wrapping_add(b[i]))
    }

    #[inline(always)]
    unsafe fn store(to: *mut i32, sums: Self::V) {
        // SAFETY: the caller's promise.
        unsafe { to.cast::<Self::V>().write_unaligned(sums) }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::Products;

    /// AVX-512 VNNI.
    pub(super) struct Avx512;

    impl Products for Avx512 {
        type V = __m512i;
        const WIDTH: usize = 16;
        const ROWS: usize = super::ROWS;
        const INTERLEAVED: bool = true;

        #[inline(always)]
        unsafe fn zero() -> __m512i {
            // SAFETY: the caller's promise.
            unsafe { _mm512_setzero_si512() }
        }

        #[inline(always)]
        unsafe fn load(from: *const i8) -> __m512i {
            // SAFETY: the caller's promise.
            unsafe { _mm512_loadu_si512(from.cast()) }
        }

        #[inline(always)]
        unsafe fn splat(bytes: u32) -> __m512i {
            // SAFETY: the caller's promise.
            unsafe { _mm512_set1_epi32(bytes.cast_signed()) }
        }

        #[inline(always)]
        unsafe fn step(sums: __m512i, row: __m512i, column: __m512i) -> __m512i {
            // SAFETY: the caller's promise.
            unsafe { _mm512_dpbusd_epi32(sums, row, column) }
        }

        #[inline(always)]
        unsafe fn add(a: __m512i, b: __m512i) -> __m512i {
            // SAFETY: the caller's promise.
            unsafe { _mm512_add_epi32(a, b) }
        }

        #[inline(always)]
        unsafe fn store(to: *mut i32, sums: __m512i) {
            // SAFETY: the caller's promise.
            unsafe { _mm512_storeu_si512(to.cast(), sums) }
        }
    }

    /// Eight sums to a vector.
    macro_rules! eight {
        ($name:ident, $rows:literal, $step:expr) => {
            impl Products for $name {
                type V = __m256i;
                const WIDTH: usize = 8;
                const ROWS: usize = $rows;

                #[inline(always)]
                unsafe fn zero() -> __m256i {
                    // SAFETY: the caller's promise.
                    unsafe { _mm256_setzero_si256() }
                }

                #[inline(always)]
                unsafe fn load(from: *const i8) -> __m256i {
                    // SAFETY: the caller's promise.
                    unsafe { _mm256_loadu_si256(from.cast()) }
                }

                #[inline(always)]
                unsafe fn splat(bytes: u32) -> __m256i {
                    // SAFETY: the caller's promise.
                    unsafe { _mm256_set1_epi32(bytes.cast_signed()) }
                }

                #[inline(always)]
                unsafe fn step(sums: __m256i, row: __m256i, column: __m256i) -> __m256i {
                    // SAFETY: the caller's promise.
                    unsafe { $step(sums, row, column) }
                }

                #[inline(always)]
                unsafe fn add(a: __m256i, b: __m256i) -> __m256i {
                    // SAFETY: the caller's promise.
                    unsafe { _mm256_add_epi32(a, b) }
                }

                #[inline(always)]
                unsafe fn store(to: *mut i32, sums: __m256i) {
                    // SAFETY: the caller's promise.
                    unsafe { _mm256_storeu_si256(to.cast(), sums) }
                }
            }
        };
    }

    /// AVX-VNNI.
    pub(super) struct AvxVnni;

    eight!(AvxVnni, 6, _mm256_dpbusd_avx_epi32);

    /// AVX2. Two products of a byte of 7 bits and a signed one fit into the 16 bits that they are first added in.
    pub(super) struct Avx2;

    eight!(Avx2, 4, |sums, row, column| {
        let pairs = _mm256_maddubs_epi16(row, column);
        _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
    });
}
