//! The operators of a text encoder through tract-OPL and back: what is read gives what was written.

use std::collections::HashMap;
use std::sync::Arc;

use proptest::prelude::*;
use tract_nnef::internal::*;

use super::*;
use crate::engine::{self, Plan};

fn numbers(seed: usize, count: usize) -> Vec<f32> {
    (0..count).map(|i| (((i + 1) * 7919 + seed * 104_729) % 2003) as f32 / 1000.0 - 1.0).collect()
}

const WIDTH: usize = 16;

/// One encoder layer of every operator, in a given format.
fn encoder(format: WeightFormat) -> TractResult<TypedModel> {
    let said = |reason: String| format_err!("{reason}");
    let mut model = TypedModel::default();
    let shape = [model.symbols.sym("N").to_dim(), model.symbols.sym("S").to_dim()];
    let ids = model.add_source("input_ids", i64::fact(&shape))?;
    let mask = model.add_source("attention_mask", i64::fact(&shape))?;
    let table = |seed, rows| Table::new(&numbers(seed, rows * WIDTH), rows, WIDTH);
    let words = table(1, 30).and_then(|table| table.with_format(WeightFormat::Int8)).map_err(said)?;
    let places = table(2, 40).and_then(|table| table.with_format(WeightFormat::F16)).map_err(said)?;
    let tables = vec![
        (words, Lookup::Input(0)),
        (places, Lookup::NonPadding { padding_id: 1 }),
        (table(3, 2).map_err(said)?, Lookup::Row(1)),
        (table(4, 60).map_err(said)?, Lookup::Sequential { offset: 2 }),
    ];
    let mut wire = |name: &str, op: &dyn Fn(&mut TypedModel) -> TractResult<TVec<OutletId>>| -> TractResult<OutletId> {
        op(&mut model).map(|outlets| outlets[0]).with_context(|| name.to_owned())
    };
    let linear = |seed, outputs, inputs| {
        let bias = numbers(seed + 1, outputs);
        Linear::new(&numbers(seed, outputs * inputs), outputs, inputs, Some(&bias))?.with_format(format)
    };
    let embedding = Embedding::new(tables).map_err(said)?;
    let x = wire("embedding", &|m| m.wire_node("embedding", embedding.clone(), &[ids]))?;
    let norm = Norm::layer(&numbers(5, WIDTH), Some(&numbers(6, WIDTH)), 1e-12).map_err(said)?;
    let x = wire("norm", &|m| m.wire_node("norm", norm.clone(), &[x]))?;
    let key_mask = wire("key_mask", &|m| m.wire_node("key_mask", KeyMask, &[mask]))?;
    let bias = PositionBias::new(&numbers(7, 32 * 2), 32, 2, true, 128).map_err(said)?;
    let bias = wire("position_bias", &|m| m.wire_node("position_bias", bias.clone(), &[x]))?;
    let qkv = linear(8, 3 * WIDTH, WIDTH).map_err(said)?;
    let qkv = wire("qkv", &|m| m.wire_node("qkv", qkv.clone(), &[x]))?;
    let attention = Attention {
        heads: 2,
        head_width: 8,
        scale: 0.35,
        causal: false,
        window: Some(20),
        rotary: Some(10_000.0),
        fused: true,
        masks: 2,
    };
    let context = wire("attention", &|m| m.wire_node("attention", attention.clone(), &[qkv, key_mask, bias]))?;
    let out = linear(10, WIDTH, WIDTH).map_err(said)?.with_residual();
    let x = wire("out", &|m| m.wire_node("out", out.clone(), &[context, x]))?;
    let rms = Norm::rms(&numbers(11, WIDTH), 1e-6).map_err(said)?.with_residual();
    let x = wire("rms", &|m| m.wire_node("rms", rms.clone(), &[x, context]))?;
    let wide = linear(12, 4 * WIDTH, WIDTH).map_err(said)?.with_activation(Activation::Gelu);
    let wide = wire("wide", &|m| m.wire_node("wide", wide.clone(), &[x]))?;
    let gate = wire("gate", &|m| m.wire_node("gate", Gated(Activation::Silu), &[wide]))?;
    let narrow = linear(14, WIDTH, 2 * WIDTH).map_err(said)?;
    let x = wire("narrow", &|m| m.wire_node("narrow", narrow.clone(), &[gate]))?;
    let x = wire("tanh", &|m| m.wire_node("tanh", Activate(Activation::Tanh), &[x]))?;
    let pooled = wire("pool", &|m| m.wire_node("pool", Pool { pooling: Pooling::Mean }, &[x, mask]))?;
    model.select_output_outlets(&[pooled])?;
    Ok(model)
}

