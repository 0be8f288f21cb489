//! What makes logits of an encoder's vectors.

use emberlite::ops::{Pool, Pooling};
use serde_json::json;
use tract_core::prelude::OutletId;

use super::architecture::Head;
use super::encoder::Encoder;
use super::error::FolderError;
use super::settings::Settings;
use super::wiring::{Dense, LayerNorm, Wiring};

/// Adds a classifier over `hidden`, `f32` `[N, S, width]`; gives the logits `[N, labels]` and how many labels there are.
///
/// # Errors
/// Settings or weights that are not those of the head.
pub(super) fn wire(
    wiring: &mut Wiring,
    encoder: &Encoder<'_>,
    head: &Head,
    config: &Settings,
    hidden: OutletId,
    mask: OutletId,
) -> Result<(OutletId, usize), FolderError> {
    let width = encoder.sizes.width;
    let pooling = match config.text("classifier_pooling") {
        Some("mean") => Pooling::Mean,
        _ => {
            config.only("classifier_pooling", json!("cls"))?;
            Pooling::Cls
        }
    };
    let pooled = wiring.node("pool", Pool { pooling }, &[hidden, mask])?;
    let dense = Dense {
        node: "head_dense",
        tensors: &[head.dense.to_owned()],
        inputs: width,
        outputs: width,
        bias: encoder.sizes.biases.head,
        activation: Some(config.activation_or("classifier_activation", head.activation)?),
    };
    let mut vector = wiring.dense(encoder.weights, dense, pooled, None)?;
    if let Some(tensor) = head.norm {
        let (bias, epsilon) = (encoder.sizes.biases.norm, encoder.sizes.epsilon);
        vector = wiring.norm(encoder.weights, LayerNorm { node: "head_norm", tensor, width, bias, epsilon }, vector)?;
    }
    let labels = encoder.weights.shape(&format!("{}.weight", head.classifier))?.first().copied().unwrap_or(0);
    let classifier = Dense {
        node: "classifier",
        tensors: &[head.classifier.to_owned()],
        inputs: width,
        outputs: labels,
        bias: true,
        activation: None,
    };
    Ok((wiring.dense(encoder.weights, classifier, vector, None)?, labels))
}
