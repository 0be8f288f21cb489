//! The inputs and outputs of a model, and what the recipe and a trial run tell about them.

use anyhow::{Context as _, Result, bail, ensure};
use emberlite::engine::Plan;
use emberlite::model::{Dim, Dtype, ImageLayout, ImageSpec, Manifest, Role, TensorSpec};
use tract_core::prelude::{OutletId, Tensor, TypedModel};

use super::samples::{Sampler, Words};
use crate::recipe::Recipe;

/// How far from 1 the probabilities of a row may sum up.
const SUM_TOLERANCE: f32 = 1e-3;
/// How many rows a trial run has.
const TRIAL_ROWS: usize = 16;

/// The inputs and outputs that a model declares.
pub(super) fn read(model: &TypedModel) -> Result<(Vec<TensorSpec>, Vec<TensorSpec>)> {
    let node_name = |outlet: OutletId| model.node(outlet.node).name.as_str();
    let inputs = model.inputs.iter().map(|outlet| spec(model, *outlet, node_name(*outlet)));
    // An input that is passed through is an output too: its node has the input's name, its outlet the output's.
    let label = |outlet: OutletId| model.outlet_label(outlet).unwrap_or(node_name(outlet));
    let outputs = model.outputs.iter().map(|outlet| spec(model, *outlet, label(*outlet)));
    Ok((inputs.collect::<Result<_>>()?, outputs.collect::<Result<_>>()?))
}

fn spec(model: &TypedModel, outlet: OutletId, name: &str) -> Result<TensorSpec> {
    let name = name.to_owned();
    let fact = model.outlet_fact(outlet).map_err(|error| anyhow::anyhow!("{error}"))?;
    let dtype = Dtype::from_datum_type(fact.datum_type)
        .with_context(|| format!("{name:?} has the type {:?}, which no request can carry", fact.datum_type))?;
    let dim = |dim: &tract_core::internal::TDim| match dim.as_i64().and_then(|size| usize::try_from(size).ok()) {
        Some(size) => Dim::Fixed(size),
        None => Dim::Symbol(dim.to_string()),
    };
    Ok(TensorSpec { name, dtype, shape: fact.shape.iter().map(dim).collect(), role: None })
}

/// Fills in what the recipe leaves open and checks that it fits the model.
pub(super) fn apply_recipe(manifest: &mut Manifest, recipe: &Recipe) -> Result<()> {
    for (name, output) in &recipe.outputs {
        let spec = manifest.outputs.iter_mut().find(|spec| spec.name == *name);
        let Some(spec) = spec else {
            bail!("the recipe speaks of output {name:?}; the model has {}", names(&manifest.outputs));
        };
        spec.role = Some(output.role);
    }
    bind_features(manifest)?;
    check_labels(&manifest.labels)?;
    if let Some(image) = &manifest.image {
        check_image(image, &manifest.inputs)?;
    }
    Ok(())
}

fn check_labels(labels: &[String]) -> Result<()> {
    for (index, label) in labels.iter().enumerate() {
        ensure!(!labels[..index].contains(label), "two labels are called {label:?}");
    }
    Ok(())
}

/// Gives every feature its input and checks that each input gets all its columns.
fn bind_features(manifest: &mut Manifest) -> Result<()> {
    if manifest.features.is_empty() {
        return Ok(());
    }
    for feature in &mut manifest.features {
        if feature.input.is_empty() {
            let same_name = manifest.inputs.iter().find(|input| input.name == feature.name);
            let only = || manifest.inputs.first().filter(|_| manifest.inputs.len() == 1);
            let input = same_name.or_else(only).with_context(|| {
                format!(
                    "feature {:?} feeds no input of its name; the model has {}",
                    feature.name,
                    names(&manifest.inputs)
                )
            })?;
            feature.input = input.name.clone();
        }
    }
    for feature in &manifest.features {
        ensure!(
            manifest.inputs.iter().any(|input| input.name == feature.input),
            "feature {:?} feeds input {:?}; the model has {}",
            feature.name,
            feature.input,
            names(&manifest.inputs)
        );
        let same_name = manifest.features.iter().filter(|other| other.name == feature.name).count();
        ensure!(same_name == 1, "two features are called {:?}", feature.name);
        if let (Some(minimum), Some(maximum)) = (feature.minimum, feature.maximum) {
            ensure!(
                minimum <= maximum,
                "feature {:?} has a minimum of {minimum} and a maximum of {maximum}",
                feature.name
            );
        }
    }
    for input in &manifest.inputs {
        let columns = manifest.features.iter().filter(|feature| feature.input == input.name).count();
        let expected = match input.shape.as_slice() {
            [_] => 1,
            [_, Dim::Fixed(columns)] => *columns,
            _ => bail!("input {:?} {} is no table: the recipe can't name features", input.name, input.shape_text()),
        };
        ensure!(columns == expected, "input {:?} takes {expected} features, the recipe names {columns}", input.name);
    }
    Ok(())
}

