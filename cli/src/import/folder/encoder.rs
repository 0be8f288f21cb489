//! An encoder: ids of tokens to a vector for each, as its architecture describes.

use emberlite::ops::{Attention, Embedding, KeyMask, Lookup, PositionBias, Table};
use tract_core::prelude::OutletId;

use super::architecture::{Architecture, Positions, Sizes};
use super::checkpoint::Checkpoint;
use super::error::FolderError;
use super::layer::Layer;
use super::reach::Reach;
use super::settings::Settings;
use super::wiring::{Dense, LayerNorm, Wiring, failed};

const POSITION_TABLE: &str = "embeddings.position_embeddings.weight";
const SEGMENT_TABLE: &str = "embeddings.token_type_embeddings.weight";
/// The distance from which on tokens share a bias, wherever such biases are used.
const FAR: usize = 128;

/// An encoder with its weights, ready to be wired.
#[derive(Debug)]
pub(super) struct Encoder<'a> {
    pub(super) architecture: &'a Architecture,
    config: &'a Settings,
    pub(super) weights: &'a Checkpoint,
    pub(super) sizes: Sizes,
    base: &'static str,
    padding_id: i64,
}

/// What goes into an encoder.
#[derive(Clone, Copy, Debug)]
pub(super) struct Inputs {
    pub(super) ids: OutletId,
    /// 1 for a token, 0 for padding.
    pub(super) mask: OutletId,
    /// 0 for the first text of a pair, 1 for the second.
    pub(super) segments: Option<OutletId>,
}

impl<'a> Encoder<'a> {
    /// The encoder of a folder.
    ///
    /// # Errors
    /// Settings without the sizes that the architecture needs.
    pub(super) fn new(
        architecture: &'a Architecture,
        config: &'a Settings,
        weights: &'a Checkpoint,
    ) -> Result<Self, FolderError> {
        let base = if weights.has_any(architecture.base) { architecture.base } else { "" };
        // What transformers takes for granted where the settings do not tell.
        let default =
            if matches!(architecture.positions, Positions::AfterPadding | Positions::Biased(_)) { 1 } else { 0 };
        Ok(Self {
            architecture,
            config,
            weights,
            sizes: architecture.sizes(config)?,
            base,
            padding_id: config.id_or("pad_token_id", default)?,
        })
    }

    /// The id that pads a row.
    pub(super) fn padding_id(&self) -> i64 {
        self.padding_id
    }

