//! A language model: ids of tokens to the logits of what may follow, as its architecture describes.

use std::collections::BTreeMap;

use emberlite::ops::{
    Activate, Activation, CausalAttention, CausalAttentionSpec, Embedding, Gated, Linear, Lookup, Norm, Q4Blocks, Rows,
    Table,
};
use tract_core::internal::{DatumExt as _, OutletId, SpecialOps as _, TDim, TypedFact, TypedModel, TypedOp, tensor3};
use tract_core::ops::math;

use super::architecture::Architecture;
use super::rotation::Rotation;
use super::sizes::Sizes;
use super::weights::Weights;
use crate::import::FolderError;
use crate::import::folder::failed;

/// The name of the input, `INT64` `[1, T]`.
const TOKENS: &str = "tokens";
/// The symbol on its second axis.
const COUNT: &str = "T";

/// A language model in the making.
pub(super) struct Decoder<'a> {
    pub(super) architecture: &'a Architecture,
    pub(super) sizes: Sizes,
    pub(super) weights: &'a dyn Weights,
    /// What the tensors are within.
    pub(super) base: &'static str,
    /// What is added to the gain of every norm.
    pub(super) norm_offset: f32,
    /// For each layer how many tokens it sees.
    pub(super) spans: Vec<Option<usize>>,
    pub(super) whole: Rotation,
    pub(super) local: Rotation,
}

/// A language model as it was wired.
#[derive(Debug)]
pub(super) struct Wired {
    pub(super) model: TypedModel,
    /// Layers whose weights are written in blocks of 4 bits, by the names of their nodes.
    pub(super) q4: BTreeMap<String, Q4Blocks>,
}

/// A linear layer: its node, its tensors one above the other with the outputs of each, its inputs.
#[derive(Clone, Copy, Debug)]
struct Dense<'a> {
    node: &'a str,
    tensors: &'a [(&'a str, usize)],
    inputs: usize,
    bias: bool,
}

