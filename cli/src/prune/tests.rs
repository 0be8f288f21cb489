//! Every method on small transformers of every kind: what is of no use goes for nothing, and shapes shrink.

mod support;

use emberlite::ops::{Attention, CausalAttention, Linear};
use proptest::prelude::*;
use tract_core::prelude::{Datum as _, TypedFact};

use super::*;
use support::{Shape, Texts, Weights, step, transformer};

const POST: Shape = Shape { layers: 2, gated: false, norm_first: false, apart: false, biased: false, grouped: 0 };
const KINDS: [Shape; 6] = [
    POST,
    Shape { norm_first: true, ..POST },
    Shape { gated: true, norm_first: true, ..POST },
    Shape { apart: true, biased: true, ..POST },
    Shape { grouped: 2, gated: true, norm_first: true, ..POST },
    Shape { grouped: 4, norm_first: true, ..POST },
];

fn unchanged(_: &str, _: (usize, usize), _: &mut Weights) {}

fn pruned(model: &TypedModel, texts: &Texts, step: Step) -> Result<(TypedModel, Pruning)> {
    let (model, account) = prune(model.clone(), &[step], texts, &Progress::start(""))?;
    Ok((model, account.into_iter().next().unwrap()))
}

/// The largest difference of two models' outputs.
fn difference(texts: &Texts, a: &TypedModel, b: &TypedModel) -> f32 {
    let (a, b) = (texts.numbers(a).unwrap(), texts.numbers(b).unwrap());
    assert_eq!(a.len(), b.len());
    a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

fn layer<'a>(model: &'a TypedModel, name: &str) -> &'a Linear {
    model.node_by_name(name).unwrap().op_as::<Linear>().unwrap()
}

/// Neurons that do as others do, or nothing: a quarter of all.
fn idle_neurons(name: &str, (outputs, inputs): (usize, usize), weights: &mut Weights) {
    let copies = outputs / support::INNER;
    if name.ends_with("up") {
        for copy in 0..copies {
            let at = |row: usize| (copy * support::INNER + row) * inputs;
            for row in 0..7 {
                weights.0.copy_within(at(row)..at(row + 1), at(row + 20));
                weights.1[copy * support::INNER + row + 20] = weights.1[copy * support::INNER + row];
            }
        }
    }
    if name.ends_with("down") {
        let nothing = weights.0.chunks_exact_mut(inputs).flat_map(|row| row[35..38].iter_mut());
        nothing.for_each(|weight| *weight = 0.0);
    }
}

#[test]
fn neurons_that_do_nothing_of_their_own_go_for_nothing() {
    for kind in KINDS {
        let model = transformer(kind, &idle_neurons);
        let texts = Texts::new(&model, 300);
        let (smaller, account) = pruned(&model, &texts, step(Method::Neurons, 0.25)).unwrap();
        assert_eq!((account.units, account.removed), (80, 20), "{kind:?}");
        assert_eq!(layer(&smaller, "layer_1_down").inputs(), 30);
        assert_eq!(layer(&smaller, "layer_1_up").outputs(), if kind.gated { 60 } else { 30 });
        let difference = difference(&texts, &model, &smaller);
        assert!(difference < 2e-2 && account.loss < 1e-6, "{kind:?}: {difference} {account:?}");
        assert!(account.parameters_after < account.parameters_before);
        assert_eq!(account.parameters_after, parameters(&smaller));
    }
}

/// The last unit of heads has the queries, keys and values of the first.
fn twin_heads(name: &str, (outputs, inputs): (usize, usize), weights: &mut Weights) {
    let head = support::WIDTH / support::HEADS;
    let parts: Vec<(usize, usize)> = match (name.split('_').next_back().unwrap(), outputs) {
        ("q" | "k" | "v", _) => vec![(0, 4)],
        ("qkv", 72) => vec![(0, 4), (24, 4), (48, 4)],
        ("qkv", 48) => vec![(0, 4), (24, 2), (36, 2)],
        _ => return,
    };
    for (start, heads) in parts {
        let units = if outputs == 48 { 2 } else { 4 };
        let span = head * heads / units;
        let last = start + (units - 1) * span;
        weights.0.copy_within(start * inputs..(start + span) * inputs, last * inputs);
        weights.1.copy_within(start..start + span, last);
    }
}