fn run(plan: &Plan, texts: &[&[i64]]) -> Vec<Vec<f32>> {
    let tokens = texts.iter().map(|text| text.len()).max().unwrap_or(0);
    let padded = |fill: i64, of: &dyn Fn(&i64) -> i64| {
        let rows = texts
            .iter()
            .flat_map(|text| text.iter().map(of).chain(std::iter::repeat(fill)).take(tokens).collect::<Vec<_>>());
        engine::tensor::from_vec(&[texts.len(), tokens], rows.collect()).unwrap()
    };
    let inputs = vec![padded(1, &|id| *id), padded(0, &|_| 1)];
    let output = plan.run(inputs).unwrap().remove(0);
    output.try_as_plain_ram().unwrap().as_slice::<f32>().unwrap().chunks(WIDTH).map(<[f32]>::to_vec).collect()
}

const FORMATS: [WeightFormat; 4] = [WeightFormat::F32, WeightFormat::F16, WeightFormat::Bf16, WeightFormat::Int8];

#[test]
fn an_encoder_that_was_written_is_read_again() {
    for format in FORMATS {
        let model = encoder(format).unwrap();
        let written = engine::write_graph(&model).unwrap();
        let read = engine::read_graph(&written.text, &written).unwrap();
        let texts: [&[i64]; 2] = [&[3, 7, 2, 29], &[5, 6]];
        let (before, after) = (Plan::new(model).unwrap(), Plan::new(read).unwrap());
        let expected = run(&before, &texts);
        assert!(expected.iter().flatten().all(|x| x.is_finite() && x.abs() < 1.0), "{format:?}");
        assert_ne!(expected[0], expected[1]);
        assert_eq!(run(&after, &texts), expected, "{format:?}");
    }
}

#[test]
fn factors_fixed_ranges_and_tables_of_4_bits_are_read_again() {
    let mut model = TypedModel::default();
    let shape = [model.symbols.sym("N").to_dim(), model.symbols.sym("S").to_dim()];
    let ids = model.add_source("input_ids", i64::fact(&shape)).unwrap();
    let table = Table::new(&numbers(1, 30 * WIDTH), 30, WIDTH).unwrap().with_format(WeightFormat::Q4).unwrap();
    assert_eq!((table.format(), table.rows(), table.width(), table.size_bytes()), (WeightFormat::Q4, 30, WIDTH, 300));
    let embedding = Embedding::new(vec![(table, Lookup::Input(0))]).unwrap();
    let mut x = model.wire_node("embedding", embedding, &[ids]).unwrap()[0];
    let factors: Vec<f32> = (1..=WIDTH).map(|i| i as f32 / 9.0).collect();
    for format in [WeightFormat::Int8, WeightFormat::Q4] {
        let plain = Linear::new(&numbers(2, WIDTH * WIDTH), WIDTH, WIDTH, None).unwrap().with_format(format).unwrap();
        let mut linear = plain.with_factors(&factors).unwrap();
        if format == WeightFormat::Int8 {
            linear = linear.with_range(Range::new(-1.25, 2.000_001).unwrap()).unwrap();
        }
        x = model.wire_node(format!("{format:?}"), linear, &[x]).unwrap()[0];
    }
    model.select_output_outlets(&[x]).unwrap();
    let written = engine::write_graph(&model).unwrap();
    let read = engine::read_graph(&written.text, &written).unwrap();
    let ids = || vec![tensor2(&[[3i64, 7, 2, 29], [5, 6, 0, 0]])];
    assert_eq!(Plan::new(read).unwrap().run(ids()).unwrap(), Plan::new(model).unwrap().run(ids()).unwrap());
    let damaged = |from: &str, to: &str| {
        assert!(written.text.contains(from), "{}", written.text);
        engine::read_graph(&written.text.replace(from, to), &written).unwrap_err().to_string()
    };
    assert!(damaged("low = -1.25", "low = 1.25").contains("expected a range with zero in it"));
    assert!(damaged("Int8.factors", "Int8.terms").contains("are no"));
}

/// A layer of 16 outputs and 44 inputs with blocks of 16 outputs and 4 inputs that are empty, in int8.
fn with_empty_blocks() -> Linear {
    let mut weight = numbers(8, 40 * 44);
    for (at, weight) in weight.iter_mut().enumerate() {
        let (output, input) = (at / 44, at % 44);
        if (output / 16 + input / 4) % 2 == 0 {
            *weight = 0.0;
        }
    }
    let layer = Linear::new(&weight, 40, 44, Some(&numbers(9, 40))).unwrap().with_activation(Activation::Gelu);
    layer.with_format(WeightFormat::Int8).unwrap()
}

