//! Attention over a cache against plain arithmetic, for every instruction set.

use std::sync::Arc;

use proptest::prelude::*;

use super::{BlockInUse, CausalAttention, Reading};
use crate::Isa;
use crate::cache::{BLOCK_TOKENS, Block, CacheFormat, Extent, Room};

const SCALE: f32 = 0.3;

fn numbers(seed: usize, count: usize) -> Vec<f32> {
    (0..count).map(|i| (((i + 1) * 7919 + seed * 104_729) % 4001) as f32 / 1000.0 - 2.0).collect()
}

/// What attention over a whole text is given.
#[derive(Clone, Debug)]
struct Case {
    heads: usize,
    key_heads: usize,
    width: usize,
    rotary: usize,
    window: Option<usize>,
    softcap: Option<f32>,
    normed: bool,
    format: CacheFormat,
    tokens: usize,
    seed: usize,
}

fn cases() -> impl Strategy<Value = Case> {
    let sizes = (1usize..4, 1usize..4, 1usize..40, 1usize..90);
    let format = prop::sample::select(vec![CacheFormat::F32, CacheFormat::F16, CacheFormat::Int8]);
    let options = (prop::option::of(1usize..50), prop::option::of(1f32..9.0), any::<bool>(), format);
    (sizes, options, 0usize..1000).prop_map(|((group, key_heads, width, tokens), options, seed)| {
        let (window, softcap, normed, format) = options;
        let rotary = [width / 2 * 2, width / 4 * 2, 0][seed % 3];
        Case { heads: group * key_heads, key_heads, width, rotary, window, softcap, normed, format, tokens, seed }
    })
}

impl Case {
    fn stride(&self) -> usize {
        (self.heads + 2 * self.key_heads) * self.width
    }

    fn gains(&self) -> (Vec<f32>, Vec<f32>) {
        (numbers(self.seed + 1, self.width), numbers(self.seed + 2, self.width))
    }

    fn angles(&self) -> Vec<f32> {
        let half = self.rotary / 2;
        let angle = |place: usize, i: usize| place as f32 / (i + 1) as f32;
        (0..self.tokens)
            .flat_map(|place| {
                (0..half).map(move |i| angle(place, i).cos()).chain((0..half).map(move |i| angle(place, i).sin()))
            })
            .collect()
    }

    /// The whole text, read in steps that end at `ends`.
    fn run(&self, isa: Isa, ends: &[usize]) -> Vec<f32> {
        let (query_gain, key_gain) = self.gains();
        let start = Extent { numbers: 5, heads: 3 };
        let room = Room { start, key_heads: self.key_heads, head_width: self.width };
        let attention = CausalAttention {
            heads: self.heads,
            room,
            scale: SCALE,
            window: self.window,
            softcap: self.softcap,
            rotary_width: self.rotary,
            query_norm: self.normed.then_some(&query_gain),
            key_norm: self.normed.then_some(&key_gain),
            epsilon: 1e-3,
        };
        let (qkv, angles) = (numbers(self.seed, self.tokens * self.stride()), self.angles());
        let block = || Arc::new(Block::new(self.format, room.end()));
        let mut blocks: Vec<_> = (0..self.tokens.div_ceil(BLOCK_TOKENS)).map(|_| block()).collect();
        let mut out = vec![f32::NAN; self.tokens * self.heads * self.width];
        let mut past = 0;
        for end in ends.iter().copied().filter(|end| *end < self.tokens).chain([self.tokens]) {
            let reading = Reading {
                qkv: &qkv[past * self.stride()..end * self.stride()],
                angles: &angles[past * self.rotary..end * self.rotary],
                past,
                tokens: end - past,
                blocks: &mut blocks,
            };
            let row = self.heads * self.width;
            attention.run(isa, &mut [reading], &mut out[past * row..end * row]).unwrap();
            past = end;
        }
        out
    }

    /// The attention of every token's heads, with keys and values rounded as the format does.
    fn expected(&self) -> Vec<f64> {
        let heads = Heads::of(self);
        let kept = |head| if self.format == CacheFormat::Int8 { rounded(head) } else { head };
        let mut out = Vec::new();
        for (token, query) in self.rows() {
            let (q, key) = (heads.query(token, query), query / (self.heads / self.key_heads));
            let scores: Vec<f64> = self
                .seen(token)
                .map(|at| {
                    let score = dot(&q, &kept(heads.key(at, key))) * f64::from(SCALE);
                    self.softcap.map_or(score, |cap| f64::from(cap) * (score / f64::from(cap)).tanh())
                })
                .collect();
            let top = scores.iter().fold(f64::NEG_INFINITY, |top, score| top.max(*score));
            let weights: Vec<f64> = scores.iter().map(|score| (score - top).exp()).collect();
            let sum: f64 = weights.iter().sum();
            let mut mean = vec![0.0; self.width];
            for (weight, at) in weights.iter().zip(self.seen(token)) {
                mean.iter_mut().zip(kept(heads.value(at, key))).for_each(|(mean, x)| *mean += weight / sum * x);
            }
            out.extend(mean);
        }
        out
    }

