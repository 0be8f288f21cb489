//! `emberlite_attention`: masked multi-head attention over projected queries, keys and values.

mod rotary;

use emberlite_kernels::{Attention as Kernel, Heads, Isa, Mask};
use tract_nnef::internal::*;
use tract_nnef::ser::array;

use super::output::{filled, floats};

const NAME: &str = "emberlite_attention";

/// `softmax(q k^T * scale + masks) v`, per head (Vaswani et al. 2017); no matrix of all scores is kept.
///
/// Inputs, all `f32`: fused, one `[batch, tokens, 3 * heads * head_width]` of queries, keys and values side by side; else
/// queries `[batch, queries, heads * head_width]`, keys and values `[batch, keys, heads * head_width]`. Then the masks:
/// tensors of rank 4 that broadcast to `[batch, heads, queries, keys]` and are added to the scores; scores below
/// `f32::MIN` count as that. Output: `f32` `[batch, queries, heads * head_width]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Attention {
    /// How many heads.
    pub heads: usize,
    /// How many numbers a head has.
    pub head_width: usize,
    /// Multiplies the scores.
    pub scale: f32,
    /// Whether a query sees no later key.
    pub causal: bool,
    /// How far from itself a query sees.
    pub window: Option<usize>,
    /// The base of the angles of rotary positions (Su et al. 2021), pairs being half a head apart.
    pub rotary: Option<f32>,
    /// Whether queries, keys and values are one tensor.
    pub fused: bool,
    /// How many masks there are.
    pub masks: usize,
}

impl Eq for Attention {}

impl Attention {
    fn width(&self) -> usize {
        self.heads * self.head_width
    }

    /// How many inputs come before the masks.
    fn operands(&self) -> usize {
        if self.fused { 1 } else { 3 }
    }

    fn check(&self) -> TractResult<()> {
        let width = self.heads.checked_mul(self.head_width).and_then(|width| width.checked_mul(3));
        ensure!(width.is_some_and(|width| width > 0), "{} heads of {}", self.heads, self.head_width);
        ensure!(self.rotary.is_none() || self.head_width.is_multiple_of(2), "rotary heads of {}", self.head_width);
        ensure!(self.masks <= 2, "expected at most 2 masks, got {}", self.masks);
        Ok(())
    }

    fn heads<'a>(&self, tensor: &'a Tensor, part: usize) -> TractResult<Heads<'a>> {
        let stride = if self.fused { 3 * self.width() } else { self.width() };
        let &[_, tokens, last] = tensor.shape() else { bail!("expected [batch, tokens, {stride}], got {tensor:?}") };
        ensure!(last == stride, "expected rows of {stride}, got {:?}", tensor.shape());
        let start = if self.fused { part * self.width() } else { 0 };
        Ok(Heads { values: floats(tensor)?, tokens, stride, start })
    }
}

/// A mask and how it is broadcast; none for one that adds nothing.
fn mask<'a>(tensor: &'a Tensor, sizes: [usize; 4]) -> TractResult<Option<Mask<'a>>> {
    let values = floats(tensor)?;
    let fits = tensor.rank() == 4 && tensor.shape().iter().zip(sizes).all(|(&got, size)| got == 1 || got == size);
    ensure!(fits, "a mask of the shape {:?} does not broadcast to {sizes:?}", tensor.shape());
    if values.iter().all(|value| *value == 0.0) {
        return Ok(None);
    }
    let mut strides = [0; 4];
    let mut stride = 1;
    for axis in (0..4).rev() {
        let size = tensor.shape()[axis];
        strides[axis] = if size == 1 { 0 } else { stride };
        stride *= size;
    }
    Ok(Some(Mask { values, strides }))
}

impl Op for Attention {
    fn name(&self) -> StaticName {
        "Attention".into()
    }

    op_as_typed_op!();
}

impl EvalOp for Attention {
    op_out_of_plan!();

