//! `emberlite_causal_attention`: attention of new tokens over a sequence's cache.

mod opl;

use emberlite_kernels::{
    CausalAttention as Kernel, Isa, Reading,
    cache::{Extent, Room},
};
pub(super) use opl::register;
use tract_nnef::internal::*;

use super::output::{filled, floats};
use super::step::Step;
use super::weights::Weights;

/// Causal attention with rotary positions over a cache of keys and values, for grouped queries.
///
/// Input: `qkv`, `f32` `[1, T, (heads + 2 * key_heads) * head_width]`, queries, keys and values side by side; `T` are the
/// new tokens of every sequence of the step under way, one sequence after the other. Output: `f32`
/// `[1, T, heads * head_width]`.
///
/// Queries and keys are normed (RMS, per head) where there are gains, then rotated by the token's place in its sequence,
/// pairs being half of the rotary width apart; keys and values go into the sequence's cache; a query sees the keys up to
/// its own, at most `window` of them. Outside a step it is an error.
///
/// In the package its terms are `f32` `[1, ..]`: the frequencies, then the gains of queries and of keys.
#[derive(Clone, Debug, PartialEq)]
pub struct CausalAttention {
    layer: usize,
    heads: usize,
    key_heads: usize,
    head_width: usize,
    scale: f32,
    window: Option<usize>,
    softcap: Option<f32>,
    magnitude: f32,
    epsilon: f32,
    frequencies: usize,
    query_norm: bool,
    key_norm: bool,
    terms: Weights,
}

impl Eq for CausalAttention {}

/// What a layer's attention is like.
#[derive(Clone, Copy, Debug)]
pub struct CausalAttentionSpec<'a> {
    /// The layer: layers count from 0, each has one.
    pub layer: usize,
    /// How many heads of queries.
    pub heads: usize,
    /// How many heads of keys, and as many of values; the heads of queries are a multiple.
    pub key_heads: usize,
    /// How many numbers a head has.
    pub head_width: usize,
    /// Multiplies the scores.
    pub scale: f32,
    /// How many keys a query sees, its own included.
    pub window: Option<usize>,
    /// Scores become `cap * tanh(score / cap)`.
    pub softcap: Option<f32>,
    /// Inverse frequencies, `[rotary_width / 2]`, any scaling applied; pairs are half of the rotary width apart.
    pub frequencies: &'a [f32],
    /// Multiplies cosines and sines.
    pub magnitude: f32,
    /// The gain of an RMS norm of each head of queries, `[head_width]`, before the rotation.
    pub query_norm: Option<&'a [f32]>,
    /// The same for keys.
    pub key_norm: Option<&'a [f32]>,
    /// Keeps the square roots of these norms away from zero.
    pub epsilon: f32,
}

impl CausalAttention {
    /// The attention of a layer.
    ///
    /// # Errors
    /// Sizes that do not fit together, or numbers that are none.
    pub fn new(spec: CausalAttentionSpec<'_>) -> Result<Self, String> {
        let gain = |gain: Option<&[f32]>| gain.unwrap_or_default().to_vec();
        let terms = [spec.frequencies.to_vec(), gain(spec.query_norm), gain(spec.key_norm)].concat();
        let op = Self {
            layer: spec.layer,
            heads: spec.heads,
            key_heads: spec.key_heads,
            head_width: spec.head_width,
            scale: spec.scale,
            window: spec.window,
            softcap: spec.softcap,
            magnitude: spec.magnitude,
            epsilon: spec.epsilon,
            frequencies: spec.frequencies.len(),
            query_norm: spec.query_norm.is_some(),
            key_norm: spec.key_norm.is_some(),
            terms: Weights::owned(&[1, terms.len()], terms),
        };
        op.check().map(|()| op)
    }

    /// The layer.
    pub fn layer(&self) -> usize {
        self.layer
    }

    /// How many heads of queries.
    pub fn heads(&self) -> usize {
        self.heads
    }

    /// How many heads of keys, and as many of values.
    pub fn key_heads(&self) -> usize {
        self.key_heads
    }

    /// How many numbers a head has.
    pub fn head_width(&self) -> usize {
        self.head_width
    }

    /// The same attention with another number of heads.
    ///
    /// # Errors
    /// Heads of queries that are no multiple of those of keys, or none.
    pub fn with_heads(&self, heads: usize, key_heads: usize) -> Result<Self, String> {
        let op = Self { heads, key_heads, ..self.clone() };
        op.check().map(|()| op)
    }

    /// The same attention as that of another layer.
    pub fn with_layer(&self, layer: usize) -> Self {
        Self { layer, ..self.clone() }
    }

    /// The room that its keys and values take, from `start` on.
    pub(crate) fn room(&self, start: Extent) -> Room {
        Room { start, key_heads: self.key_heads, head_width: self.head_width }
    }

