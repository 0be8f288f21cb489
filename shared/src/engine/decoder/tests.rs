//! A small language model of every operator: whichever way its tokens are read, the logits are the same.

use tract_nnef::internal::*;

use super::*;
use crate::engine;
use crate::ops::{Activation, CausalAttentionSpec, Embedding, Gated, Linear, Lookup, Norm, Rows, Table, WeightFormat};

const VOCABULARY: usize = 50;
const WIDTH: usize = 40;
const INNER: usize = 56;
const HEADS: [usize; 3] = [4, 2, 10];
const PROMPT: [u32; 9] = [3, 1, 4, 1, 5, 9, 2, 6, 49];

fn numbers(seed: usize, count: usize) -> Vec<f32> {
    (0..count).map(|i| (((i + 1) * 7919 + seed * 104_729) % 2003) as f32 / 3000.0 - 0.33).collect()
}

/// A model of two layers, the second with norms of heads, a window and a soft cap.
fn model(format: WeightFormat) -> TractResult<TypedModel> {
    let said = |reason: String| format_err!("{reason}");
    let [heads, key_heads, head_width] = HEADS;
    let linear = |seed: usize, outputs: usize, inputs: usize| {
        let bias = seed.is_multiple_of(2).then(|| numbers(seed + 1, outputs));
        let layer = Linear::new(&numbers(seed, outputs * inputs), outputs, inputs, bias.as_deref());
        layer.and_then(|layer| layer.with_format(format)).map_err(said)
    };
    let mut model = TypedModel::default();
    let tokens = model.symbols.sym("T").to_dim();
    let ids = model.add_source("tokens", i64::fact([1.to_dim(), tokens]))?;
    let head = linear(91, VOCABULARY, WIDTH)?;
    let table = Embedding::new(vec![(Table::tied(&head), Lookup::Input(0))]).map_err(said)?.with_factor(6.0);
    let mut x = model.wire_node("embedding", table, &[ids])?[0];
    for layer in 0..2 {
        let name = |part: &str| format!("layer_{layer}.{part}");
        let gain = numbers(10 + layer, head_width);
        let second = layer == 1;
        let attention = CausalAttention::new(CausalAttentionSpec {
            layer,
            heads,
            key_heads,
            head_width,
            scale: 0.4,
            window: second.then_some(5),
            softcap: second.then_some(3.0),
            frequencies: &[1.0, 0.3, 0.1, 0.03],
            magnitude: 1.0,
            query_norm: second.then_some(&gain),
            key_norm: second.then_some(&gain),
            epsilon: 1e-6,
        })
        .map_err(said)?;
        let norm = |seed| Norm::rms(&numbers(seed, WIDTH), 1e-5).map_err(said);
        let normed = model.wire_node(name("norm"), norm(20 + layer)?, &[x])?[0];
        let qkv = linear(30 + layer, (heads + 2 * key_heads) * head_width, WIDTH)?;
        let qkv = model.wire_node(name("qkv"), qkv, &[normed])?[0];
        let context = model.wire_node(name("attention"), attention, &[qkv])?[0];
        let out = linear(40 + layer, WIDTH, heads * head_width)?.with_residual();
        x = model.wire_node(name("out"), out, &[context, x])?[0];
        let normed = model.wire_node(name("norm_2"), norm(50 + layer)?, &[x])?[0];
        let wide = model.wire_node(name("wide"), linear(60 + layer, 2 * INNER, WIDTH)?, &[normed])?[0];
        let gate = model.wire_node(name("gate"), Gated(Activation::Silu), &[wide])?[0];
        x = model.wire_node(name("narrow"), linear(70 + layer, WIDTH, INNER)?.with_residual(), &[gate, x])?[0];
    }
    let x = model.wire_node("norm", Norm::rms(&numbers(80, WIDTH), 1e-5).map_err(said)?, &[x])?[0];
    let x = model.wire_node("rows", Rows, &[x])?[0];
    let logits = model.wire_node("logits", head, &[x])?;
    model.select_output_outlets(&logits)?;
    Ok(model)
}

