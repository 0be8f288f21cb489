//! A model that is ready to be shrunk, in one way or several.

use anyhow::Result;
use emberlite::model::{Pruning, Task};
use serde_json::Value;
use tract_core::prelude::TypedModel;

use super::{Draft, generate, tensors, text};
use crate::calibrate::Calibration;
use crate::import::Imported;
use crate::progress::Progress;
use crate::prune::{self, Step};
use crate::quantize::Scheme;
use crate::recipe::{QuantizeSettings, Recipe, Shrink};

/// A model that was imported and written down anew, and found to be the same: what it is shrunk from, in one way or
/// several.
pub(super) enum Prepared {
    Tensors(Box<tensors::Prepared>),
    Texts(Box<text::Prepared>),
    Language(Box<generate::Prepared>),
}

impl Prepared {
    pub(super) fn new(recipe: &Recipe, inputs: &[Value], imported: Imported, progress: &Progress) -> Result<Self> {
        if imported.task == Some(Task::Generate) {
            return Ok(Self::Language(Box::new(generate::Prepared::new(recipe, imported, progress)?)));
        }
        Ok(match text::resolve(recipe, &imported)? {
            Some(texts) => Self::Texts(Box::new(text::Prepared::new(recipe, imported, texts, progress)?)),
            None => Self::Tensors(Box::new(tensors::Prepared::new(recipe, inputs, imported, progress)?)),
        })
    }

    /// How weights are written down where nothing is said.
    pub(super) fn usual(&self) -> Scheme {
        match self {
            Self::Tensors(_) => Scheme::None,
            Self::Texts(_) => Scheme::Int8,
            Self::Language(_) => generate::USUAL,
        }
    }

    /// Packs the model in one way.
    pub(super) fn shrink(&self, shrink: &Shrink, progress: &Progress) -> Result<Draft> {
        let pruned = self.pruned(&shrink.prune, self.whole(), progress)?;
        self.write(&pruned, &shrink.quantize, Detail::Layers, progress)
    }

    /// The package of the model with nothing lost: what its source is compared by.
    pub(super) fn reference(&self) -> &Draft {
        match self {
            Self::Tensors(prepared) => prepared.draft(),
            Self::Texts(prepared) => prepared.draft(),
            Self::Language(prepared) => prepared.draft(),
        }
    }

    /// The model with nothing taken out.
    pub(super) fn whole(&self) -> Pruned {
        let model = match self {
            Self::Tensors(prepared) => prepared.model(),
            Self::Texts(prepared) => prepared.model(),
            Self::Language(prepared) => prepared.model(),
        };
        Pruned { model: model.clone(), account: Vec::new() }
    }

    /// What further steps leave of a model.
    pub(super) fn pruned(&self, steps: &[Step], from: Pruned, progress: &Progress) -> Result<Pruned> {
        let calibration = self.calibration();
        let (model, account) = prune::prune(from.model, steps, &*calibration, progress)?;
        Ok(Pruned { model, account: [from.account, account].concat() })
    }

    pub(super) fn calibration(&self) -> Box<dyn Calibration + '_> {
        match self {
            Self::Tensors(prepared) => Box::new(prepared.calibration()),
            Self::Texts(prepared) => Box::new(prepared.calibration()),
            Self::Language(prepared) => Box::new(prepared.calibration()),
        }
    }

    /// The package of what pruning left, its weights written down in some way.
    pub(super) fn write(
        &self,
        pruned: &Pruned,
        settings: &QuantizeSettings,
        detail: Detail,
        progress: &Progress,
    ) -> Result<Draft> {
        match self {
            Self::Tensors(prepared) => prepared.write(pruned, settings, detail, progress),
            Self::Texts(prepared) => prepared.write(pruned, settings, detail, progress),
            Self::Language(prepared) => prepared.write(pruned, settings, detail, progress),
        }
    }
}

/// What pruning left of a model.
#[derive(Clone, Debug)]
pub(super) struct Pruned {
    pub(super) model: TypedModel,
    pub(super) account: Vec<Pruning>,
}

/// How much is measured of what quantization costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Detail {
    /// The whole model, and each layer by itself.
    Layers,
    /// The whole model.
    Model,
}