#[test]
fn heads_that_are_alike_go_for_nothing() {
    for kind in KINDS.into_iter().filter(|kind| kind.grouped < 4 && !kind.biased) {
        let model = transformer(kind, &twin_heads);
        let texts = Texts::new(&model, 300);
        let units = if kind.grouped == 2 { 2 } else { 4 };
        let (smaller, account) = pruned(&model, &texts, step(Method::Heads, 1.0 / units as f64)).unwrap();
        assert_eq!((account.units, account.removed), (2 * units, 2), "{kind:?}");
        let difference = difference(&texts, &model, &smaller);
        assert!(difference < 2e-2 && account.loss < 1e-6, "{kind:?}: {difference} {account:?}");
    }
}

#[test]
fn heads_shrink_with_their_masks_queries_keys_and_values() {
    for kind in KINDS {
        let model = transformer(kind, &unchanged);
        let texts = Texts::new(&model, 60);
        let (smaller, account) = pruned(&model, &texts, step(Method::Heads, 0.5)).unwrap();
        assert_eq!(account.removed, account.units / 2, "{kind:?}");
        let node = smaller.node_by_name("layer_0_attention").unwrap();
        let heads = node.op_as::<Attention>().map(|op| op.heads);
        let heads = heads.or_else(|| node.op_as::<CausalAttention>().map(CausalAttention::heads));
        assert_eq!(heads, Some(2));
        assert_eq!(layer(&smaller, "layer_0_attention_output").inputs(), 12);
        assert!(account.loss < 0.3 && account.loss > 0.0, "{kind:?}: {account:?}");
        assert!(texts.numbers(&smaller).unwrap().iter().all(|number| number.is_finite()));
    }
}

/// The second layer adds nothing to the stream.
fn idle_layer(name: &str, _: (usize, usize), weights: &mut Weights) {
    if name == "layer_1_attention_output" || name == "layer_1_down" {
        weights.0.fill(0.0);
        weights.1.fill(0.0);
    }
}

#[test]
fn the_layer_that_does_nothing_goes() {
    for kind in KINDS {
        let model = transformer(Shape { layers: 3, ..kind }, &idle_layer);
        let texts = Texts::new(&model, 60);
        let (smaller, account) = pruned(&model, &texts, step(Method::Layers, 0.34)).unwrap();
        assert_eq!((account.units, account.removed), (3, 1), "{kind:?}");
        let names: Vec<&str> = smaller.nodes().iter().map(|node| node.name.as_str()).collect();
        assert!(!names.iter().any(|name| name.starts_with("layer_1_")), "{kind:?}: {names:?}");
        assert!(names.contains(&"layer_2_down") && names.contains(&"layer_0_down"));
        // A norm after the sum is not nothing, but what follows makes up for most of it.
        let most = if kind.norm_first { 1e-6 } else { 2e-2 };
        assert!(account.loss < most, "{kind:?}: {account:?}");
    }
}

/// Layers of rank 4.
fn low_ranks(_: &str, (outputs, inputs): (usize, usize), weights: &mut Weights) {
    const RANK: usize = 4;
    let (left, right) = (support::numbers(3, outputs * RANK), support::numbers(4, inputs * RANK));
    for (index, weight) in weights.0.iter_mut().enumerate() {
        let (row, column) = (index / inputs * RANK, index % inputs * RANK);
        *weight = (0..RANK).map(|at| left[row + at] * right[column + at] / inputs as f32).sum();
    }
}