fn decoder(format: WeightFormat) -> Decoder {
    Decoder::new(model(format).unwrap()).unwrap()
}

/// Reads tokens and gives the logits of each.
fn read(decoder: &Decoder, sequence: &mut Sequence, tokens: &[u32]) -> Vec<Vec<f32>> {
    let logits = decoder.run(&mut [Chunk { sequence, tokens, want: Want::All }]).unwrap();
    logits.rows(0).map(<[f32]>::to_vec).collect()
}

fn near(got: &[Vec<f32>], expected: &[Vec<f32>]) {
    assert_eq!(got.len(), expected.len());
    for (got, expected) in got.iter().flatten().zip(expected.iter().flatten()) {
        assert!((got - expected).abs() < 1e-4, "{got} {expected}");
    }
}

const CACHES: [CacheFormat; 3] = [CacheFormat::F32, CacheFormat::F16, CacheFormat::Int8];

const FORMATS: [WeightFormat; 5] =
    [WeightFormat::F32, WeightFormat::F16, WeightFormat::Bf16, WeightFormat::Int8, WeightFormat::Q4];

#[test]
fn token_by_token_gives_what_reading_at_once_gives() {
    for format in FORMATS {
        let decoder = decoder(format);
        for cache in CACHES {
            let at_once = read(&decoder, &mut decoder.sequence(cache), &PROMPT);
            assert!(at_once.iter().all(|row| row.len() == VOCABULARY && row.iter().all(|x| x.is_finite())));
            assert_ne!(at_once[0], at_once[1]);
            let mut sequence = decoder.sequence(cache);
            let one: Vec<_> = PROMPT.iter().flat_map(|token| read(&decoder, &mut sequence, &[*token])).collect();
            assert_eq!(sequence.len(), PROMPT.len());
            near(&one, &at_once);
        }
    }
}

#[test]
fn sequences_that_share_a_step_do_not_meet() {
    let decoder = decoder(WeightFormat::Q4);
    let alone = |tokens: &[u32]| read(&decoder, &mut decoder.sequence(CacheFormat::F16), tokens);
    let (first, second, third) = (alone(&PROMPT), alone(&[7, 8]), alone(&[7, 8, 9, 10]));
    let mut sequences: Vec<_> = (0..3).map(|_| decoder.sequence(CacheFormat::F16)).collect();
    read(&decoder, &mut sequences[0], &PROMPT[..4]);
    read(&decoder, &mut sequences[2], &[7]);
    let [a, b, c] = &mut sequences[..] else { panic!() };
    let logits = decoder
        .run(&mut [
            Chunk { sequence: a, tokens: &PROMPT[4..], want: Want::Last },
            Chunk { sequence: b, tokens: &[7, 8], want: Want::Nothing },
            Chunk { sequence: c, tokens: &[8, 9, 10], want: Want::All },
        ])
        .unwrap();
    let rows = |chunk| logits.rows(chunk).map(<[f32]>::to_vec).collect::<Vec<_>>();
    near(&rows(0), &first[8..]);
    assert!(rows(1).is_empty() && rows(3).is_empty());
    near(&rows(2), &third[1..]);
    near(&read(&decoder, &mut sequences[1], &[9]), &alone(&[7, 8, 9])[2..]);
    near(&second, &third[..2]);
}

#[test]
fn a_truncated_sequence_reads_on_as_if_it_had_never_read_more() {
    let decoder = decoder(WeightFormat::F32);
    let long: Vec<u32> = (0..70).map(|i| i % 50).collect();
    for cache in CACHES {
        let expected = read(&decoder, &mut decoder.sequence(cache), &long);
        for kept in [0, 1, 31, 32, 33, 64] {
            let mut sequence = decoder.sequence(cache);
            read(&decoder, &mut sequence, &[&long[..kept], &[9; 40]].concat());
            sequence.truncate(kept);
            sequence.truncate(100);
            assert_eq!(sequence.len(), kept);
            near(&read(&decoder, &mut sequence, &long[kept..]), &expected[kept..]);
        }
    }
}