#[test]
fn a_layer_without_its_empty_blocks_is_smaller_and_gives_the_same() {
    let whole = with_empty_blocks();
    let sparse = whole.clone().without_empty_blocks();
    assert_eq!((whole.blocks(), sparse.blocks()), (None, Some((16, 33))));
    assert!(sparse.size_bytes() < whole.size_bytes());
    let x = numbers(10, 5 * 44);
    assert_eq!((sparse.apply(&x), sparse.dense()), (whole.apply(&x), whole.dense()));
    assert_eq!(Table::tied(&sparse), Table::tied(&whole));
    assert_eq!(sparse.with_format(WeightFormat::F32).unwrap(), whole.with_format(WeightFormat::F32).unwrap());
    let few = Linear::new(&numbers(8, 40 * 44), 40, 44, None).unwrap().with_format(WeightFormat::Int8).unwrap();
    assert_eq!(few.clone().without_empty_blocks(), few);
}

#[test]
fn a_layer_without_its_empty_blocks_is_read_again() {
    let mut model = TypedModel::default();
    let x = model.add_source("x", f32::fact([3, 44])).unwrap();
    let layer = with_empty_blocks().without_empty_blocks().with_factors(&[0.5; 44]).unwrap();
    let y = model.wire_node("layer", layer, &[x]).unwrap();
    model.select_output_outlets(&y).unwrap();
    let written = engine::write_graph(&model).unwrap();
    let read = engine::read_graph(&written.text, &written).unwrap();
    let x = || vec![Tensor::from_shape(&[3, 44], &numbers(10, 3 * 44)).unwrap()];
    assert_eq!(Plan::new(read).unwrap().run(x()).unwrap(), Plan::new(model).unwrap().run(x()).unwrap());
    let index: Vec<u16> = written.weights["layer.index"].try_as_plain_ram().unwrap().as_slice().unwrap().to_vec();
    let with = |at: usize, value: u16| {
        let mut index = index.clone();
        index[at] = value;
        let mut weights = HashMap::clone(&written.weights);
        weights.insert("layer.index".to_owned(), Arc::new(tensor1(&index)));
        engine::read_graph(&written.text, &engine::Graph { text: written.text.clone(), weights })
            .unwrap_err()
            .to_string()
    };
    assert!(with(0, 65_535).contains("are no"));
    assert!(with(3, 11).contains("panel 0 has blocks out of order"));
}

#[test]
fn a_layer_stands_for_its_weights_times_its_factors() {
    let linear = Linear::new(&numbers(3, 3 * WIDTH), 3, WIDTH, None).unwrap();
    let factors: Vec<f32> = (1..=WIDTH).map(|i| i as f32 / 9.0).collect();
    assert!(linear.clone().with_factors(&factors).unwrap_err().contains("has no factors"));
    let int8 = linear.with_format(WeightFormat::Int8).unwrap().with_factors(&factors).unwrap();
    let float = int8.clone().with_format(WeightFormat::F32).unwrap();
    assert_eq!((float.factors(), float.dense()), (&[][..], int8.dense()));
    let x = numbers(4, 2 * WIDTH);
    for (got, expected) in int8.apply(&x).iter().zip(float.apply(&x)) {
        assert!((got - expected).abs() < 0.1, "{got} {expected}");
    }
    assert!(float.with_range(Range::new(-1.0, 1.0).unwrap()).is_err());
}

#[test]
fn formats_differ_by_their_rounding() {
    let texts: [&[i64]; 3] = [&[3, 7, 2, 29, 11], &[5, 6], &[9]];
    let plan = |format| Plan::new(encoder(format).unwrap()).unwrap();
    let exact = run(&plan(WeightFormat::F32), &texts);
    for (format, tolerance) in [(WeightFormat::F16, 5e-3), (WeightFormat::Bf16, 4e-2), (WeightFormat::Int8, 1e-1)] {
        let rounded = run(&plan(format), &texts);
        for (got, expected) in rounded.iter().flatten().zip(exact.iter().flatten()) {
            assert!((got - expected).abs() < tolerance, "{format:?}: {got} {expected}");
        }
    }
}

#[test]
fn padding_changes_no_text() {
    let plan = Plan::new(encoder(WeightFormat::F32).unwrap()).unwrap();
    let long: &[i64] = &[3, 7, 2, 29, 11, 12, 13];
    let alone = run(&plan, &[&[5, 6]]);
    let padded = run(&plan, &[long, &[5, 6]]);
    for (got, expected) in padded[1].iter().zip(&alone[0]) {
        assert!((got - expected).abs() < 1e-5, "{got} {expected}");
    }
}

