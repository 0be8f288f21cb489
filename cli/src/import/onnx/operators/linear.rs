//! `LinearClassifier` and `LinearRegressor`.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::ops::array::TypedConcat;
use tract_onnx::tract_hir::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_hir::tract_core::ops::change_axes::AxisOp;
use tract_onnx::tract_hir::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_hir::tract_core::ops::logic::comp_gt;
use tract_onnx::tract_hir::tract_core::ops::math::{add, sub};
use tract_onnx::tract_hir::tract_core::ops::nn::{Reduce, Reducer, Softmax, sigmoid};

use super::wire::{Built, Labels, to_type, with_constant};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PostTransform {
    None,
    Logistic,
    Softmax,
}

/// One score for each row of `coefficients`. Where one score decides between two classes, the first class has what it
/// lacks to 1, and a softmax changes nothing, as onnxruntime has it.
#[derive(Clone, Debug)]
struct Linear {
    /// `[features, scores]`
    coefficients: Arc<Tensor>,
    intercepts: Option<Arc<Tensor>>,
    scores: usize,
    post_transform: PostTransform,
    /// A classifier's; a regressor has none.
    labels: Option<Labels>,
}

impl Linear {
    fn parse(node: &NodeProto, scores: usize, labels: Option<Labels>) -> TractResult<Linear> {
        let coefficients: Vec<f32> = node.get_attr_vec("coefficients")?;
        let divides = scores > 0 && !coefficients.is_empty() && coefficients.len().is_multiple_of(scores);
        node.expect_attr("coefficients", divides, || {
            format!("rows for {scores} scores, got {} values", coefficients.len())
        })?;
        let features = coefficients.len() / scores;
        let coefficients = tensor1(&coefficients).into_shape(&[scores, features])?.permute_axes(&[1, 0])?;
        let intercepts: Vec<f32> = node.get_attr_opt_vec("intercepts")?.unwrap_or_default();
        let fits = intercepts.is_empty() || intercepts.len() == scores;
        node.expect_attr("intercepts", fits, || format!("{scores} values, got {}", intercepts.len()))?;
        let post_transform = match node.get_attr_opt("post_transform")?.unwrap_or("NONE") {
            "NONE" => PostTransform::None,
            "LOGISTIC" => PostTransform::Logistic,
            "SOFTMAX" => PostTransform::Softmax,
            other => return node.bail_attr("post_transform", &format!("`{other}` is not supported here")),
        };
        let intercepts = Some(rctensor1(&intercepts)).filter(|tensor| tensor.len() > 0);
        Ok(Linear { coefficients: coefficients.into_arc_tensor(), intercepts, scores, post_transform, labels })
    }

    /// Whether one score decides between two classes.
    fn one_sided(&self) -> bool {
        self.scores == 1 && self.labels.as_ref().is_some_and(|labels| labels.len() == 2)
    }

    fn outputs(&self) -> usize {
        if self.one_sided() { 2 } else { self.scores }
    }

    fn wire_scores(&self, prefix: &str, model: &mut TypedModel, input: OutletId) -> TractResult<OutletId> {
        let input = to_type(model, format!("{prefix}.float"), input, DatumType::F32)?;
        let coefficients = model.add_const(format!("{prefix}.coefficients"), self.coefficients.clone())?;
        let product = EinSum::new(AxesMapping::for_numpy_matmul(2, false, false, false)?, DatumType::F32);
        let scores = model.wire_node(format!("{prefix}.product"), product, &[input, coefficients])?[0];
        match &self.intercepts {
            Some(intercepts) => with_constant(model, format!("{prefix}.sum"), add(), scores, intercepts.clone()),
            None => Ok(scores),
        }
    }

