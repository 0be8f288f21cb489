//! Attention of every instruction set against plain arithmetic.

use proptest::prelude::*;

use super::{Attention, Heads, Mask};
use crate::Isa;

fn number(seed: usize, i: usize) -> f32 {
    (((i + 1) * 7919 + seed * 104_729) % 4001) as f32 / 1000.0 - 2.0
}

fn numbers(seed: usize, count: usize) -> Vec<f32> {
    (0..count).map(|i| number(seed, i)).collect()
}

/// Rotates pairs half a head apart.
fn turn(attention: &Attention<'_>, head: &[f32], place: usize) -> Vec<f64> {
    let half = attention.width / 2;
    let Some(table) = attention.rotary else { return head.iter().map(|x| f64::from(*x)).collect() };
    let angles = &table[place * attention.width..];
    (0..attention.width)
        .map(|i| {
            let (cosine, sine) = (f64::from(angles[i % half]), f64::from(angles[half + i % half]));
            let other = if i < half { -f64::from(head[i + half]) } else { f64::from(head[i - half]) };
            f64::from(head[i]) * cosine + other * sine
        })
        .collect()
}

fn reference(attention: &Attention<'_>) -> Vec<f64> {
    let (width, tokens) = (attention.width, attention.keys.tokens);
    let head_of = |heads: &Heads<'_>, batch: usize, token: usize, head: usize| {
        let start = (batch * heads.tokens + token) * heads.stride + heads.start + head * width;
        heads.values[start..start + width].to_vec()
    };
    let mut out = Vec::new();
    for batch in 0..attention.batch {
        for query in 0..attention.queries.tokens {
            for head in 0..attention.heads {
                let place = query + tokens - attention.queries.tokens;
                let q = turn(attention, &head_of(&attention.queries, batch, query, head), place);
                let seen = |key: usize| {
                    let late = attention.causal && key > place;
                    let far = attention.window.is_some_and(|reach| key.abs_diff(place) > reach);
                    !late && !far
                };
                let scores: Vec<Option<f64>> = (0..tokens)
                    .map(|key| {
                        let k = turn(attention, &head_of(&attention.keys, batch, key, head), key);
                        let dot: f64 = q.iter().zip(&k).map(|(q, k)| q * k).sum();
                        let masks: f64 = attention
                            .masks
                            .iter()
                            .map(|mask| {
                                let at: usize =
                                    mask.strides.iter().zip([batch, head, query, key]).map(|(s, i)| s * i).sum();
                                f64::from(mask.values[at])
                            })
                            .sum();
                        let score = dot * f64::from(attention.scale) + masks;
                        seen(key).then_some(score.max(f64::from(f32::MIN)))
                    })
                    .collect();
                let top = scores.iter().flatten().fold(f64::NEG_INFINITY, |top, score| top.max(*score));
                let weights: Vec<f64> =
                    scores.iter().map(|score| score.map_or(0.0, |score| (score - top).exp())).collect();
                let sum: f64 = weights.iter().sum();
                for i in 0..width {
                    let of = |key: usize| f64::from(head_of(&attention.values, batch, key, head)[i]);
                    out.push(weights.iter().enumerate().map(|(key, weight)| weight / sum * of(key)).sum());
                }
            }
        }
    }
    out
}

fn check(attention: &Attention<'_>) -> Result<(), TestCaseError> {
    let expected = reference(attention);
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
        let mut out = vec![f32::NAN; expected.len()];
        attention.run(isa, &mut out);
        for (i, (got, expected)) in out.iter().zip(&expected).enumerate() {
            prop_assert!((f64::from(*got) - expected).abs() < 2e-4, "{isa} element {i}: {got} {expected}");
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn attention_is_that_of_double_precision(
        (batch, heads, width, tokens) in (1usize..3, 1usize..4, 1usize..36, 1usize..40),
        causal: bool,
        window in prop::option::of(0usize..20),
        rotary: bool,
        masks in 0usize..3,
        seed in 0usize..1000,
    ) {
        let stride = 3 * heads * width;
        let qkv = numbers(seed, batch * tokens * stride);
        let of = |part: usize| Heads { values: &qkv, tokens, stride, start: part * heads * width };
        let angles: Vec<f32> = (0..tokens)
            .flat_map(|place| {
                let angle = move |i: usize| place as f32 / (i + 1) as f32;
                (0..width / 2).map(move |i| angle(i).cos()).chain((0..width / 2).map(move |i| angle(i).sin()))
            })
            .collect();
        let keys: Vec<f32> = (0..batch * tokens).map(|i| if i % 5 == 4 { f32::MIN } else { 0.0 }).collect();
        let scores = numbers(seed + 1, heads * tokens * tokens);
        let masks = &[
            Mask { values: &keys, strides: [tokens, 0, 0, 1] },
            Mask { values: &scores, strides: [0, tokens * tokens, tokens, 1] },
        ][..masks];
        check(&Attention {
            batch,
            heads,
            width,
            scale: 0.3,
            // A text whose visible keys are all masked has no defined answer.
            causal: causal && masks.is_empty(),
            window: window.filter(|_| masks.is_empty()),
            rotary: (rotary && width % 2 == 0).then_some(&angles),
            queries: of(0),
            keys: of(1),
            values: of(2),
            masks,
        })?;
    }

    #[test]
    fn queries_may_be_fewer_than_keys(queries in 1usize..12, more in 0usize..12, causal: bool, seed in 0usize..100) {
        let (heads, width, tokens) = (2, 8, queries + more);
        let (q, kv) = (numbers(seed, queries * heads * width), numbers(seed + 1, tokens * 2 * heads * width));
        let of = |part: usize| Heads { values: &kv, tokens, stride: 2 * heads * width, start: part * heads * width };
        check(&Attention {
            batch: 1,
            heads,
            width,
            scale: 0.5,
            causal,
            window: None,
            rotary: None,
            queries: Heads { values: &q, tokens: queries, stride: heads * width, start: 0 },
            keys: of(0),
            values: of(1),
            masks: &[],
        })?;
    }
}

#[test]
fn long_texts_go_block_by_block() {
    let (heads, width, tokens) = (1, 16, 1300);
    let qkv = numbers(3, tokens * 3 * width);
    let of = |part: usize| Heads { values: &qkv, tokens, stride: 3 * width, start: part * width };
    let slopes: Vec<f32> = (0..tokens).map(|i| i as f32 / 100.0).collect();
    for (causal, window) in [(false, None), (true, None), (false, Some(64)), (true, Some(700))] {
        let masks = [Mask { values: &slopes, strides: [0, 0, 0, 1] }];
        let attention = Attention {
            batch: 1,
            heads,
            width,
            scale: 0.2,
            causal,
            window,
            rotary: None,
            queries: of(0),
            keys: of(1),
            values: of(2),
            masks: &masks,
        };
        check(&attention).unwrap();
    }
}

#[test]
fn a_query_whose_every_key_is_hidden_sees_all_alike() {
    for tokens in [1, 5, 16, 530] {
        let qkv = numbers(1, tokens * 3 * 8);
        let of = |part: usize| Heads { values: &qkv, tokens, stride: 24, start: part * 8 };
        for hidden in [f32::MIN, f32::NEG_INFINITY] {
            let masks = [Mask { values: &[hidden], strides: [0; 4] }];
            let attention = Attention {
                batch: 1,
                heads: 1,
                width: 8,
                scale: 1.0,
                causal: false,
                window: None,
                rotary: None,
                queries: of(0),
                keys: of(1),
                values: of(2),
                masks: &masks,
            };
            check(&attention).unwrap();
        }
    }
}