#[test]
fn forks_share_what_they_have_read_and_nothing_more() {
    let decoder = decoder(WeightFormat::F32);
    let long: Vec<u32> = (0..70).map(|i| i % 50).collect();
    for cache in CACHES {
        let mut sequence = decoder.sequence(cache);
        let expected = read(&decoder, &mut sequence, &long);
        for kept in [20, 32, 40] {
            let mut fork = sequence.fork(kept);
            assert_eq!(fork.len(), kept);
            read(&decoder, &mut fork, &[11, 12, 13]);
            let mut other = sequence.fork(kept);
            near(&read(&decoder, &mut other, &long[kept..]), &expected[kept..]);
        }
        assert_eq!(sequence.fork(100).len(), 70);
        sequence.truncate(69);
        near(&read(&decoder, &mut sequence, &long[69..]), &expected[69..]);
    }
}

#[test]
fn a_cache_is_as_large_as_it_says() {
    let decoder = decoder(WeightFormat::F32);
    let [_, key_heads, head_width] = HEADS;
    // By layer and head: a key, and a value with what it is padded to.
    let heads = 2 * key_heads;
    let numbers = heads * (head_width + head_width.next_multiple_of(16));
    for (cache, bytes) in
        [(CacheFormat::F32, 4 * numbers), (CacheFormat::F16, 2 * numbers), (CacheFormat::Int8, numbers + heads * 8)]
    {
        let mut sequence = decoder.sequence(cache);
        assert_eq!((sequence.bytes(), sequence.is_empty()), (0, true));
        read(&decoder, &mut sequence, &[1; 33]);
        assert_eq!(sequence.bytes(), 64 * bytes, "{cache:?}");
        assert_eq!(decoder.token_bytes(cache), bytes, "{cache:?}");
    }
    assert_eq!(decoder.vocabulary(), VOCABULARY);
}

#[test]
fn a_cache_of_eight_bits_hardly_moves_the_logits() {
    let decoder = decoder(WeightFormat::F32);
    let text: Vec<u32> = (0..200u32).map(|i| (i * i / 7 + 3 * i) % 50).collect();
    let logits = |cache| read(&decoder, &mut decoder.sequence(cache), &text);
    let (exact, rounded) = (logits(CacheFormat::F32), logits(CacheFormat::Int8));
    let power = |numbers: &mut dyn Iterator<Item = f32>| numbers.map(|x| x * x).sum::<f32>();
    let off = power(&mut exact.iter().flatten().zip(rounded.iter().flatten()).map(|(a, b)| a - b));
    let loss = (off / power(&mut exact.iter().flatten().copied())).sqrt();
    assert!(loss < 2e-3, "{loss}");
    let likeliest = |row: &[f32]| (0..row.len()).max_by(|a, b| row[*a].total_cmp(&row[*b]));
    let same = exact.iter().zip(&rounded).filter(|(a, b)| likeliest(a) == likeliest(b)).count();
    assert!(same >= 190, "{same} of {}", exact.len());
}

#[test]
fn an_error_changes_no_sequence() {
    let decoder = decoder(WeightFormat::F32);
    let mut sequence = decoder.sequence(CacheFormat::F32);
    let expected = read(&decoder, &mut sequence, &PROMPT);
    sequence.truncate(5);
    for stranger in [VOCABULARY as u32, u32::MAX] {
        let chunk = Chunk { sequence: &mut sequence, tokens: &[1, stranger], want: Want::Last };
        let refused = decoder.run(&mut [chunk]).unwrap_err().to_string();
        assert!(refused.contains("\"tokens\"") && refused.contains(&format!("the id {stranger}")), "{refused}");
        assert_eq!(sequence.len(), 5);
    }
    let nothing = Chunk { sequence: &mut sequence, tokens: &[], want: Want::Last };
    assert!(decoder.run(&mut [nothing]).is_err());
    assert!(decoder.run(&mut []).is_err());
    near(&read(&decoder, &mut sequence, &PROMPT[5..]), &expected[5..]);
}