impl Decoder<'_> {
    /// Wires the whole model: the input `tokens`, the output `logits`.
    pub(super) fn wire(&self) -> Result<Wired, FolderError> {
        let mut wired = Wired { model: TypedModel::default(), q4: BTreeMap::new() };
        let Sizes { width, vocabulary, layers, .. } = self.sizes;
        let shape = [TDim::from(1), TDim::from(wired.model.symbols.sym(COUNT))];
        let fact: TypedFact = i64::fact(shape);
        let tokens = wired.model.add_source(TOKENS, fact).map_err(|error| failed(TOKENS, format!("{error:#}")))?;

        let table_name = format!("{}embed_tokens", self.base);
        let tied = self.sizes.tied;
        let head = if tied { table_name.as_str() } else { "lm_head" };
        let head = Dense { node: "lm_head", tensors: &[(head, vocabulary)], inputs: width, bias: false };
        let head = self.linear(&mut wired, head)?;
        let table = if tied {
            Table::tied(&head)
        } else {
            let values = self.weights.tensor(&format!("{table_name}.weight"), &[vocabulary, width])?;
            Table::new(&values, vocabulary, width).map_err(|reason| failed("embeddings", reason))?
        };
        let mut embedding =
            Embedding::new(vec![(table, Lookup::Input(0))]).map_err(|reason| failed("embeddings", reason))?;
        if self.architecture.scaled_embeddings {
            embedding = embedding.with_factor((width as f32).sqrt());
        }
        let mut hidden = wired.node("embeddings", embedding, &[tokens])?;
        for layer in 0..layers {
            hidden = self.layer(&mut wired, layer, hidden)?;
        }
        let normed = self.norm(&mut wired, "final_norm", "norm", hidden)?;
        let rows = wired.node("rows", Rows, &[normed])?;
        let mut logits = wired.node("lm_head", head, &[rows])?;
        if let Some(cap) = self.sizes.logit_cap {
            let factor = |number: f32| tensor3(&[[[number]]]);
            let small = wired.constant("logit_cap_inverse", factor(cap.recip()))?;
            let large = wired.constant("logit_cap", factor(cap))?;
            let scaled = wired.node("logits_scaled", math::mul(), &[logits, small])?;
            let squeezed = wired.node("logits_squeezed", Activate(Activation::Tanh), &[scaled])?;
            logits = wired.node("logits_capped", math::mul(), &[squeezed, large])?;
        }
        wired.finish(logits)
    }

    /// Adds a layer over `hidden`, `f32` `[1, T, width]`; gives the same shape.
    fn layer(&self, wired: &mut Wired, layer: usize, hidden: OutletId) -> Result<OutletId, FolderError> {
        let Sizes { width, intermediate, .. } = self.sizes;
        let post = self.architecture.post_norms;
        let node = |part: &str| format!("layer_{layer}_{part}");
        let within = |tensor: &str| format!("layers.{layer}.{tensor}");

        let x = self.norm(wired, &node("attention_norm"), &within("input_layernorm"), hidden)?;
        let attended = self.attend(wired, layer, x)?;
        let output = self.tensor(&within("self_attn.o_proj"));
        let output = Dense {
            node: &node("attention_output"),
            tensors: &[(&output, width)],
            inputs: self.sizes.heads * self.sizes.head_width,
            bias: self.sizes.output_bias,
        };
        let post_norm = post.then(|| (node("attention_post_norm"), within("post_attention_layernorm")));
        let hidden = self.add(wired, output, attended, hidden, post_norm)?;

        let before = if post { "pre_feedforward_layernorm" } else { "post_attention_layernorm" };
        let x = self.norm(wired, &node("feed_forward_norm"), &within(before), hidden)?;
        let bias = self.sizes.feed_forward_bias;
        let [gate, up, down] = ["gate", "up", "down"].map(|part| self.tensor(&within(&format!("mlp.{part}_proj"))));
        let tensors = &[(gate.as_str(), intermediate), (&up, intermediate)];
        let gate_up = self.linear(wired, Dense { node: &node("gate_up"), tensors, inputs: width, bias })?;
        let x = wired.node(&node("gate_up"), gate_up, &[x])?;
        let x = wired.node(&node("gate"), Gated(self.sizes.activation), &[x])?;
        let down = Dense { node: &node("down"), tensors: &[(&down, width)], inputs: intermediate, bias };
        let post_norm = post.then(|| (node("feed_forward_post_norm"), within("post_feedforward_layernorm")));
        self.add(wired, down, x, hidden, post_norm)
    }

    /// Adds attention over `x`, `f32` `[1, T, width]`; gives `f32` `[1, T, heads * head_width]`.
    fn attend(&self, wired: &mut Wired, layer: usize, x: OutletId) -> Result<OutletId, FolderError> {
        let Sizes { width, heads, key_heads, head_width, scale, score_cap, epsilon, .. } = self.sizes;
        let within = |part: &str| self.tensor(&format!("layers.{layer}.self_attn.{part}"));
        let [query, key, value] = ["q_proj", "k_proj", "v_proj"].map(within);
        let (queries, keys) = (heads * head_width, key_heads * head_width);
        let tensors = &[(query.as_str(), queries), (&key, keys), (&value, keys)];
        let node = format!("layer_{layer}_qkv");
        let qkv = self.linear(wired, Dense { node: &node, tensors, inputs: width, bias: self.sizes.query_bias })?;
        let qkv = wired.node(&node, qkv, &[x])?;
        let head_norm = |name: &str| {
            let there = self.architecture.head_norms;
            there.then(|| self.gain(&format!("layers.{layer}.self_attn.{name}"), head_width)).transpose()
        };
        let (query_norm, key_norm) = (head_norm("q_norm")?, head_norm("k_norm")?);
        let window = self.spans.get(layer).copied().flatten();
        let rotation = if window.is_some() { &self.local } else { &self.whole };
        let attention = CausalAttention::new(CausalAttentionSpec {
            layer,
            heads,
            key_heads,
            head_width,
            scale,
            window,
            softcap: score_cap,
            frequencies: &rotation.frequencies,
            magnitude: rotation.magnitude,
            query_norm: query_norm.as_deref(),
            key_norm: key_norm.as_deref(),
            epsilon,
        });
        let node = format!("layer_{layer}_attention");
        let attention = attention.map_err(|reason| failed(&node, reason))?;
        wired.node(&node, attention, &[qkv])
    }

    /// Adds `dense` over `x` and then `hidden`; a norm comes between where there is one, given as its node and tensor.
    fn add(
        &self,
        wired: &mut Wired,
        dense: Dense<'_>,
        x: OutletId,
        hidden: OutletId,
        post_norm: Option<(String, String)>,
    ) -> Result<OutletId, FolderError> {
        let linear = self.linear(wired, dense)?;
        let Some((node, tensor)) = post_norm else {
            return wired.node(dense.node, linear.with_residual(), &[x, hidden]);
        };
        let x = wired.node(dense.node, linear, &[x])?;
        let x = self.norm(wired, &node, &tensor, x)?;
        wired.node(&format!("{node}_residual"), math::add(), &[x, hidden])
    }

    /// The whole name of a tensor of the model.
    fn tensor(&self, name: &str) -> String {
        format!("{}{name}", self.base)
    }

    fn gain(&self, name: &str, width: usize) -> Result<Vec<f32>, FolderError> {
        let mut gain = self.weights.tensor(&self.tensor(&format!("{name}.weight")), &[width])?;
        if self.norm_offset != 0.0 {
            gain.iter_mut().for_each(|number| *number += self.norm_offset);
        }
        Ok(gain)
    }

    fn norm(&self, wired: &mut Wired, node: &str, name: &str, x: OutletId) -> Result<OutletId, FolderError> {
        let gain = self.gain(name, self.sizes.width)?;
        let norm = Norm::rms(&gain, self.sizes.epsilon).map_err(|reason| failed(node, reason))?;
        wired.node(node, norm, &[x])
    }

    /// A linear layer. Where all its tensors are in blocks of 4 bits, those are noted too.
    fn linear(&self, wired: &mut Wired, dense: Dense<'_>) -> Result<Linear, FolderError> {
        let Dense { node, tensors, inputs, bias } = dense;
        let (mut matrix, mut biases, mut outputs) = (Vec::new(), Vec::new(), 0);
        let mut blocks = Vec::new();
        for (tensor, rows) in tensors {
            let weight = format!("{tensor}.weight");
            matrix.extend(self.weights.tensor(&weight, &[*rows, inputs])?);
            blocks.extend(self.weights.q4(&weight, *rows, inputs));
            if bias {
                biases.extend(self.weights.tensor(&format!("{tensor}.bias"), &[*rows])?);
            }
            outputs += rows;
        }
        if blocks.len() == tensors.len() {
            wired.q4.insert(node.to_owned(), stacked(blocks, inputs));
        }
        let bias = bias.then_some(biases.as_slice());
        Linear::new(&matrix, outputs, inputs, bias).map_err(|reason| failed(node, reason))
    }
}

