//! What a model answers with, whatever its task.

use emberlite::model::{Manifest, Problem, Role, Task};
use emberlite::task::classify;
use serde::Serialize;

/// What a model answers with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A vector for each text.
    Vectors,
    /// A class, or several.
    Labels,
    /// Numbers.
    Values,
    /// The probability of each token of a text.
    Tokens,
}

impl Kind {
    /// What a model answers with.
    pub fn of(manifest: &Manifest) -> Self {
        let names_a_class = |role: Option<Role>| matches!(role, Some(Role::Label | Role::Probabilities | Role::Logits));
        match manifest.task {
            Task::Embed => Self::Vectors,
            Task::Generate => Self::Tokens,
            Task::Rerank => Self::Values,
            Task::Classify if classify::problem(manifest) == Problem::Regression => Self::Values,
            Task::Classify => Self::Labels,
            Task::Predict if manifest.outputs.iter().any(|output| names_a_class(output.role)) => Self::Labels,
            Task::Predict => Self::Values,
        }
    }

    /// Whether a model takes texts.
    pub(super) fn takes_texts(manifest: &Manifest) -> bool {
        manifest.task != Task::Predict
    }
}
