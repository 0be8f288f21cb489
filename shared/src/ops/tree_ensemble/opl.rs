//! The operator in tract-OPL text: `emberlite_tree_ensemble` and `emberlite_tree_classifier`.

use std::sync::Arc;

use tract_nnef::internal::*;
use tract_nnef::ser::array;

use super::ensemble::{Aggregate, Ensemble, Finish, PostTransform};
use super::forest::{Flat, FlatNode, Forest, Threshold};
use super::op::TreeEnsemble;

const SCORES: &str = "emberlite_tree_ensemble";
const CLASS: &str = "emberlite_tree_classifier";

const AGGREGATES: [(&str, Aggregate); 4] =
    [("sum", Aggregate::Sum), ("average", Aggregate::Average), ("min", Aggregate::Min), ("max", Aggregate::Max)];

const POST_TRANSFORMS: [(&str, PostTransform); 5] = [
    ("none", PostTransform::None),
    ("logistic", PostTransform::Logistic),
    ("softmax", PostTransform::Softmax),
    ("softmax_zero", PostTransform::SoftmaxZero),
    ("probit", PostTransform::Probit),
];

pub(in crate::ops) fn register(registry: &mut Registry) {
    registry.register_dumper(dump);
    registry.register_primitive(SCORES, &parameters(), &[("scores", TypeName::Scalar.tensor())], load_scores);
    let outputs = [("class", TypeName::Integer.tensor()), ("scores", TypeName::Scalar.tensor())];
    registry.register_primitive(CLASS, &parameters(), &outputs, load_classifier);
}

fn parameters() -> Vec<Parameter> {
    vec![
        TypeName::Scalar.tensor().named("input").doc("rows of features, [N, features or more]"),
        TypeName::Integer.tensor().named("nodes").doc("by node: threshold bits, feature and flags, place of children"),
        TypeName::Integer.tensor().named("roots").doc("by tree: the place of its root"),
        TypeName::Integer.tensor().named("spans").doc("by leaf: where its weights begin, and where the last ones end"),
        TypeName::Integer.tensor().named("targets").doc("by weight: what it counts for"),
        TypeName::Scalar.tensor().named("weights").doc("by weight: how much it counts"),
        TypeName::Scalar.tensor().named("base_values").doc("added to the scores"),
        TypeName::Integer.named("feature_count"),
        TypeName::Integer.named("target_count"),
        TypeName::String.named("aggregate").default("sum"),
        TypeName::String.named("post_transform").default("none"),
    ]
}

fn dump(ast: &mut IntoAst<'_>, node: &TypedNode, op: &TreeEnsemble) -> TractResult<Option<Arc<RValue>>> {
    match op {
        TreeEnsemble::Single(ensemble) => dump_ensemble(ast, node, ensemble),
        TreeEnsemble::Double(ensemble) => dump_ensemble(ast, node, ensemble),
    }
}

fn dump_ensemble<T: Threshold>(
    ast: &mut IntoAst<'_>,
    node: &TypedNode,
    ensemble: &Ensemble<T>,
) -> TractResult<Option<Arc<RValue>>> {
    let flat = ensemble.forest.to_flat();
    let words: Vec<u32> = flat.nodes.iter().flat_map(words).collect();
    let nodes =
        tensor1(&words).into_shape(&[flat.nodes.len(), words.len().checked_div(flat.nodes.len()).unwrap_or(0)])?;
    let mut arguments = vec![ast.mapping[&node.inputs[0]].clone()];
    for (name, tensor) in [
        ("nodes", nodes.into_arc_tensor()),
        ("roots", rctensor1(&flat.roots)),
        ("spans", rctensor1(&flat.spans)),
        ("targets", rctensor1(&flat.targets)),
        ("weights", rctensor1(&flat.weights)),
    ] {
        arguments.push(ast.konst_variable(format!("{}_{name}", node.name), &tensor)?);
    }
    let base_values = match ensemble.base_values.is_empty() {
        true => Arc::new(array([])),
        false => ast.konst_variable(format!("{}_base_values", node.name), &rctensor1(&ensemble.base_values))?,
    };
    arguments.push(base_values);
    let id = if ensemble.finish == Finish::Class { CLASS } else { SCORES };
    let named = [
        ("feature_count", numeric(flat.feature_count)),
        ("target_count", numeric(flat.target_count)),
        ("aggregate", string(name_of(&AGGREGATES, ensemble.aggregate))),
        ("post_transform", string(name_of(&POST_TRANSFORMS, ensemble.post_transform))),
    ];
    Ok(Some(invocation(id, &arguments, &named)))
}