    /// How many keys a query sees, its own included.
    pub fn window(&self) -> Option<usize> {
        self.window
    }

    fn check(&self) -> Result<(), String> {
        const MOST: usize = 1 << 16;
        let Self { heads, key_heads, head_width, .. } = *self;
        if [heads, key_heads, head_width].iter().any(|size| !(1..=MOST).contains(size)) {
            return Err(format!("{heads} heads, {key_heads} of keys, of {head_width} numbers"));
        }
        let numbers = [Some(self.scale), self.softcap, Some(self.magnitude), Some(self.epsilon)];
        if let Some(number) = numbers.into_iter().flatten().find(|number| !number.is_finite()) {
            return Err(format!("expected finite numbers, got {number}"));
        }
        if self.softcap.is_some_and(|cap| cap <= 0.0) {
            return Err(format!("expected a soft cap above zero, got {:?}", self.softcap));
        }
        let gains = usize::from(self.query_norm) + usize::from(self.key_norm);
        let expected = self.frequencies.checked_add(gains * head_width);
        let terms = self.terms.values::<f32>().len();
        if expected != Some(terms) || self.layer >= MOST {
            return Err(format!("layer {} with {terms} terms: expected {expected:?}", self.layer));
        }
        if !self.kernel(self.room(Extent::default())).fits() {
            let turned = 2 * self.frequencies;
            return Err(format!("{heads} heads of {head_width}, {key_heads} of keys, {turned} numbers rotated"));
        }
        Ok(())
    }

    fn parts(&self) -> [&[f32]; 3] {
        let (frequencies, gains) = self.terms.values::<f32>().split_at(self.frequencies);
        let (query, key) = gains.split_at(if self.query_norm { self.head_width } else { 0 });
        [frequencies, query, key]
    }

    fn kernel(&self, room: Room) -> Kernel<'_> {
        let [_, query, key] = self.parts();
        Kernel {
            heads: self.heads,
            room,
            scale: self.scale,
            window: self.window,
            softcap: self.softcap,
            rotary_width: 2 * self.frequencies,
            query_norm: self.query_norm.then_some(query),
            key_norm: self.key_norm.then_some(key),
            epsilon: self.epsilon,
        }
    }

    fn stride(&self) -> usize {
        (self.heads + 2 * self.key_heads) * self.head_width
    }
}

impl Op for CausalAttention {
    fn name(&self) -> StaticName {
        "CausalAttention".into()
    }

    op_as_typed_op!();
}

impl EvalOp for CausalAttention {
    op_out_of_plan!();

    fn eval(&self, _ctx: &EvalContext<'_>, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let x = args_1!(inputs);
        let stride = self.stride();
        let &[1, tokens, last] = x.shape() else { bail!("expected [1, tokens, {stride}], got {:?}", x.shape()) };
        ensure!(last == stride, "expected rows of {stride}, got {:?}", x.shape());
        let qkv = floats(&x)?;
        Step::current(|step| {
            ensure!(step.tokens() == tokens, "the step has {} tokens, the graph {tokens}", step.tokens());
            let room = step.rooms.get(self.layer).copied().filter(|room| *room == self.room(room.start));
            let room = room.with_context(|| format!("the cache has no room for layer {}", self.layer))?;
            let angles = step.angles(self.parts()[0], self.magnitude);
            let rotary = 2 * self.frequencies;
            let mut first = 0;
            let mut readings: TVec<Reading<'_>> = tvec![];
            for part in &mut step.parts {
                let end = first + part.tokens;
                readings.push(Reading {
                    qkv: &qkv[first * stride..end * stride],
                    angles: &angles[first * rotary..end * rotary],
                    past: part.past,
                    tokens: part.tokens,
                    blocks: &mut part.blocks,
                });
                first = end;
            }
            let mut done = Ok(());
            let out = filled(&[1, tokens, self.heads * self.head_width], |out| {
                done = self.kernel(room).run(Isa::current(), &mut readings, out);
                if done.is_err() {
                    out.fill(0.0);
                }
            });
            ensure!(done.is_ok(), "a block of the cache is in use elsewhere");
            out
        })
    }
}

impl TypedOp for CausalAttention {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        self.check().map_err(|reason| format_err!("{reason}"))?;
        let [input] = inputs else { bail!("expected one input, got {}", inputs.len()) };
        let stride = self.stride();
        let fits = input.datum_type == f32::datum_type()
            && input.rank() == 3
            && input.shape[0].is_one()
            && input.shape[2] == stride.to_dim();
        ensure!(fits, "expected f32 [1, tokens, {stride}], got {input:?}");
        Ok(tvec!(f32::fact([1.to_dim(), input.shape[1].clone(), (self.heads * self.head_width).to_dim()])))
    }

    as_op!();
}
