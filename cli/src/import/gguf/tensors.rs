//! The tensors of a GGUF file under the names, and in the order of rows, that transformers has.

use std::cell::RefCell;
use std::collections::BTreeSet;

use emberlite::ops::Q4Blocks;

use super::blocks::{self, Kind};
use super::file::File;
use super::settings::FACTORS;
use crate::import::FolderError;
use crate::import::causal::Weights;
use crate::import::folder::Settings;

/// Names outside the layers: here, and in transformers.
const MODEL: [(&str, &str); 3] =
    [("token_embd", "model.embed_tokens"), ("output_norm", "model.norm"), ("output", "lm_head")];
/// Names within a layer.
const LAYER: [(&str, &str); 13] = [
    ("attn_norm", "input_layernorm"),
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_output", "self_attn.o_proj"),
    ("attn_q_norm", "self_attn.q_norm"),
    ("attn_k_norm", "self_attn.k_norm"),
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
    ("ffn_down", "mlp.down_proj"),
    ("post_attention_norm", "post_attention_layernorm"),
    ("post_ffw_norm", "post_feedforward_layernorm"),
    // Where there is a norm after attention this one comes after its residual.
    ("ffn_norm", "pre_feedforward_layernorm"),
];

/// The tensors of a file.
pub(super) struct Tensors<'a> {
    file: &'a File<'a>,
    /// Whether the rows of queries and keys are in the order of llama.cpp's rotation: neighbours turn together.
    neighbours: bool,
    post_norms: bool,
    heads: usize,
    key_heads: usize,
    read: RefCell<BTreeSet<String>>,
}

impl<'a> Tensors<'a> {
    /// The tensors of a file with these settings.
    ///
    /// # Errors
    /// Settings without heads.
    pub(super) fn new(file: &'a File<'a>, config: &Settings) -> Result<Self, FolderError> {
        let heads = config.size("num_attention_heads")?;
        Ok(Self {
            file,
            neighbours: config.text("model_type") == Some("llama"),
            post_norms: file.tensor("blk.0.post_attention_norm.weight").is_some(),
            heads,
            key_heads: config.size_or("num_key_value_heads", heads)?,
            read: RefCell::default(),
        })
    }

    /// The file's name for a tensor.
    fn name(&self, name: &str) -> Option<String> {
        let (stem, kind) = name.rsplit_once('.')?;
        if let Some((here, _)) = MODEL.iter().find(|(_, there)| *there == stem) {
            return Some(format!("{here}.{kind}"));
        }
        let (layer, part) = stem.strip_prefix("model.layers.")?.split_once('.')?;
        let here = match part {
            "post_attention_layernorm" if !self.post_norms => "ffn_norm",
            part => LAYER.iter().find(|(_, there)| *there == part)?.0,
        };
        Some(format!("blk.{layer}.{here}.{kind}"))
    }

    /// How many heads the rows of a tensor belong to that are in another order here.
    fn turned(&self, name: &str) -> Option<usize> {
        let heads = if name.contains(".q_proj.") { self.heads } else { self.key_heads };
        (self.neighbours && (name.contains(".q_proj.") || name.contains(".k_proj."))).then_some(heads)
    }

    fn find(&self, name: &str) -> Option<(Kind, &'a [usize], &'a [u8])>
    where
        Self: 'a,
    {
        let (info, bytes) = self.file.tensor(&self.name(name)?)?;
        Some((info.kind, &info.shape, bytes))
    }
}

impl Weights for Tensors<'_> {
    fn has(&self, name: &str) -> bool {
        self.name(name).is_some_and(|name| self.file.tensor(&name).is_some())
    }

    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, FolderError> {
        let missing = || FolderError::MissingTensor { name: self.name(name).unwrap_or_else(|| name.to_owned()) };
        let (kind, got, bytes) = self.find(name).ok_or_else(missing)?;
        if got != shape {
            let (expected, got) = (shape.to_vec(), got.to_vec());
            return Err(FolderError::TensorShape { name: self.name(name).unwrap_or_default(), expected, got });
        }
        self.read.borrow_mut().extend(self.name(name));
        let dense = kind.dense(bytes);
        let width = shape.get(1).copied().unwrap_or(1);
        Ok(match self.turned(name) {
            Some(heads) => in_halves(&dense, heads, width),
            None => dense,
        })
    }

    fn q4(&self, name: &str, outputs: usize, inputs: usize) -> Option<Q4Blocks> {
        let (kind, shape, bytes) = self.find(name)?;
        if kind != Kind::Q4_0 || shape != [outputs, inputs] {
            return None;
        }
        let blocks = blocks::q4(bytes, outputs, inputs);
        Some(match self.turned(name) {
            Some(heads) => Q4Blocks {
                scales: in_halves(&blocks.scales, heads, inputs / 32),
                values: in_halves(&blocks.values, heads, inputs),
                ..blocks
            },
            None => blocks,
        })
    }

    fn unread(&self) -> Vec<String> {
        let read = self.read.borrow();
        self.file.names().filter(|name| !read.contains(*name) && *name != FACTORS).cloned().collect()
    }
}

/// Rows of heads in which neighbours turn together, put so that the halves of a head do.
fn in_halves<T: Copy>(rows: &[T], heads: usize, width: usize) -> Vec<T> {
    let head = rows.len() / heads.max(1);
    let row = |head: &[T], index: usize| head[index * width..(index + 1) * width].to_vec();
    let turn = |head: &[T]| {
        let count = head.len() / width.max(1);
        (0..2)
            .flat_map(|half| (0..count / 2).map(move |pair| 2 * pair + half))
            .flat_map(|index| row(head, index))
            .collect::<Vec<T>>()
    };
    rows.chunks_exact(head.max(1)).flat_map(turn).collect()
}