#[test]
fn a_missing_weight_is_named() {
    let mut written = engine::write_graph(&encoder(WeightFormat::Int8).unwrap()).unwrap();
    written.weights.remove("qkv.weights").unwrap();
    let refused = engine::read_graph(&written.text, &written).unwrap_err().to_string();
    assert!(refused.contains("no weights called \"qkv.weights\""), "{refused}");
}

#[test]
fn weights_of_another_size_are_refused() {
    let written = engine::write_graph(&encoder(WeightFormat::Int8).unwrap()).unwrap();
    for label in written.weights.keys() {
        let mut damaged = engine::Graph { text: written.text.clone(), weights: HashMap::clone(&written.weights) };
        damaged.weights.insert(label.clone(), Arc::new(tensor1(&[1.0f32, 2.0])));
        assert!(engine::read_graph(&damaged.text, &damaged).is_err(), "{label}");
    }
}

#[test]
fn an_id_without_a_row_is_named() {
    let plan = Plan::new(encoder(WeightFormat::F32).unwrap()).unwrap();
    for stranger in [30i64, -1] {
        let ids = engine::tensor::from_vec(&[1, 2], vec![3, stranger]).unwrap();
        let mask = engine::tensor::from_vec(&[1, 2], vec![1i64, 1]).unwrap();
        let refused = plan.run(vec![ids, mask]).unwrap_err().to_string();
        assert!(refused.contains(&format!("the id {stranger}")), "{refused}");
    }
}

/// T5's buckets, as transformers computes them.
fn bucket(distance: i64, buckets: i64, max_distance: i64) -> i64 {
    let buckets = buckets / 2;
    let first = if distance > 0 { buckets } else { 0 };
    let steps = distance.abs();
    let near = buckets / 2;
    if steps < near {
        return first + steps;
    }
    let reach = (steps as f64 / near as f64).ln() / (max_distance as f64 / near as f64).ln();
    first + (near + (reach * (buckets - near) as f64) as i64).min(buckets - 1)
}

#[test]
fn distances_fall_into_buckets() {
    let table: Vec<f32> = (0..32).map(|i| i as f32).collect();
    let op = PositionBias::new(&table, 32, 1, true, 128).unwrap();
    let tokens = 300;
    let input = Tensor::zero::<f32>(&[1, tokens, 1]).unwrap().into_tvalue();
    let output = op.eval(&EvalContext::out_of_plan(), tvec!(input)).unwrap().remove(0);
    let got = output.try_as_plain_ram().unwrap().as_slice::<f32>().unwrap().to_vec();
    let exact_powers = [16i64, 32, 64];
    for query in 0..tokens {
        for key in 0..tokens {
            let distance = key as i64 - query as i64;
            let expected = bucket(distance, 32, 128);
            // At powers of two the logarithms divide to a whole number, and their rounding decides.
            if !exact_powers.contains(&distance.abs()) {
                assert_eq!(got[query * tokens + key], expected as f32, "{distance}");
            }
        }
    }
}

proptest! {
    #[test]
    fn pooling_leaves_padding_out(kept in prop::collection::vec(any::<bool>(), 1..9), seed in 0usize..100) {
        let tokens = kept.len();
        let hidden = numbers(seed, tokens * 3);
        let mask: Vec<i64> = kept.iter().map(|kept| i64::from(*kept)).collect();
        let real: Vec<&[f32]> = hidden.chunks(3).zip(&kept).filter(|(_, kept)| **kept).map(|(row, _)| row).collect();
        for pooling in [Pooling::Cls, Pooling::Mean, Pooling::Max, Pooling::MeanSqrt, Pooling::LastToken] {
            let inputs = tvec!(
                tensor1(&hidden).into_shape(&[1, tokens, 3]).unwrap().into_tvalue(),
                tensor1(&mask).into_shape(&[1, tokens]).unwrap().into_tvalue()
            );
            let output = Pool { pooling }.eval(&EvalContext::out_of_plan(), inputs).unwrap().remove(0);
            let got = output.try_as_plain_ram().unwrap().as_slice::<f32>().unwrap().to_vec();
            for (i, got) in got.iter().enumerate() {
                let column: Vec<f32> = real.iter().map(|row| row[i]).collect();
                let sum: f32 = column.iter().sum();
                let expected = match pooling {
                    _ if column.is_empty() => 0.0,
                    Pooling::Cls => column[0],
                    Pooling::LastToken => column[column.len() - 1],
                    Pooling::Max => column.iter().copied().fold(f32::MIN, f32::max),
                    Pooling::Mean => sum / column.len() as f32,
                    Pooling::MeanSqrt => sum / (column.len() as f32).sqrt(),
                };
                prop_assert!((got - expected).abs() < 1e-6);
            }
        }
    }
}
