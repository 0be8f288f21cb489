//! Attention over a cache against plain arithmetic, for every instruction set.

use std::sync::Arc;

use proptest::prelude::*;

use super::{BlockInUse, CausalAttention, Reading};
use crate::Isa;
use crate::cache::{BLOCK_TOKENS, Block, CacheFormat, Room};

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
    let options = (prop::option::of(1usize..50), prop::option::of(1f32..9.0), any::<bool>(), any::<bool>());
    (sizes, options, 0usize..1000).prop_map(|((group, key_heads, width, tokens), options, seed)| {
        let (window, softcap, normed, halves) = options;
        let format = if halves { CacheFormat::F16 } else { CacheFormat::F32 };
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
        let room = Room { start: 5, key_heads: self.key_heads, head_width: self.width };
        let attention = CausalAttention {
            heads: self.heads,
            room,
            scale: 0.3,
            window: self.window,
            softcap: self.softcap,
            rotary_width: self.rotary,
            query_norm: self.normed.then_some(&query_gain),
            key_norm: self.normed.then_some(&key_gain),
            epsilon: 1e-3,
        };
        let (qkv, angles) = (numbers(self.seed, self.tokens * self.stride()), self.angles());
        let block = || Arc::new(Block::new(self.format, 5 + room.len()));
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

    fn expected(&self) -> Vec<f64> {
        let qkv = numbers(self.seed, self.tokens * self.stride());
        let (query_gain, key_gain) = self.gains();
        let angles = self.angles();
        let head = |token: usize, head: usize, gain: Option<&[f32]>, rotate: bool| -> Vec<f64> {
            let from = &qkv[token * self.stride() + head * self.width..][..self.width];
            let mut numbers: Vec<f64> = from.iter().map(|x| f64::from(*x)).collect();
            if let Some(gain) = gain {
                let square = numbers.iter().map(|x| x * x).sum::<f64>() / self.width as f64;
                let factor = 1.0 / (square + 1e-3).sqrt();
                numbers.iter_mut().zip(gain).for_each(|(x, gain)| *x *= factor * f64::from(*gain));
            }
            let half = self.rotary / 2;
            for i in 0..if rotate { half } else { 0 } {
                let table = &angles[token * self.rotary..];
                let (cosine, sine) = (f64::from(table[i]), f64::from(table[half + i]));
                let (a, b) = (numbers[i], numbers[half + i]);
                (numbers[i], numbers[half + i]) = (a * cosine - b * sine, b * cosine + a * sine);
            }
            numbers
        };
        let mut out = Vec::new();
        for token in 0..self.tokens {
            for query in 0..self.heads {
                let key = query / (self.heads / self.key_heads);
                let q = head(token, query, self.normed.then_some(&query_gain), true);
                let first = self.window.map_or(0, |window| (token + 1).saturating_sub(window));
                let scores: Vec<f64> = (first..=token)
                    .map(|at| {
                        let k = head(at, self.heads + key, self.normed.then_some(&key_gain), true);
                        let score = q.iter().zip(&k).map(|(q, k)| q * k).sum::<f64>() * f64::from(0.3f32);
                        self.softcap.map_or(score, |cap| f64::from(cap) * (score / f64::from(cap)).tanh())
                    })
                    .collect();
                let top = scores.iter().fold(f64::NEG_INFINITY, |top, score| top.max(*score));
                let weights: Vec<f64> = scores.iter().map(|score| (score - top).exp()).collect();
                let sum: f64 = weights.iter().sum();
                for i in 0..self.width {
                    let value = |at: usize| head(at, self.heads + self.key_heads + key, None, false)[i];
                    out.push(weights.iter().zip(first..).map(|(weight, at)| weight / sum * value(at)).sum());
                }
            }
        }
        out
    }
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
        // A half has 11 bits, and sharp scores tell keys apart by their last.
        let tolerance = if case.format == CacheFormat::F16 { 3e-2 } else { 3e-4 };
        for isa in available() {
            for (i, (got, expected)) in case.run(isa, &ends).iter().zip(&expected).enumerate() {
                prop_assert!((f64::from(*got) - expected).abs() < tolerance, "{isa} element {i}: {got} {expected}");
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

#[test]
fn a_shared_block_is_not_written() {
    let room = Room { start: 0, key_heads: 1, head_width: 2 };
    let attention = CausalAttention {
        heads: 1,
        room,
        scale: 1.0,
        window: None,
        softcap: None,
        rotary_width: 0,
        query_norm: None,
        key_norm: None,
        epsilon: 0.0,
    };
    let mut blocks = [Arc::new(Block::new(CacheFormat::F32, room.len()))];
    let other = blocks[0].clone();
    let reading = Reading { qkv: &[1.0; 6], angles: &[], past: 0, tokens: 1, blocks: &mut blocks };
    assert_eq!(attention.run(Isa::Portable, &mut [reading], &mut [0.0; 2]), Err(BlockInUse));
    assert_eq!(*other, Block::new(CacheFormat::F32, room.len()));
}