#[test]
fn layers_of_a_low_rank_become_two() {
    for kind in KINDS {
        let model = transformer(kind, &low_ranks);
        let texts = Texts::new(&model, 100);
        let (smaller, account) = pruned(&model, &texts, step(Method::LowRank, 0.5)).unwrap();
        assert!(2 * account.removed >= account.units && account.units > 0, "{kind:?}: {account:?}");
        let difference = difference(&texts, &model, &smaller);
        assert!(difference < 0.1 && account.loss < 1e-3, "{kind:?}: {difference} {account:?}");
        assert!(account.parameters_after < account.parameters_before);
    }
}

/// Every second block of 16 outputs and 4 inputs does nothing, and every second weight of the others.
fn idle_weights(_: &str, (_, inputs): (usize, usize), weights: &mut Weights) {
    for (at, weight) in weights.0.iter_mut().enumerate() {
        let (output, input) = (at / inputs, at % inputs);
        if (output / 16 + input / 4) % 2 == 0 || (output + input) % 2 == 0 {
            *weight = 0.0;
        }
    }
}

#[test]
fn weights_that_do_nothing_go_for_nothing_alone_and_in_blocks() {
    for kind in KINDS {
        let model = transformer(kind, &idle_weights);
        let texts = Texts::new(&model, 300);
        let whole = parameters(&transformer(kind, &unchanged));
        for (method, part) in [(Method::Blocks, 0.4), (Method::Weights, 0.7)] {
            let (thinner, account) = pruned(&model, &texts, step(method, part)).unwrap();
            assert!(account.removed > 0 && account.units > account.removed, "{kind:?}: {account:?}");
            assert!(account.loss < 1e-6, "{kind:?}, {method}: {account:?}");
            assert!(parameters(&thinner) < whole);
            let (before, after) = (layer(&model, "layer_0_down"), layer(&thinner, "layer_0_down"));
            assert_eq!((after.inputs(), after.outputs()), (before.inputs(), before.outputs()));
            let int8 = after.clone().with_format(emberlite::ops::WeightFormat::Int8).unwrap().without_empty_blocks();
            let sparse = int8.blocks().is_some_and(|(left, all)| 10 * left <= 7 * all);
            assert!(sparse || method == Method::Weights, "{kind:?}, {method}: {:?}", int8.blocks());
        }
    }
}

#[test]
fn weights_that_are_left_make_up_for_those_that_go() {
    for (kind, method) in [(KINDS[1], Method::Blocks), (KINDS[0], Method::Weights), (KINDS[5], Method::Weights)] {
        let model = transformer(kind, &unchanged);
        let texts = Texts::new(&model, 120);
        let (thinner, account) = pruned(&model, &texts, step(method, 0.4)).unwrap();
        // The same weights go, and the others are as they were.
        let mut bare = rewrite::Rewrite::default();
        for node in model.nodes() {
            let Some(whole) = node.op_as::<Linear>().filter(|_| node.name != "head") else { continue };
            let left = layer(&thinner, &node.name).dense();
            assert_eq!(layer(&thinner, &node.name).outputs(), whole.outputs());
            let weight =
                whole.dense().into_iter().zip(left).map(|(weight, left)| if left == 0.0 { 0.0 } else { weight });
            let weight: Vec<f32> = weight.collect();
            bare.replace(node.id, regression::like(whole, &weight, whole.inputs(), whole.bias()).unwrap());
        }
        let bare = texts.loss(&bare.applied(&model).unwrap()).unwrap();
        assert!(account.loss < 0.5 * bare, "{kind:?}, {method}: {} {bare}", account.loss);
    }
}

#[test]
fn what_is_left_makes_up_for_what_goes() {
    let model = transformer(KINDS[1], &unchanged);
    let texts = Texts::new(&model, 120);
    let (smaller, account) = pruned(&model, &texts, step(Method::Neurons, 0.4)).unwrap();
    // The same neurons go, but the layers that read them are as they were.
    let mut bare = model.clone();
    for site in hidden::hidden(&model) {
        let chosen = layer(&smaller, site.makers.keys().next().unwrap()).dense();
        let whole = layer(&model, site.makers.keys().next().unwrap()).dense();
        let kept: Vec<usize> = chosen
            .chunks_exact(support::WIDTH)
            .map(|row| whole.chunks_exact(support::WIDTH).position(|other| other == row).unwrap())
            .collect();
        let reader = layer(&model, &site.reader);
        let dense = reader.dense();
        let columns: Vec<f32> =
            dense.chunks_exact(reader.inputs()).flat_map(|row| kept.iter().map(|at| row[*at])).collect();
        let reader = regression::like(reader, &columns, kept.len(), reader.bias()).unwrap();
        bare = sites::Site::keep(&site, &bare, &kept, reader).unwrap();
    }
    let bare = texts.loss(&bare).unwrap();
    assert!(account.loss < 0.5 * bare, "{} {bare}", account.loss);
}