    /// How far 8 bits may be from single precision, for every element: a number of a head is off by half a level of its
    /// greatest, which moves the scores, and with them the weights, and the values.
    fn bounds(&self) -> Vec<f64> {
        let heads = Heads::of(self);
        let mut out = Vec::new();
        for (token, query) in self.rows() {
            let key = query / (self.heads / self.key_heads);
            let most =
                |head: &dyn Fn(usize) -> Vec<f64>| self.seen(token).map(|at| greatest(&head(at))).fold(0.0, f64::max);
            let (keys, values) = (most(&|at| heads.key(at, key)), most(&|at| heads.value(at, key)));
            let reach: f64 = heads.query(token, query).iter().map(|x| x.abs()).sum();
            let moved = f64::from(SCALE) * reach * keys / 254.0;
            let bound = values * ((2.0 * moved).exp_m1() + 1.0 / 254.0) + 1e-3;
            out.extend(std::iter::repeat_n(bound, self.width));
        }
        out
    }

    /// Every token with every head of queries.
    fn rows(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let heads = self.heads;
        (0..self.tokens).flat_map(move |token| (0..heads).map(move |head| (token, head)))
    }

    /// The tokens that a token sees.
    fn seen(&self, token: usize) -> std::ops::RangeInclusive<usize> {
        self.window.map_or(0, |window| (token + 1).saturating_sub(window))..=token
    }
}

/// The heads of a case as they meet, in double precision.
struct Heads<'a> {
    case: &'a Case,
    qkv: Vec<f32>,
    gains: (Vec<f32>, Vec<f32>),
    angles: Vec<f32>,
}

impl<'a> Heads<'a> {
    fn of(case: &'a Case) -> Self {
        let qkv = numbers(case.seed, case.tokens * case.stride());
        Self { case, qkv, gains: case.gains(), angles: case.angles() }
    }

    fn query(&self, token: usize, head: usize) -> Vec<f64> {
        self.turned(token, head, &self.gains.0)
    }

    fn key(&self, token: usize, head: usize) -> Vec<f64> {
        self.turned(token, self.case.heads + head, &self.gains.1)
    }

    fn value(&self, token: usize, head: usize) -> Vec<f64> {
        let head = self.case.heads + self.case.key_heads + head;
        let from = &self.qkv[token * self.case.stride() + head * self.case.width..][..self.case.width];
        from.iter().map(|x| f64::from(*x)).collect()
    }