#[test]
fn a_sequence_of_another_model_is_refused() {
    let mut other = decoder(WeightFormat::F32).sequence(CacheFormat::F32);
    other.shape.extent.numbers += 1;
    let refused = decoder(WeightFormat::F32).run(&mut [Chunk { sequence: &mut other, tokens: &[1], want: Want::Last }]);
    assert!(refused.unwrap_err().to_string().contains("another model"));
}

#[test]
fn a_model_that_was_written_is_read_again() {
    for format in FORMATS {
        let model = model(format).unwrap();
        let written = engine::write_graph(&model).unwrap();
        let tables = written.weights.keys().filter(|label| label.contains("logits") || label.contains("table"));
        assert_eq!(tables.collect::<Vec<_>>(), ["embedding.table_0"], "{format:?}");
        let read_again = engine::read_graph(&written.text, &written).unwrap();
        let (before, after) = (Decoder::new(model).unwrap(), Decoder::new(read_again).unwrap());
        let logits = |decoder: &Decoder| read(decoder, &mut decoder.sequence(CacheFormat::F32), &PROMPT);
        assert_eq!(logits(&after), logits(&before), "{format:?}");
    }
}

#[test]
fn damaged_weights_are_refused() {
    let written = engine::write_graph(&model(WeightFormat::Q4).unwrap()).unwrap();
    for label in written.weights.keys() {
        let mut damaged = engine::Graph { text: written.text.clone(), weights: written.weights.clone() };
        damaged.weights.insert(label.clone(), Arc::new(tensor1(&[1.0f32, 2.0])));
        assert!(engine::read_graph(&damaged.text, &damaged).is_err(), "{label}");
    }
    for (from, to) in [("head_width = 10", "head_width = 9"), ("q4:50x40", "q4:500x40"), ("q4:50x40", "q9:50x40")] {
        assert!(written.text.contains(from), "{}", written.text);
        assert!(engine::read_graph(&written.text.replace(from, to), &written).is_err(), "{to}");
    }
}

#[test]
fn outside_a_step_a_language_model_does_not_run() {
    let plan = Plan::new(model(WeightFormat::F32).unwrap()).unwrap();
    let tokens = tensor::from_vec(&[1, 1], vec![1i64]).unwrap();
    assert!(plan.run(vec![tokens]).unwrap_err().to_string().contains("no step is under way"));
}

#[test]
fn a_graph_without_every_layer_is_refused() {
    let mut model = model(WeightFormat::F32).unwrap();
    for node in &mut model.nodes {
        if let Some(attention) = node.op_as::<CausalAttention>().filter(|attention| attention.layer() == 0) {
            let linear = Linear::new(&numbers(1, 40 * 80), 40, 80, None).unwrap();
            assert_eq!(attention.layer(), 0);
            node.op = Box::new(linear);
        }
    }
    let refused = Decoder::new(model).unwrap_err().to_string();
    assert!(refused.contains("layer 0"), "{refused}");
}

#[test]
fn blocks_that_were_rounded_elsewhere_are_kept_bit_for_bit() {
    use crate::ops::Q4Blocks;
    let values: Vec<u8> = (0..5 * 40).map(|i| (i * 7 % 16) as u8).collect();
    let scales: Vec<f16> = (0..10).map(|i| f16::from_f32(0.1 * i as f32)).collect();
    let blocks = Q4Blocks { outputs: 5, inputs: 40, scales, values };
    let layer = Linear::from_q4(&blocks, None).unwrap();
    assert_eq!(layer.q4_blocks().unwrap(), blocks);
    let dense = layer.dense();
    assert_eq!(dense[41], (f32::from(blocks.values[41]) - 8.0) * blocks.scales[2].to_f32());
    assert!(Linear::from_q4(&Q4Blocks { values: vec![16; 200], ..blocks.clone() }, None).is_err());
    assert!(Linear::from_q4(&Q4Blocks { inputs: 39, ..blocks }, None).is_err());
}