#[test]
fn what_is_to_stay_stays() {
    let model = transformer(KINDS[1], &unchanged);
    let texts = Texts::new(&model, 30);
    for (method, units) in [(Method::Neurons, 40), (Method::Heads, 4), (Method::Layers, 1)] {
        let keep = vec!["layer_0_*".to_owned()];
        let (smaller, account) = pruned(&model, &texts, Step { keep, ..step(method, 0.5) }).unwrap();
        assert_eq!(account.units, units, "{method}");
        for name in ["layer_0_up", "layer_0_down", "layer_0_qkv", "layer_0_attention_output"] {
            assert_eq!(layer(&smaller, name), layer(&model, name), "{method}");
        }
    }
    let keep = vec!["nothing".to_owned()];
    let refused = pruned(&model, &texts, Step { keep, ..step(Method::Neurons, 0.5) }).unwrap_err();
    assert!(format!("{refused:#}").contains("no layer is called \"nothing\""), "{refused:#}");
}

#[test]
fn a_model_without_such_parts_is_told_of() {
    let mut model = TypedModel::default();
    let x = model.add_source("x", TypedFact::dt_shape(f32::datum_type(), [1, 4])).unwrap();
    model.select_output_outlets(&[x]).unwrap();
    let texts = Texts::new(&transformer(POST, &unchanged), 1);
    for method in [Method::Neurons, Method::Heads, Method::Layers, Method::LowRank, Method::Blocks, Method::Weights] {
        let refused = pruned(&model, &texts, step(method, 0.5)).unwrap_err();
        let said = format!("the model has no {method} that can be taken out");
        assert_eq!(format!("{refused:#}"), said);
    }
}

#[test]
fn the_same_steps_give_the_same_model() {
    let methods = [Method::Heads, Method::Neurons, Method::LowRank, Method::Layers, Method::Blocks];
    let steps = methods.map(|method| step(method, 0.4));
    let model = transformer(KINDS[4], &unchanged);
    let texts = Texts::new(&model, 30);
    let once = || {
        let (model, account) = prune(model.clone(), &steps, &texts, &Progress::start("")).unwrap();
        let written = emberlite::engine::write_graph(&model).unwrap();
        let weights: std::collections::BTreeMap<_, _> = written.weights.into_iter().collect();
        (written.text, format!("{weights:?}"), account)
    };
    assert_eq!(once(), once());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn a_model_of_which_all_is_kept_is_the_same(kind in 0..KINDS.len(), layers in 1usize..4) {
        let model = transformer(Shape { layers, ..KINDS[kind] }, &unchanged);
        let texts = Texts::new(&model, 4);
        let mut same = model.clone();
        let found: Vec<Box<dyn sites::Site>> = hidden::hidden(&model)
            .into_iter()
            .map(|site| Box::new(site) as Box<dyn sites::Site>)
            .chain(attended::attended(&model).into_iter().map(|site| Box::new(site) as Box<dyn sites::Site>))
            .collect();
        prop_assert!(!found.is_empty());
        for site in found {
            let all: Vec<usize> = (0..site.units()).collect();
            same = site.keep(&same, &all, layer(&model, site.reader()).clone()).unwrap();
        }
        prop_assert_eq!(texts.numbers(&model).unwrap(), texts.numbers(&same).unwrap());
        prop_assert_eq!(stream::layers(&model).len(), layers);
    }
}
