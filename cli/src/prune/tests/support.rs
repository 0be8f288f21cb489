//! Small transformers of random weights, and inputs to calibrate them with.

use anyhow::Result;
use emberlite::engine::tensor::from_vec;
use emberlite::engine::{CacheFormat, Chunk, Decoder, Plan, Want};
use emberlite::ops::{
    Activation, Attention, CausalAttention, CausalAttentionSpec, Embedding, Gated, Linear, Lookup, Norm, PositionBias,
    Rows, Table,
};
use tract_core::internal::*;

use crate::calibrate::Calibration;
use crate::progress::Progress;
use crate::prune::{Method, Part, Step};

pub(super) const WORDS: usize = 40;
pub(super) const WIDTH: usize = 24;
pub(super) const HEADS: usize = 4;
pub(super) const INNER: usize = 40;

/// Numbers around zero, the same for the same seed.
pub(super) fn numbers(seed: usize, count: usize) -> Vec<f32> {
    let mut random = fastrand::Rng::with_seed(seed as u64);
    (0..count).map(|_| random.f32() * 2.0 - 1.0).collect()
}

/// What a transformer is like.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Shape {
    pub(super) layers: usize,
    pub(super) gated: bool,
    /// Norms before attention and feed-forward part, else after their sums.
    pub(super) norm_first: bool,
    /// Queries, keys and values from a layer each.
    pub(super) apart: bool,
    /// A bias of positions for each head.
    pub(super) biased: bool,
    /// How many heads of queries share one of keys, in a language model: 0 for an encoder.
    pub(super) grouped: usize,
}

/// A layer's weights `[outputs, inputs]` and bias, which tests change before they go into a graph.
pub(super) type Weights = (Vec<f32>, Vec<f32>);

/// Changes the weights of a layer with some name and sizes `(outputs, inputs)`.
pub(super) type Change<'a> = &'a dyn Fn(&str, (usize, usize), &mut Weights);

struct Builder<'a> {
    model: TypedModel,
    seed: usize,
    change: Change<'a>,
}

impl Builder<'_> {
    fn wire(&mut self, name: &str, op: impl Into<Box<dyn TypedOp>>, inputs: &[OutletId]) -> OutletId {
        self.model.wire_node(name, op, inputs).unwrap()[0]
    }

    fn linear(&mut self, name: &str, outputs: usize, inputs: usize) -> Linear {
        self.seed += 1;
        let scale = 1.5 / (inputs as f32).sqrt();
        let weight = numbers(self.seed, outputs * inputs).into_iter().map(|number| number * scale).collect();
        let mut weights = (weight, numbers(self.seed + 1000, outputs));
        (self.change)(name, (outputs, inputs), &mut weights);
        Linear::new(&weights.0, outputs, inputs, Some(&weights.1)).unwrap()
    }

    fn norm(&mut self, name: &str, x: OutletId) -> OutletId {
        self.seed += 1;
        let gain: Vec<f32> = numbers(self.seed, WIDTH).iter().map(|x| 1.0 + 0.2 * x).collect();
        self.wire(name, Norm::layer(&gain, None, 1e-6).unwrap(), &[x])
    }
}

/// A transformer with its weights changed: an encoder of `ids`, or a language model whose head is tied to its embeddings.
pub(super) fn transformer(shape: Shape, change: Change<'_>) -> TypedModel {
    let mut b = Builder { model: TypedModel::default(), seed: 0, change };
    let speaks = shape.grouped > 0;
    let head = b.linear("head", WORDS, WIDTH);
    let first = if speaks { 1.to_dim() } else { b.model.symbols.sym("N").to_dim() };
    let count = b.model.symbols.sym(if speaks { "T" } else { "S" }).to_dim();
    let ids = b.model.add_source("ids", i64::fact([first, count])).unwrap();
    let words = if speaks { Table::tied(&head) } else { Table::new(&numbers(7, WORDS * WIDTH), WORDS, WIDTH).unwrap() };
    let mut tables = vec![(words, Lookup::Input(0))];
    if !speaks {
        let places = Table::new(&numbers(8, 20 * WIDTH), 20, WIDTH).unwrap();
        tables.push((places, Lookup::Sequential { offset: 0 }));
    }
    let mut x = b.wire("embeddings", Embedding::new(tables).unwrap(), &[ids]);
    if !shape.norm_first {
        x = b.norm("embeddings_norm", x);
    }
    let mut mask = None;
    if shape.biased {
        let bias = PositionBias::new(&numbers(9, 8 * HEADS), 8, HEADS, true, 16).unwrap();
        mask = Some(b.wire("position_bias", bias, &[ids]));
    }
    for layer in 0..shape.layers {
        x = wire_layer(&mut b, shape, layer, mask, x);
    }
    if shape.norm_first {
        x = b.norm("final_norm", x);
    }
    if speaks {
        let rows = b.wire("rows", Rows, &[x]);
        x = b.wire("head", head, &[rows]);
    }
    b.model.select_output_outlets(&[x]).unwrap();
    b.model.compact().unwrap();
    b.model
}