    fn eval(&self, _ctx: &EvalContext<'_>, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let count = self.operands() + self.masks;
        ensure!(inputs.len() == count, "expected {count} inputs, got {}", inputs.len());
        let operand = |part: usize| self.heads(&inputs[if self.fused { 0 } else { part }], part);
        let (queries, keys, values) = (operand(0)?, operand(1)?, operand(2)?);
        let batch = inputs[0].shape()[0];
        ensure!(inputs[..self.operands()].iter().all(|input| input.shape()[0] == batch), "batches differ: {inputs:?}");
        let shape = [batch, queries.tokens, self.width()];
        if shape.contains(&0) {
            return Ok(tvec!(Tensor::zero::<f32>(&shape)?.into_tvalue()));
        }
        let sizes = [batch, self.heads, queries.tokens, keys.tokens];
        let mut masks: TVec<Mask<'_>> = tvec!();
        for tensor in &inputs[self.operands()..] {
            masks.extend(mask(tensor, sizes)?);
        }
        let table = self.rotary.map(|theta| rotary::table(theta, self.head_width, queries.tokens.max(keys.tokens)));
        let kernel = Kernel {
            batch,
            heads: self.heads,
            width: self.head_width,
            scale: self.scale,
            causal: self.causal,
            window: self.window,
            rotary: table.as_ref().map(|table| table.as_slice()),
            queries,
            keys,
            values,
            masks: &masks,
        };
        ensure!(kernel.fits(), "queries, keys and values do not fit together: {inputs:?}");
        filled(&shape, |out| kernel.run(Isa::current(), out))
    }
}

impl TypedOp for Attention {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        self.check()?;
        let count = self.operands() + self.masks;
        ensure!(inputs.len() == count, "expected {count} inputs, got {}", inputs.len());
        ensure!(inputs.iter().all(|input| input.datum_type == f32::datum_type()), "attention takes f32: {inputs:?}");
        let expected = if self.fused { 3 * self.width() } else { self.width() };
        for input in &inputs[..self.operands()] {
            let fits = input.rank() == 3 && input.shape[2] == expected.to_dim();
            ensure!(fits, "expected [batch, tokens, {expected}], got {input:?}");
        }
        for input in &inputs[self.operands()..] {
            ensure!(input.rank() == 4, "expected a mask of rank 4, got {input:?}");
        }
        let shape = &inputs[0].shape;
        Ok(tvec!(f32::fact([shape[0].clone(), shape[1].clone(), self.width().to_dim()])))
    }

    as_op!();
}

pub(super) fn register(registry: &mut Registry) {
    registry.register_dumper(dump);
    registry.register_primitive(
        NAME,
        &[
            TypeName::Scalar
                .tensor()
                .array()
                .named("inputs")
                .doc("queries, keys and values, or all in one; then masks"),
            TypeName::Integer.named("heads"),
            TypeName::Integer.named("head_width"),
            TypeName::Scalar.named("scale"),
            TypeName::Integer.named("masks").default(0),
            TypeName::Logical.named("fused").default(true),
            TypeName::Logical.named("causal").default(false),
            TypeName::Integer.named("window").default(-1).doc("how far a query sees, negative for no bound"),
            TypeName::Scalar.named("rotary").default(0.0).doc("the base of rotary positions, 0 for none"),
        ],
        &[("output", TypeName::Scalar.tensor())],
        load,
    );
}

fn dump(ast: &mut IntoAst<'_>, node: &TypedNode, op: &Attention) -> TractResult<Option<Arc<RValue>>> {
    let inputs: Vec<RValue> = node.inputs.iter().map(|input| (*ast.mapping[input]).clone()).collect();
    let window = op.window.map_or(Ok(-1), i64::try_from)?;
    Ok(Some(invocation(
        NAME,
        &[array(inputs).into()],
        &[
            ("heads", numeric(op.heads)),
            ("head_width", numeric(op.head_width)),
            ("scale", numeric(op.scale)),
            ("masks", numeric(op.masks)),
            ("fused", logical(op.fused)),
            ("causal", logical(op.causal)),
            ("window", numeric(window)),
            ("rotary", numeric(op.rotary.unwrap_or(0.0))),
        ],
    )))
}

fn load(builder: &mut ModelBuilder<'_>, invocation: &ResolvedInvocation<'_>) -> TractResult<Value> {
    let inputs: TVec<OutletId> = invocation.named_arg_as(builder, "inputs")?;
    let window: i64 = invocation.named_arg_as(builder, "window")?;
    let rotary: f32 = invocation.named_arg_as(builder, "rotary")?;
    let op = Attention {
        heads: invocation.named_arg_as(builder, "heads")?,
        head_width: invocation.named_arg_as(builder, "head_width")?,
        scale: invocation.named_arg_as(builder, "scale")?,
        causal: invocation.named_arg_as(builder, "causal")?,
        window: usize::try_from(window).ok(),
        rotary: Some(rotary).filter(|theta| *theta > 0.0),
        fused: invocation.named_arg_as(builder, "fused")?,
        masks: invocation.named_arg_as(builder, "masks")?,
    };
    builder.wire(op, &inputs)
}
