//! What a model of texts is for and how it is set, as its folder and the recipe say.

use anyhow::{Result, anyhow, bail, ensure};
use emberlite::model::{Dim, Manifest, Role, Task, TextSpec};
use emberlite::ops::{Pool, Pooling};
use tract_core::internal::TypedModelPatch;
use tract_core::prelude::TypedModel;

use super::Texts;
use crate::import::Imported;
use crate::recipe::Recipe;

/// The model as one of texts; none if it is packed as one of tensors.
///
/// # Errors
/// A task that the model can't have, or settings for texts where it takes none.
pub(crate) fn resolve(recipe: &Recipe, imported: &Imported) -> Result<Option<Texts>> {
    let task = recipe.task.or(imported.task).unwrap_or(Task::Predict);
    if task == Task::Predict {
        let setting = recipe.text_settings().first().copied();
        return setting.map_or(Ok(None), |setting| bail!("{setting} is for models of texts: this one takes tensors"));
    }
    let (Some(spec), Some(tokenizer)) = (imported.text.clone(), imported.tokenizer.clone()) else {
        let reason = imported.warnings.iter().find_map(|warning| warning.split_once("not texts: "));
        let reason = reason.map_or("the model has no input `input_ids`", |(_, reason)| reason);
        bail!(
            "the task {} takes texts, and the model can't: {reason}. Beside a model file, or one folder up, are looked \
             for: tokenizer.json, tokenizer_config.json, config.json (labels), modules.json and 1_Pooling/config.json",
            name(task)
        );
    };
    let made = imported.task.unwrap_or(task);
    let scores = |task| matches!(task, Task::Classify | Task::Rerank);
    ensure!(
        scores(made) == scores(task),
        "the task can't be {}: the model gives {}, which is the task {}",
        name(task),
        if scores(made) { "logits" } else { "vectors" },
        name(made)
    );
    ensure!(recipe.perplexity.is_none(), "a perplexity is for language models: this one generates no text");
    let max_tokens = recipe.text.max_tokens.unwrap_or(spec.max_tokens);
    // A classifier's problem says nothing of the relevance that it is to tell.
    let problem = spec.problem.filter(|_| task == made || task != Task::Rerank);
    ensure!(max_tokens > 0, "a text needs at least one token: got max_tokens = 0");
    let spec = TextSpec {
        max_tokens,
        normalize: recipe.text.normalize.unwrap_or(spec.normalize),
        pooling: recipe.text.pooling.or(spec.pooling),
        problem,
        ..spec
    };
    Ok(Some(Texts { task, spec, tokenizer }))
}

fn name(task: Task) -> &'static str {
    match task {
        Task::Predict => "predict",
        Task::Embed => "embed",
        Task::Classify => "classify",
        Task::Rerank => "rerank",
        Task::Generate => "generate",
    }
}

/// Has the graph pool its tokens in another way.
///
/// # Errors
/// A model that makes its vectors by itself, or by several poolings.
pub(super) fn set_pooling(model: &mut TypedModel, pooling: Pooling) -> Result<()> {
    let pools: Vec<usize> = model.nodes().iter().filter(|node| node.op_is::<Pool>()).map(|node| node.id).collect();
    let [id] = pools[..] else {
        bail!("the pooling can't be set: the model has {} that can be changed, expected one", pools.len());
    };
    let node = model.node(id);
    let patch = TypedModelPatch::replace_single_op(model, node, &node.inputs, Pool { pooling });
    let patched = patch.and_then(|patch| patch.apply(model)).and_then(|()| model.compact());
    patched.map_err(|error| anyhow!("setting the pooling failed: {error:#}"))
}

/// Checks that texts of any number and length fit, and that labels fit the logits; tells what the output means.
pub(super) fn check_interface(manifest: &mut Manifest, spec: &TextSpec) -> Result<()> {
    for input in &manifest.inputs {
        let open = matches!(input.shape[..], [Dim::Symbol(_), Dim::Symbol(_)]);
        ensure!(
            open,
            "input {:?} has the shape {}: export the model with its batch and sequence left open",
            input.name,
            input.shape_text()
        );
    }
    let labels = manifest.labels.len();
    let task = manifest.task;
    let Some(output) = manifest.outputs.first_mut() else { bail!("the model has no output") };
    output.role = Some(if task == Task::Embed { Role::Values } else { Role::Logits });
    let width = match output.shape[..] {
        [_, Dim::Fixed(width)] => width,
        _ => bail!("expected an output [N, width], got {}", output.shape_text()),
    };
    match task {
        Task::Classify => {
            let fits = labels == width || (labels == 2 && width == 1 && spec.problem.is_none());
            ensure!(fits, "the model gives {width} logits for each text, and there are {labels} labels");
        }
        Task::Rerank => ensure!(width == 1, "a reranker gives one logit for each pair, this model {width}"),
        Task::Embed | Task::Predict | Task::Generate => {
            ensure!(labels == 0, "a model that gives vectors has no labels: got {labels}");
        }
    }
    Ok(())
}