    fn turned(&self, token: usize, head: usize, gain: &[f32]) -> Vec<f64> {
        let Case { width, rotary, normed, .. } = *self.case;
        let from = &self.qkv[token * self.case.stride() + head * width..][..width];
        let mut numbers: Vec<f64> = from.iter().map(|x| f64::from(*x)).collect();
        if normed {
            let square = dot(&numbers, &numbers) / width as f64;
            let factor = 1.0 / (square + 1e-3).sqrt();
            numbers.iter_mut().zip(gain).for_each(|(x, gain)| *x *= factor * f64::from(*gain));
        }
        let half = rotary / 2;
        for i in 0..half {
            let table = &self.angles[token * rotary..];
            let (cosine, sine) = (f64::from(table[i]), f64::from(table[half + i]));
            let (a, b) = (numbers[i], numbers[half + i]);
            (numbers[i], numbers[half + i]) = (a * cosine - b * sine, b * cosine + a * sine);
        }
        numbers
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn greatest(head: &[f64]) -> f64 {
    head.iter().fold(0.0, |most, x| most.max(x.abs()))
}

fn rounded(head: Vec<f64>) -> Vec<f64> {
    let step = greatest(&head) / 127.0;
    head.into_iter().map(|x| if step > 0.0 { (x / step).round() * step } else { 0.0 }).collect()
}

fn available() -> impl Iterator<Item = Isa> {
    Isa::ALL.into_iter().filter(|isa| isa.is_available())
}

proptest! {
    #[test]
    fn attention_over_a_cache_is_that_of_double_precision(case in cases(), ends in prop::collection::vec(1usize..20, 0..8)) {
        let expected = case.expected();
        let mut end = 0;
        let ends: Vec<_> = ends.into_iter().map(|step| { end += step; end }).collect();
        // A half has 11 bits, and sharp scores tell keys apart by their last; of 8 bits, a number near the middle of two levels may
        // become the other one.
        let tolerance = if case.format == CacheFormat::F32 { 3e-4 } else { 3e-2 };
        for isa in available() {
            for (i, (got, expected)) in case.run(isa, &ends).iter().zip(&expected).enumerate() {
                prop_assert!((f64::from(*got) - expected).abs() < tolerance, "{isa} element {i}: {got} {expected}");
            }
        }
    }

    #[test]
    fn eight_bits_stay_as_near_to_single_precision_as_their_rounding_says(case in cases(), ends in prop::collection::vec(1usize..90, 0..4)) {
        let bounds = case.bounds();
        let (whole, single) = (Case { format: CacheFormat::Int8, ..case.clone() }, Case { format: CacheFormat::F32, ..case });
        let mut ends = ends;
        ends.sort_unstable();
        ends.dedup();
        for isa in available() {
            for ((got, expected), bound) in whole.run(isa, &ends).iter().zip(single.run(isa, &[])).zip(&bounds) {
                prop_assert!(f64::from((got - expected).abs()) < *bound, "{isa} {got} {expected} {bound}");
            }
        }
    }

    #[test]
    fn token_by_token_gives_what_reading_at_once_gives(case in cases()) {
        for isa in available() {
            let ends: Vec<_> = (1..case.tokens).collect();
            for (one, all) in case.run(isa, &ends).iter().zip(case.run(isa, &[])) {
                prop_assert!((one - all).abs() < 1e-5, "{isa} {one} {all}");
            }
        }
    }
}

#[test]
fn a_long_past_goes_chunk_by_chunk() {
    for window in [None, Some(600), Some(7)] {
        let case = Case {
            heads: 3,
            key_heads: 1,
            width: 16,
            rotary: 16,
            window,
            softcap: None,
            normed: false,
            format: CacheFormat::F32,
            tokens: 1100,
            seed: 3,
        };
        let expected = case.expected();
        for isa in available() {
            for (got, expected) in case.run(isa, &[1, 530]).iter().zip(&expected) {
                assert!((f64::from(*got) - expected).abs() < 3e-4, "{isa} {window:?}: {got} {expected}");
            }
        }
    }
}

/// One head of two numbers.
fn smallest() -> CausalAttention<'static> {
    CausalAttention {
        heads: 1,
        room: Room { start: Extent::default(), key_heads: 1, head_width: 2 },
        scale: 1.0,
        window: None,
        softcap: None,
        rotary_width: 0,
        query_norm: None,
        key_norm: None,
        epsilon: 0.0,
    }
}

#[test]
fn eight_bits_hold_the_smallest_and_the_greatest_numbers() {
    let attention = smallest();
    for (value, isa) in
        [0.0, 1e-44, 1e-38, 1e-30, 1e30].into_iter().flat_map(|value| available().map(move |isa| (value, isa)))
    {
        let mut blocks = [Arc::new(Block::new(CacheFormat::Int8, attention.room.end()))];
        let qkv = [1e-30, 0.0, value, -value, value, -value];
        let reading = Reading { qkv: &qkv, angles: &[], past: 0, tokens: 1, blocks: &mut blocks };
        let mut out = [f32::NAN; 2];
        attention.run(isa, &mut [reading], &mut out).unwrap();
        // Numbers too small for a scale are kept as zeros.
        let kept = if value < 1e-36 { 0.0 } else { value };
        for (got, expected) in out.iter().zip([kept, -kept]) {
            assert!((got - expected).abs() <= kept / 254.0, "{isa} {value}: {out:?}");
        }
    }
}

#[test]
fn a_shared_block_is_not_written() {
    let attention = smallest();
    let room = attention.room;
    let mut blocks = [Arc::new(Block::new(CacheFormat::F32, room.end()))];
    let other = blocks[0].clone();
    let reading = Reading { qkv: &[1.0; 6], angles: &[], past: 0, tokens: 1, blocks: &mut blocks };
    assert_eq!(attention.run(Isa::Portable, &mut [reading], &mut [0.0; 2]), Err(BlockInUse));
    assert_eq!(*other, Block::new(CacheFormat::F32, room.end()));
}