    /// What the encoder's tensors are within.
    pub(super) fn base(&self) -> &'static str {
        self.base
    }

    /// How many tokens a text may have.
    pub(super) fn capacity(&self) -> Result<usize, FolderError> {
        if self.architecture.positions == Positions::Rotary {
            return self.config.size("max_position_embeddings");
        }
        let rows = self.table_rows(&self.tensor(POSITION_TABLE))?;
        let first = if self.architecture.positions == Positions::Counted { 0 } else { self.padding_id as usize + 1 };
        let field = "max_position_embeddings";
        rows.checked_sub(first).filter(|rows| *rows > 0).ok_or_else(|| self.config.refuse(field, "more positions"))
    }

    /// Adds the encoder's inputs.
    pub(super) fn inputs(&self, wiring: &mut Wiring) -> Result<Inputs, FolderError> {
        let (ids, mask) = (wiring.input("input_ids")?, wiring.input("attention_mask")?);
        let pairs = self.architecture.segments && self.table_rows(&self.tensor(SEGMENT_TABLE))? > 1;
        let segments = if pairs { Some(wiring.input("token_type_ids")?) } else { None };
        Ok(Inputs { ids, mask, segments })
    }

    /// Adds the encoder; gives `f32` `[N, S, width]`.
    pub(super) fn wire(&self, wiring: &mut Wiring, inputs: Inputs) -> Result<OutletId, FolderError> {
        let mut hidden = self.embeddings(wiring, inputs)?;
        let mut masks = vec![wiring.node("key_mask", KeyMask, &[inputs.mask])?];
        if let Positions::Biased(table) = self.architecture.positions {
            let name = self.tensor(&format!("{table}.weight"));
            let rows = self.table_rows(&name)?;
            let table = self.weights.tensor(&name, &[rows, self.sizes.heads])?;
            let bias = PositionBias::new(&table, rows, self.sizes.heads, true, FAR);
            let bias = bias.map_err(|reason| failed("position_bias", reason))?;
            masks.push(wiring.node("position_bias", bias, &[inputs.ids])?);
        }
        let reach = (self.architecture.positions == Positions::Rotary).then(|| Reach::of(self.config)).transpose()?;
        for index in 0..self.sizes.layers {
            let attention = self.attention(reach.as_ref(), index, masks.len());
            hidden = Layer { encoder: self, index }.wire(wiring, attention, &masks, hidden)?;
        }
        match self.architecture.final_norm {
            Some(norm) => self.norm(wiring, "final_norm", norm, self.sizes.width, hidden),
            None => Ok(hidden),
        }
    }

    fn embeddings(&self, wiring: &mut Wiring, inputs: Inputs) -> Result<OutletId, FolderError> {
        let width = self.config.size_or("embedding_size", self.sizes.width)?;
        let mut tables = vec![(format!("{}.weight", self.architecture.tokens), Lookup::Input(0))];
        let positions = match self.architecture.positions {
            Positions::Counted => Some(Lookup::Sequential { offset: 0 }),
            Positions::AfterPadding | Positions::Biased(_) => Some(Lookup::NonPadding { padding_id: self.padding_id }),
            Positions::Rotary => None,
        };
        tables.extend(positions.map(|lookup| (POSITION_TABLE.to_owned(), lookup)));
        if self.architecture.segments {
            let lookup = if inputs.segments.is_some() { Lookup::Input(1) } else { Lookup::Row(0) };
            tables.push((SEGMENT_TABLE.to_owned(), lookup));
        }
        let table = |(name, lookup): (String, Lookup)| {
            let name = self.tensor(&name);
            let rows = self.table_rows(&name)?;
            let values = self.weights.tensor(&name, &[rows, width])?;
            Ok((Table::new(&values, rows, width).map_err(|reason| failed("embeddings", reason))?, lookup))
        };
        let tables = tables.into_iter().map(table).collect::<Result<_, FolderError>>()?;
        let op = Embedding::new(tables).map_err(|reason| failed("embeddings", reason))?;
        let ids: Vec<OutletId> = [Some(inputs.ids), inputs.segments].into_iter().flatten().collect();
        let sum = wiring.node("embeddings", op, &ids)?;
        let normed = self.norm(wiring, "embeddings_norm", self.architecture.embedding_norm, width, sum)?;
        if width == self.sizes.width {
            return Ok(normed);
        }
        let projection = Dense {
            node: "embeddings_projection",
            tensors: &[self.tensor("embeddings_project")],
            inputs: width,
            outputs: self.sizes.width,
            bias: true,
            activation: None,
        };
        wiring.dense(self.weights, projection, normed, None)
    }

    fn attention(&self, reach: Option<&Reach>, layer: usize, masks: usize) -> Attention {
        let head_width = self.sizes.width / self.sizes.heads;
        let (rotary, window) = match reach {
            Some(reach) => {
                let (theta, window) = reach.layer(layer);
                (Some(theta), window)
            }
            None => (None, None),
        };
        Attention {
            heads: self.sizes.heads,
            head_width,
            scale: 1.0 / (head_width as f32).sqrt(),
            causal: false,
            window,
            rotary,
            fused: true,
            masks,
        }
    }

    /// Adds the norm whose tensors are called `name` within the encoder.
    pub(super) fn norm(
        &self,
        wiring: &mut Wiring,
        node: &str,
        name: &str,
        width: usize,
        x: OutletId,
    ) -> Result<OutletId, FolderError> {
        let Sizes { biases, epsilon, .. } = self.sizes;
        let tensor = self.tensor(name);
        wiring.norm(self.weights, LayerNorm { node, tensor: &tensor, width, bias: biases.norm, epsilon }, x)
    }

    /// The whole name of a tensor of the encoder.
    pub(super) fn tensor(&self, name: &str) -> String {
        format!("{}{name}", self.base)
    }

    fn table_rows(&self, tensor: &str) -> Result<usize, FolderError> {
        Ok(self.weights.shape(tensor)?.first().copied().unwrap_or(0))
    }
}