fn words<T: Threshold>(node: &FlatNode<T>) -> Vec<u32> {
    let mut words = node.threshold.to_words();
    words.extend([node.feature, node.next]);
    words
}

fn load_scores(builder: &mut ModelBuilder<'_>, invocation: &ResolvedInvocation<'_>) -> TractResult<Value> {
    load(builder, invocation, Finish::Scores)
}

fn load_classifier(builder: &mut ModelBuilder<'_>, invocation: &ResolvedInvocation<'_>) -> TractResult<Value> {
    load(builder, invocation, Finish::Class)
}

fn load(builder: &mut ModelBuilder<'_>, invocation: &ResolvedInvocation<'_>, finish: Finish) -> TractResult<Value> {
    let input: OutletId = invocation.named_arg_as(builder, "input")?;
    let weights: Arc<Tensor> = invocation.named_arg_as(builder, "weights")?;
    let op = match weights.datum_type() {
        DatumType::F64 => TreeEnsemble::Double(Arc::new(load_ensemble(builder, invocation, finish, &weights)?)),
        _ => TreeEnsemble::Single(Arc::new(load_ensemble(builder, invocation, finish, &weights)?)),
    };
    builder.wire(op, &[input])
}

fn load_ensemble<T: Threshold>(
    builder: &mut ModelBuilder<'_>,
    invocation: &ResolvedInvocation<'_>,
    finish: Finish,
    weights: &Tensor,
) -> TractResult<Ensemble<T>> {
    let stride = T::default().to_words().len() + 2;
    let words: Vec<u32> = list(builder, invocation, "nodes")?;
    ensure!(words.len().is_multiple_of(stride), "nodes come in {stride} words each, got {}", words.len());
    let flat = Flat {
        nodes: words.chunks_exact(stride).map(node).collect::<Option<_>>().context("a node is incomplete")?,
        roots: list(builder, invocation, "roots")?,
        spans: list(builder, invocation, "spans")?,
        targets: list(builder, invocation, "targets")?,
        weights: weights.try_as_plain_ram()?.as_slice::<T>()?.to_vec(),
        feature_count: invocation.named_arg_as(builder, "feature_count")?,
        target_count: invocation.named_arg_as(builder, "target_count")?,
    };
    let aggregate: String = invocation.named_arg_as(builder, "aggregate")?;
    let post_transform: String = invocation.named_arg_as(builder, "post_transform")?;
    let base_values = match invocation.named_arg_as::<Value>(builder, "base_values")? {
        Value::Array(values) if values.is_empty() => Vec::new(),
        values => values.to::<Arc<Tensor>>(builder)?.try_as_plain_ram()?.as_slice::<T>()?.to_vec(),
    };
    Ensemble::new(
        Forest::new(&flat)?,
        finish,
        named(&AGGREGATES, &aggregate)?,
        named(&POST_TRANSFORMS, &post_transform)?,
        base_values,
    )
}

fn node<T: Threshold>(words: &[u32]) -> Option<FlatNode<T>> {
    let (threshold, rest) = words.split_at_checked(words.len().checked_sub(2)?)?;
    let &[feature, next] = rest else { return None };
    Some(FlatNode { threshold: T::from_words(threshold)?, feature, next })
}

fn list(builder: &mut ModelBuilder<'_>, invocation: &ResolvedInvocation<'_>, name: &str) -> TractResult<Vec<u32>> {
    let tensor: Arc<Tensor> = invocation.named_arg_as(builder, name)?;
    let view = tensor.try_as_plain_ram()?;
    Ok(view.as_slice::<u32>().with_context(|| format!("`{name}` is no list of 32-bit words"))?.to_vec())
}

fn named<T: Copy>(names: &[(&str, T)], name: &str) -> TractResult<T> {
    names.iter().find(|(known, _)| *known == name).map(|(_, value)| *value).with_context(|| format!("unknown `{name}`"))
}

fn name_of<T: PartialEq>(names: &[(&'static str, T)], value: T) -> &'static str {
    names.iter().find(|(_, known)| *known == value).map_or("", |(name, _)| name)
}