    fn wire_class(&self, prefix: &str, model: &mut TypedModel, scores: OutletId) -> TractResult<OutletId> {
        let class = if self.one_sided() {
            let above =
                with_constant(model, format!("{prefix}.above"), TypedBinOp(comp_gt(), None), scores, rctensor0(0f32))?;
            to_type(model, format!("{prefix}.class"), above, DatumType::I64)?
        } else {
            let greatest = Reduce::new(tvec!(1), Reducer::ArgMax(false));
            model.wire_node(format!("{prefix}.class"), greatest, &[scores])?[0]
        };
        Ok(model.wire_node(format!("{prefix}.classes"), AxisOp::Rm(1), &[class])?[0])
    }

    fn wire_transform(&self, prefix: &str, model: &mut TypedModel, scores: OutletId) -> TractResult<OutletId> {
        let name = |part: &str| format!("{prefix}.{part}");
        if !self.one_sided() {
            return Ok(match self.post_transform {
                PostTransform::None => scores,
                PostTransform::Logistic => model.wire_node(name("scores"), sigmoid(), &[scores])?[0],
                PostTransform::Softmax => {
                    let softmax = Softmax { axes: tvec!(1), ..Softmax::default() };
                    model.wire_node(name("scores"), softmax, &[scores])?[0]
                }
            });
        }
        let second = match self.post_transform {
            PostTransform::Logistic => model.wire_node(name("second"), sigmoid(), &[scores])?[0],
            _ => scores,
        };
        let one = model.add_const(name("one"), rctensor2(&[[1f32]]))?;
        let first = model.wire_node(name("first"), sub(), &[one, second])?[0];
        Ok(model.wire_node(name("scores"), TypedConcat::new(1), &[first, second])?[0])
    }
}

pub(super) fn classifier(_context: &ParsingContext<'_>, node: &NodeProto) -> Built {
    let labels = Labels::parse(node, "classlabels_ints")?;
    let intercepts: Vec<f32> = node.get_attr_opt_vec("intercepts")?.unwrap_or_default();
    let scores = if intercepts.is_empty() { labels.len() } else { intercepts.len() };
    node.expect(scores == labels.len() || scores == 1 && labels.len() == 2, "as many intercepts as classes")?;
    Ok((expand(Linear::parse(node, scores, Some(labels))?), vec![]))
}

pub(super) fn regressor(_context: &ParsingContext<'_>, node: &NodeProto) -> Built {
    Ok((expand(Linear::parse(node, node.get_attr_opt("targets")?.unwrap_or(1), None)?), vec![]))
}

impl Expansion for Linear {
    fn name(&self) -> StaticName {
        "Linear".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        solver: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_input_arity(inputs, 1)?;
        check_output_arity(outputs, self.nboutputs()?)?;
        solver.equals(&inputs[0].rank, 2)?;
        solver.equals(&inputs[0].shape[1], self.coefficients.shape()[0].to_dim())?;
        let scores = &outputs[outputs.len() - 1];
        solver.equals(&scores.datum_type, DatumType::F32)?;
        solver.equals(&scores.rank, 2)?;
        solver.equals(&scores.shape[0], &inputs[0].shape[0])?;
        solver.equals(&scores.shape[1], self.outputs().to_dim())?;
        if let Some(labels) = &self.labels {
            solver.equals(&outputs[0].datum_type, labels.datum_type())?;
            solver.equals(&outputs[0].rank, 1)?;
            solver.equals(&outputs[0].shape[0], &inputs[0].shape[0])?;
        }
        Ok(())
    }

    fn nboutputs(&self) -> TractResult<usize> {
        Ok(if self.labels.is_some() { 2 } else { 1 })
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        let scores = self.wire_scores(prefix, model, inputs[0])?;
        let transformed = self.wire_transform(prefix, model, scores)?;
        let Some(labels) = &self.labels else { return Ok(tvec!(transformed)) };
        let class = self.wire_class(prefix, model, scores)?;
        let label = labels.wire(model, format!("{prefix}.label"), class)?;
        Ok(tvec!(label, transformed))
    }
}
