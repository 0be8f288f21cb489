//! Small graphs, each with what one rewrite makes of it, or that it leaves it alone.

mod activate;
mod attention;
mod embedding;
mod linear;
mod mask;
mod norm;

use emberlite::engine::Plan;
use tract_core::internal::*;
use tract_core::ops::einsum::EinSum;

use super::{REWRITES, fuse};

/// How far a number may be from what it was, relative to the greater of 1 and itself.
const TOLERANCE: f32 = 1e-5;

/// A graph over texts `[N, S, ..]`.
pub(super) struct Graph {
    pub(super) model: TypedModel,
    random: fastrand::Rng,
}

impl Graph {
    pub(super) fn new() -> Self {
        Self { model: TypedModel::default(), random: fastrand::Rng::with_seed(3) }
    }

    fn dims(&self) -> [TDim; 2] {
        ["N", "S"].map(|name| self.model.symbols.sym(name).to_dim())
    }

    /// An input `[N, S, ..]`.
    pub(super) fn input(&mut self, name: &str, further: &[usize]) -> OutletId {
        let shape: TVec<TDim> = self.dims().into_iter().chain(further.iter().map(|size| size.to_dim())).collect();
        self.model.add_source(name, f32::fact(shape)).unwrap()
    }

    /// An input `[N, T, ..]`, of texts as many as those of other inputs, and longer.
    pub(super) fn longer(&mut self, name: &str, further: &[usize]) -> OutletId {
        let sizes = ["N", "T"].map(|name| self.model.symbols.sym(name).to_dim());
        let shape: TVec<TDim> = sizes.into_iter().chain(further.iter().map(|size| size.to_dim())).collect();
        self.model.add_source(name, f32::fact(shape)).unwrap()
    }

    /// An input of ids `[N, S]`.
    pub(super) fn ids(&mut self, name: &str) -> OutletId {
        let shape = self.dims();
        self.model.add_source(name, i64::fact(shape)).unwrap()
    }

    /// An input of ids `[N, T]`, of texts as many as those of other inputs, and longer.
    pub(super) fn longer_ids(&mut self, name: &str) -> OutletId {
        let shape = ["N", "T"].map(|name| self.model.symbols.sym(name).to_dim());
        self.model.add_source(name, i64::fact(shape)).unwrap()
    }

    pub(super) fn constant(&mut self, shape: &[usize]) -> OutletId {
        let numbers: Vec<f32> = (0..shape.iter().product()).map(|_| self.random.f32() - 0.5).collect();
        self.tensor(Tensor::from_shape(shape, &numbers).unwrap())
    }

    /// A number, of a rank.
    pub(super) fn number(&mut self, number: f32, rank: usize) -> OutletId {
        self.tensor(Tensor::from_shape(&vec![1; rank], &[number]).unwrap())
    }

    pub(super) fn tensor(&mut self, tensor: Tensor) -> OutletId {
        let name = format!("constant_{}", self.model.nodes.len());
        self.model.add_const(name, tensor).unwrap()
    }

    pub(super) fn op(&mut self, op: impl Into<Box<dyn TypedOp>>, inputs: &[OutletId]) -> OutletId {
        let name = format!("node_{}", self.model.nodes.len());
        self.model.wire_node(name, op, inputs).unwrap()[0]
    }

    pub(super) fn product(&mut self, axes: &str, inputs: &[OutletId]) -> OutletId {
        self.op(EinSum::new(axes.parse().unwrap(), f32::datum_type()), inputs)
    }

    /// What these rewrites leave of the graph, by operator, constants and inputs aside. The numbers must stay.
    pub(super) fn rewritten(mut self, rewrites: &[&str], outputs: &[OutletId]) -> Vec<String> {
        self.model.select_output_outlets(outputs).unwrap();
        let mut after = self.model.clone();
        for rewrite in rewrites {
            REWRITES.into_iter().find(|known| known.name == *rewrite).unwrap().apply(&mut after).unwrap();
        }
        after.compact().unwrap();
        same_numbers(&self.model, &after);
        operators(&after)
    }

    /// What all rewrites together leave of the graph, decluttered as imported ones are.
    pub(super) fn fused(mut self, outputs: &[OutletId]) -> Vec<String> {
        self.model.select_output_outlets(outputs).unwrap();
        self.model.declutter().unwrap();
        let mut after = self.model.clone();
        fuse(&mut after).unwrap();
        same_numbers(&self.model, &after);
        operators(&after)
    }
}

fn operators(model: &TypedModel) -> Vec<String> {
    let mut names: Vec<String> = model.nodes.iter().map(|node| node.op.name().into_owned()).collect();
    names.retain(|name| name != "Const" && name != "Source");
    names.sort();
    names
}

fn same_numbers(before: &TypedModel, after: &TypedModel) {
    let mut random = fastrand::Rng::with_seed(5);
    let plans = [before, after].map(|model| Plan::new(model.clone()).unwrap());
    for (texts, tokens) in [(1, 1), (2, 5), (3, 9)] {
        let values = [("N", texts), ("S", tokens), ("T", tokens + 2)]
            .into_iter()
            .fold(SymbolValues::default(), |values, (name, size)| values.with(&before.symbols.sym(name), size));
        let mut input = |outlet: &OutletId| {
            let fact = before.outlet_fact(*outlet).unwrap();
            let shape: Vec<usize> = fact.shape.iter().map(|dim| dim.eval_to_i64(&values).unwrap() as usize).collect();
            let count = shape.iter().product::<usize>();
            if fact.datum_type == i64::datum_type() {
                // The first token of a text is never padding.
                let ids: Vec<i64> =
                    (0..count).map(|at| if at % tokens as usize == 0 { 1 } else { random.i64(0..2) }).collect();
                Tensor::from_shape(&shape, &ids).unwrap()
            } else {
                let numbers: Vec<f32> = (0..count).map(|_| random.f32() * 4.0 - 2.0).collect();
                Tensor::from_shape(&shape, &numbers).unwrap()
            }
        };
        let inputs: Vec<Tensor> = before.inputs.iter().map(&mut input).collect();
        let [expected, got] = plans.each_ref().map(|plan| plan.run(inputs.clone()).unwrap());
        for (expected, got) in expected.iter().zip(&got) {
            assert_eq!(got.shape(), expected.shape());
            let [got, expected] = [got, expected].map(|tensor| tensor.to_plain_array_view::<f32>().unwrap());
            for (got, expected) in got.iter().zip(&expected) {
                let close = (got - expected).abs() <= TOLERANCE * expected.abs().max(1.0);
                assert!(close, "{texts} texts of {tokens} tokens: expected {expected}, got {got}");
            }
        }
    }
}

#[test]
fn a_graph_that_nothing_fits_stays_as_it_is() {
    let mut graph = Graph::new();
    let x = graph.input("x", &[6]);
    let y = graph.input("y", &[6]);
    let product = graph.product("bsk,btk->bst", &[x, y]);
    let output = graph.op(tract_core::ops::math::tanh(), &[product]);
    graph.model.select_output_outlets(&[output]).unwrap();
    let before = format!("{:?}", graph.model);
    let report = fuse(&mut graph.model).unwrap();
    assert!(report.is_unchanged(), "{report:?}");
    assert_eq!(before, format!("{:?}", graph.model));
}