fn wire_layer(b: &mut Builder<'_>, shape: Shape, layer: usize, mask: Option<OutletId>, hidden: OutletId) -> OutletId {
    let node = |part: &str| format!("layer_{layer}_{part}");
    let head_width = WIDTH / HEADS;
    let normed = |b: &mut Builder<'_>, name: &str, x, here| if here { b.norm(&node(name), x) } else { x };
    let x = normed(b, "attention_norm", hidden, shape.norm_first);
    let attended = if let Some(key_heads) = HEADS.checked_div(shape.grouped) {
        let qkv = b.linear(&node("qkv"), (HEADS + 2 * key_heads) * head_width, WIDTH);
        let qkv = b.wire(&node("qkv"), qkv, &[x]);
        let spec = CausalAttentionSpec {
            layer,
            heads: HEADS,
            key_heads,
            head_width,
            scale: 0.4,
            window: None,
            softcap: None,
            frequencies: &[1.0, 0.1, 0.01],
            magnitude: 1.0,
            query_norm: None,
            key_norm: None,
            epsilon: 1e-6,
        };
        b.wire(&node("attention"), CausalAttention::new(spec).unwrap(), &[qkv])
    } else {
        let op = Attention {
            heads: HEADS,
            head_width,
            scale: 0.4,
            causal: false,
            window: None,
            rotary: None,
            fused: !shape.apart,
            masks: usize::from(mask.is_some()),
        };
        let parts: &[(&str, usize)] =
            if shape.apart { &[("q", WIDTH), ("k", WIDTH), ("v", WIDTH)] } else { &[("qkv", 3 * WIDTH)] };
        let mut inputs: Vec<OutletId> = Vec::new();
        for (name, outputs) in parts {
            let linear = b.linear(&node(name), *outputs, WIDTH);
            inputs.push(b.wire(&node(name), linear, &[x]));
        }
        inputs.extend(mask);
        b.wire(&node("attention"), op, &inputs)
    };
    let output = b.linear(&node("attention_output"), WIDTH, WIDTH).with_residual();
    let hidden = b.wire(&node("attention_output"), output, &[attended, hidden]);
    let hidden = normed(b, "attention_norm", hidden, !shape.norm_first);

    let x = normed(b, "norm", hidden, shape.norm_first);
    let inner = if shape.gated {
        let up = b.linear(&node("up"), 2 * INNER, WIDTH);
        let up = b.wire(&node("up"), up, &[x]);
        b.wire(&node("gate"), Gated(Activation::Silu), &[up])
    } else {
        let up = b.linear(&node("up"), INNER, WIDTH).with_activation(Activation::Gelu);
        b.wire(&node("up"), up, &[x])
    };
    let down = b.linear(&node("down"), WIDTH, INNER).with_residual();
    let hidden = b.wire(&node("down"), down, &[inner, hidden]);
    normed(b, "norm", hidden, !shape.norm_first)
}

/// Random texts to calibrate with; what a model loses is the relative square of its outputs' error.
#[derive(Debug)]
pub(super) struct Texts {
    source: TypedModel,
    texts: Vec<Vec<i64>>,
}

impl Texts {
    pub(super) fn new(source: &TypedModel, count: usize) -> Self {
        let mut random = fastrand::Rng::with_seed(5);
        let text = |_| (0..random.usize(4..12)).map(|_| random.i64(0..WORDS as i64)).collect();
        Self { source: source.clone(), texts: (0..count).map(text).collect() }
    }

    /// What a model gives for each text.
    pub(super) fn outputs(&self, model: &TypedModel) -> Result<Vec<f32>> {
        let mut outputs = Vec::new();
        if let Ok(decoder) = Decoder::new(model.clone()) {
            for text in &self.texts {
                let tokens: Vec<u32> = text.iter().map(|id| *id as u32).collect();
                let mut sequence = decoder.sequence(CacheFormat::F32);
                let mut chunks = [Chunk { sequence: &mut sequence, tokens: &tokens, want: Want::All }];
                outputs.extend(decoder.run(&mut chunks)?.rows(0).flatten());
            }
            return Ok(outputs);
        }
        let plan = Plan::new(model.clone())?;
        for text in &self.texts {
            let ids = from_vec(&[1, text.len()], text.clone()).map_err(anyhow::Error::msg)?;
            outputs.extend_from_slice(plan.run(vec![ids])?[0].try_as_plain_ram().unwrap().as_slice::<f32>().unwrap());
        }
        Ok(outputs)
    }
}

impl Calibration for Texts {
    fn name(&self) -> &str {
        "random texts"
    }

    fn run(&self, model: &TypedModel, _progress: &Progress) -> Result<()> {
        self.outputs(model).map(|_| ())
    }

    fn loss(&self, model: &TypedModel) -> Result<f64> {
        let (expected, got) = (self.outputs(&self.source)?, self.outputs(model)?);
        let power: f64 = expected.iter().map(|x| f64::from(x * x)).sum();
        let lost: f64 = expected.iter().zip(&got).map(|(a, b)| f64::from((a - b) * (a - b))).sum();
        Ok(lost / power / 2.0)
    }
}

pub(super) fn step(method: Method, amount: f64) -> Step {
    Step { method, amount: Part::new(amount).unwrap(), keep: Vec::new() }
}