/// Matrices of equal width, one above the other.
fn stacked(parts: Vec<Q4Blocks>, inputs: usize) -> Q4Blocks {
    let mut whole = Q4Blocks { outputs: 0, inputs, scales: Vec::new(), values: Vec::new() };
    for part in parts {
        whole.outputs += part.outputs;
        whole.scales.extend(part.scales);
        whole.values.extend(part.values);
    }
    whole
}

impl Wired {
    /// Adds a node with one output.
    fn node(
        &mut self,
        name: &str,
        op: impl Into<Box<dyn TypedOp>>,
        inputs: &[OutletId],
    ) -> Result<OutletId, FolderError> {
        let outlets = self.model.wire_node(name, op, inputs).map_err(|error| failed(name, format!("{error:#}")))?;
        outlets.first().copied().ok_or_else(|| failed(name, "it has no output".to_owned()))
    }

    fn constant(&mut self, name: &str, value: tract_core::prelude::Tensor) -> Result<OutletId, FolderError> {
        self.model.add_const(name, value).map_err(|error| failed(name, format!("{error:#}")))
    }

    fn finish(mut self, logits: OutletId) -> Result<Self, FolderError> {
        let name = "logits";
        let finished = self.model.select_output_outlets(&[logits]).and_then(|()| {
            self.model.outlet_labels.clear();
            self.model.set_outlet_label(logits, name.to_owned())?;
            self.model.compact()
        });
        finished.map(|()| self).map_err(|error| failed(name, format!("{error:#}")))
    }
}