fn check_image(image: &ImageSpec, inputs: &[TensorSpec]) -> Result<()> {
    let input = inputs.iter().find(|input| input.name == image.input);
    let Some(input) = input else {
        bail!("the recipe's image feeds input {:?}; the model has {}", image.input, names(inputs));
    };
    let (width, height, channels) = (image.width as usize, image.height as usize, image.colour.count());
    let shape = match image.layout {
        ImageLayout::Nchw => [1, channels, height, width],
        ImageLayout::Nhwc => [1, height, width, channels],
    };
    let fits = input.dtype == Dtype::Fp32 && input.accepts(&shape) && inputs.len() == 1;
    ensure!(
        fits,
        "the recipe's image makes FP32 {shape:?} and feeds it alone; the model takes {} {} {}",
        input.name,
        input.dtype,
        input.shape_text()
    );
    let counts = [image.mean.len(), image.std.len()];
    ensure!(
        counts.iter().all(|count| [0, channels].contains(count)),
        "the recipe's image has {channels} channels, and {} means and {} deviations",
        counts[0],
        counts[1]
    );
    Ok(())
}

/// Gives outputs without a role the one that their names, types and a trial run tell.
pub(super) fn infer_roles(manifest: &mut Manifest, plan: &Plan, words: &Words) -> Result<()> {
    let mut sampler = Sampler::new(1, plan, words);
    let outputs = plan.run(sampler.inputs(manifest, TRIAL_ROWS)?).context("the model fails on random inputs")?;
    let labels = manifest.labels.len();
    for (spec, tensor) in manifest.outputs.iter_mut().zip(&outputs) {
        let role = spec.role.unwrap_or_else(|| role(spec, tensor, labels));
        if role == Role::Probabilities && labels > 0 {
            let width = if spec.shape.len() < 2 { 1 } else { tensor.shape().last().copied().unwrap_or(1) };
            let fits = if width == 1 { labels == 2 } else { width == labels };
            ensure!(
                fits,
                "output {:?} has {width} probabilities a row, and there are {labels} labels; one a row is that of the \
                 second of two labels",
                spec.name
            );
        }
        spec.role = Some(role);
    }
    Ok(())
}

fn role(spec: &TensorSpec, tensor: &Tensor, labels: usize) -> Role {
    let per_row = spec.shape.len() == 1 || matches!(spec.shape.as_slice(), [_, Dim::Fixed(1)]);
    let name = spec.name.to_ascii_lowercase();
    match spec.dtype {
        Dtype::Int64 | Dtype::Int32 | Dtype::Bytes if per_row && (name.contains("label") || labels > 0) => Role::Label,
        Dtype::Fp32 | Dtype::Fp64 if name.contains("logit") => Role::Logits,
        Dtype::Fp32 | Dtype::Fp64 if are_probabilities(tensor) => Role::Probabilities,
        _ => Role::Values,
    }
}

/// Whether every row of several numbers from 0 to 1 sums up to 1.
fn are_probabilities(tensor: &Tensor) -> bool {
    let &[_, width] = tensor.shape() else { return false };
    let Ok(floats) = tensor.cast_to::<f32>() else { return false };
    let Some(elements) = floats.as_plain_ram().and_then(|view| view.as_slice::<f32>().ok()) else { return false };
    width > 1
        && elements.chunks(width).all(|row| {
            row.iter().all(|value| (0.0..=1.0).contains(value)) && (row.iter().sum::<f32>() - 1.0).abs() < SUM_TOLERANCE
        })
}

fn names(specs: &[TensorSpec]) -> String {
    specs.iter().map(|spec| format!("{:?}", spec.name)).collect::<Vec<_>>().join(", ")
}
