//! What a classifier's logits mean: labels, or how relevant a text is to a query.

use std::path::Path;

use emberlite::model::{Problem, Task};
use serde_json::Value;

use super::error::FolderError;
use super::settings::Settings;

/// What a classifier's logits mean.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Labels {
    /// Classify or rerank.
    pub(super) task: Task,
    /// For a reranker: whether its number is the answer, or the logistic function of it.
    pub(super) problem: Problem,
    /// By class id; empty for a reranker.
    pub(super) names: Vec<String>,
}

impl Labels {
    /// What `count` logits mean to a model with these settings.
    ///
    /// One logit ranks texts if sentence-transformers made the model, or if nothing says that it is a regression.
    ///
    /// # Errors
    /// Labels that are not as many as the logits, or a problem that is not known.
    pub(super) fn of(root: &Path, config: &Settings, count: usize) -> Result<Self, FolderError> {
        let ours = Settings::read_or_empty(&root.join(super::SENTENCE_CONFIG))?;
        let crossed = ours.text("model_type") == Some("CrossEncoder");
        let nested = config.get("sentence_transformers");
        let activation = [
            ours.text("activation_fn"),
            nested.and_then(|nested| nested.get("activation_fn")).and_then(Value::as_str),
            config.text("sbert_ce_default_activation_function"),
        ];
        let activation = activation.into_iter().flatten().next();
        let told = config.text("problem_type");
        if count == 1 && (crossed || nested.is_some() || activation.is_some() || told.is_none()) {
            let plain = activation.is_some_and(|name| name.ends_with(".Identity"));
            let problem = if plain { Problem::Regression } else { Problem::MultiLabel };
            return Ok(Self { task: Task::Rerank, problem, names: vec![] });
        }
        let problem = match told {
            None | Some("single_label_classification") => Problem::SingleLabel,
            Some("multi_label_classification") => Problem::MultiLabel,
            Some("regression") => Problem::Regression,
            Some(_) => {
                let expected = "single_label_classification, multi_label_classification or regression";
                return Err(config.refuse("problem_type", expected));
            }
        };
        Ok(Self { task: Task::Classify, problem, names: names(config, count)? })
    }
}

fn names(config: &Settings, count: usize) -> Result<Vec<String>, FolderError> {
    let Some(map) = config.get("id2label").and_then(Value::as_object) else {
        return Ok((0..count).map(|id| format!("LABEL_{id}")).collect());
    };
    let name = |id: usize| map.get(&id.to_string()).and_then(Value::as_str).map(str::to_owned);
    let names: Option<Vec<String>> = (0..count).map(name).collect();
    names.filter(|names| names.len() == map.len()).ok_or_else(|| {
        config
            .refuse("id2label", &format!("a name for each id from 0 to {}, as many as logits", count.saturating_sub(1)))
    })
}
