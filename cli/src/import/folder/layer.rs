//! A layer of an encoder: attention and a feed-forward part, each with its residual and its norm.

use emberlite::ops::{Activation, Attention, Gated};
use tract_core::prelude::OutletId;

use super::encoder::Encoder;
use super::error::FolderError;
use super::wiring::{Dense, Wiring};

/// A layer by its number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layer<'a> {
    pub(super) encoder: &'a Encoder<'a>,
    pub(super) index: usize,
}

/// Where a norm stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Before attention or the feed-forward part.
    Before,
    /// After its residual was added.
    After,
}

impl Layer<'_> {
    /// Adds the layer over `hidden`, `f32` `[N, S, width]`; gives the same shape.
    pub(super) fn wire(
        &self,
        wiring: &mut Wiring,
        attention: Attention,
        masks: &[OutletId],
        hidden: OutletId,
    ) -> Result<OutletId, FolderError> {
        let attended = self.attend(wiring, attention, masks, hidden)?;
        self.feed_forward(wiring, attended)
    }

    fn attend(
        &self,
        wiring: &mut Wiring,
        attention: Attention,
        masks: &[OutletId],
        hidden: OutletId,
    ) -> Result<OutletId, FolderError> {
        let (architecture, sizes) = (self.encoder.architecture, self.encoder.sizes);
        let (width, bias) = (sizes.width, sizes.biases.attention);
        let norm = ("attention_norm", architecture.attention_norm);
        // The first layer of ModernBERT has no norm here: that of the embeddings is right before it.
        let x = if self.index == 0 { hidden } else { self.norm(wiring, Place::Before, norm, hidden)? };
        let tensors = architecture.attention;
        let qkv = Part { node: "attention_qkv", tensors, inputs: width, outputs: 3 * width, bias, activation: None };
        let mut operands = vec![self.dense(wiring, qkv, x, None)?];
        operands.extend(masks);
        let x = wiring.node(&self.node("attention"), attention, &operands)?;
        let tensors = &[architecture.attention_output];
        let output = Part { node: "attention_output", tensors, inputs: width, outputs: width, bias, activation: None };
        let hidden = self.dense(wiring, output, x, Some(hidden))?;
        self.norm(wiring, Place::After, norm, hidden)
    }

    fn feed_forward(&self, wiring: &mut Wiring, hidden: OutletId) -> Result<OutletId, FolderError> {
        let (architecture, sizes) = (self.encoder.architecture, self.encoder.sizes);
        let (width, inner, bias) = (sizes.width, sizes.intermediate, sizes.biases.feed_forward);
        let norm = ("output_norm", architecture.output_norm);
        let x = self.norm(wiring, Place::Before, norm, hidden)?;
        let (outputs, activation) =
            if architecture.gated { (2 * inner, None) } else { (inner, Some(sizes.activation)) };
        let tensors = &[architecture.intermediate];
        let up = Part { node: "intermediate", tensors, inputs: width, outputs, bias, activation };
        let mut x = self.dense(wiring, up, x, None)?;
        if architecture.gated {
            x = wiring.node(&self.node("gate"), Gated(sizes.activation), &[x])?;
        }
        let tensors = &[architecture.output];
        let down = Part { node: "output", tensors, inputs: inner, outputs: width, bias, activation: None };
        let hidden = self.dense(wiring, down, x, Some(hidden))?;
        self.norm(wiring, Place::After, norm, hidden)
    }

    /// Adds a norm, given as its node and its tensor, if the architecture has its norms in this place.
    fn norm(
        &self,
        wiring: &mut Wiring,
        place: Place,
        (node, tensor): (&str, &str),
        x: OutletId,
    ) -> Result<OutletId, FolderError> {
        let first = self.encoder.architecture.final_norm.is_some();
        if first != (place == Place::Before) {
            return Ok(x);
        }
        self.encoder.norm(wiring, &self.node(node), &self.within(tensor), self.encoder.sizes.width, x)
    }

    fn dense(
        &self,
        wiring: &mut Wiring,
        part: Part<'_>,
        x: OutletId,
        residual: Option<OutletId>,
    ) -> Result<OutletId, FolderError> {
        let Part { node, tensors, inputs, outputs, bias, activation } = part;
        let tensors: Vec<String> = tensors.iter().map(|tensor| self.encoder.tensor(&self.within(tensor))).collect();
        let dense = Dense { node: &self.node(node), tensors: &tensors, inputs, outputs, bias, activation };
        wiring.dense(self.encoder.weights, dense, x, residual)
    }

    fn node(&self, part: &str) -> String {
        format!("encoder_{}_{part}", self.index)
    }

    fn within(&self, tensor: &str) -> String {
        format!("{}{}.{tensor}", self.encoder.architecture.layer, self.index)
    }
}

/// A linear layer with its names within the layer.
#[derive(Clone, Copy, Debug)]
struct Part<'a> {
    node: &'a str,
    tensors: &'a [&'a str],
    inputs: usize,
    outputs: usize,
    bias: bool,
    activation: Option<Activation>,
}
