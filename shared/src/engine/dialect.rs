//! The NNEF operators that a graph uses, and no others.
//!
//! tract declares all of NNEF by parsing the standard's text, twice, which takes longer than all else that a small model
//! needs to load. Here a declaration is parsed only where a graph speaks its name.

use std::collections::HashSet;
use std::sync::LazyLock;

use tract_core::ops::{logic, math, nn};
use tract_nnef::ast::parse::parse_fragments;
use tract_nnef::framework::Nnef;
use tract_nnef::internal::{Registry, ToTract, TractResult};
use tract_nnef::ops::nnef::deser;

/// All of NNEF, tract's extensions and ours: what graphs are written with.
pub(super) static COMPLETE: LazyLock<Nnef> = LazyLock::new(|| {
    tract_nnef::nnef().with_registry(tract_onnx_opl::onnx_opl_registry()).with_registry(crate::ops::registry())
});

/// tract's extensions and ours, and of NNEF what `text` names.
///
/// # Errors
/// None for the declarations below; they are parsed here for the first time.
pub(super) fn for_graph(text: &str) -> TractResult<Nnef> {
    Ok(Nnef {
        stdlib: Vec::new(),
        registries: vec![
            nnef(text)?,
            tract_nnef::ops::tract_core(),
            tract_onnx_opl::onnx_opl_registry(),
            crate::ops::registry(),
        ],
        resource_loaders: Vec::new(),
        allow_extended_identifier_syntax: false,
        extern_all_constants: false,
    })
}

fn nnef(text: &str) -> TractResult<Registry> {
    let words: HashSet<&str> = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    let mut registry = Registry::new("tract_nnef");
    register_elementwise(&mut registry);
    let uses_max_pool = words.contains(MAX_POOL.0);
    for &(name, declaration, to_tract) in PRIMITIVES {
        if words.contains(name) || (uses_max_pool && name == "max_pool_with_index") {
            for fragment in parse_fragments(declaration)? {
                registry.register_primitive(name, &fragment.decl.parameters, &fragment.decl.results, to_tract);
            }
        }
    }
    if uses_max_pool {
        parse_fragments(MAX_POOL.1)?.into_iter().for_each(|fragment| registry.register_fragment(fragment));
    }
    Ok(registry)
}

fn register_elementwise(registry: &mut Registry) {
    macro_rules! unary {
        ($($name:literal $op:expr),* $(,)?) => { $(registry.register_unit_element_wise($name, &$op);)* };
    }
    macro_rules! binary {
        ($($name:literal $op:expr),* $(,)?) => { $(registry.register_binary($name, &$op);)* };
    }
    unary!(
        "exp" math::Exp {}, "log" math::Ln {}, "sin" math::Sin {}, "cos" math::Cos {}, "abs" math::Abs {},
        "neg" math::Neg {}, "sign" math::Sign {}, "recip" math::Recip {}, "tan" math::Tan {}, "acos" math::Acos {},
        "asin" math::Asin {}, "atan" math::Atan {}, "cosh" math::Cosh {}, "sinh" math::Sinh {},
        "acosh" math::Acosh {}, "asinh" math::Asinh {}, "atanh" math::Atanh {}, "floor" math::Floor {},
        "ceil" math::Ceil {}, "round" math::Round {}, "square" math::Square {}, "sqrt" math::Sqrt {},
        "rsqrt" math::Rsqrt {}, "tanh" math::Tanh {}, "sigmoid" nn::Sigmoid {}, "not" logic::Not {},
    );
    binary!(
        "add" math::Add {}, "sub" math::Sub {}, "mul" math::Mul {}, "div" math::Div {}, "pow" math::Pow {},
        "min" math::Min {}, "max" math::Max {}, "eq" logic::CompEq, "ne" logic::CompNE, "lt" logic::CompLT,
        "gt" logic::CompGT, "le" logic::CompLTE, "ge" logic::CompGTE, "and" logic::And {}, "or" logic::Or {},
    );
}

/// The one composed operator that tract writes.
const MAX_POOL: (&str, &str) = (
    "max_pool",
    "fragment max_pool( input: tensor<scalar>, size: integer[], border: string = 'constant', \
     padding: (integer,integer)[] = [], stride: integer[] = [], dilation: integer[] = [] ) \
     -> ( output: tensor<scalar> ) { output, index = max_pool_with_index(input, size = size, border = border, \
     padding = padding, stride = stride, dilation = dilation); }",
);

/// The operators of NNEF 1.0 that tract writes, each as the standard declares it.
#[rustfmt::skip]
const PRIMITIVES: &[(&str, &str, ToTract)] = &[
    ("external", "fragment external<? = scalar>( shape: integer[] ) -> ( output: tensor<?> );", deser::external),
    ("variable", "fragment variable<? = scalar>( shape: integer[], label: string ) -> ( output: tensor<?> );", deser::variable),
    ("reshape", "fragment reshape<?>( input: tensor<?>, shape: integer[], axis_start: integer = 0, axis_count: integer = -1 ) -> ( output: tensor<?> );", deser::reshape),
    ("transpose", "fragment transpose<?>( input: tensor<?>, axes: integer[] ) -> ( output: tensor<?> );", deser::transpose),
    ("concat", "fragment concat<?>( values: tensor<?>[], axis: integer ) -> ( value: tensor<?> );", deser::concat),
    ("slice", "fragment slice<?>( input: tensor<?>, axes: integer[], begin: integer[], end: integer[] ) -> ( output: tensor<?> );", deser::slice),
    ("squeeze", "fragment squeeze<?>( input: tensor<?>, axes: integer[] ) -> ( output: tensor<?> );", deser::squeeze),
    ("unsqueeze", "fragment unsqueeze<?>( input: tensor<?>, axes: integer[] ) -> ( output: tensor<?> );", deser::unsqueeze),
    ("tile", "fragment tile<?>( input: tensor<?>, repeats: integer[] ) -> ( output: tensor<?> );", deser::tile),
    ("pad", "fragment pad( input: tensor<scalar>, padding: (integer, integer)[], border: string = 'constant', value: scalar = 0.0 ) -> ( output: tensor<scalar> );", deser::pad),
    ("matmul", "fragment matmul( A: tensor<scalar>, B: tensor<scalar>, transposeA: logical = false, transposeB: logical = false ) -> ( C: tensor<scalar> );", deser::matmul),
    ("conv", "fragment conv( input: tensor<scalar>, filter: tensor<scalar>, bias: tensor<scalar> = 0.0, border: string = 'constant', padding: (integer,integer)[] = [], stride: integer[] = [], dilation: integer[] = [], groups: integer = 1 ) -> ( output: tensor<scalar> );", deser::conv),
    ("deconv", "fragment deconv( input: tensor<scalar>, filter: tensor<scalar>, bias: tensor<scalar> = 0.0, border: string = 'constant', padding: (integer,integer)[] = [], stride: integer[] = [], dilation: integer[] = [], output_shape: integer[] = [], groups: integer = 1 ) -> ( output: tensor<scalar> );", deser::deconv),
    ("select", "fragment select<?>( condition: tensor<logical>, true_value: tensor<?>, false_value: tensor<?> ) -> ( output: tensor<?> );", deser::select),
    ("sum_reduce", "fragment sum_reduce( input: tensor<scalar>, axes: integer[], normalize: logical = false ) -> ( output: tensor<scalar> );", deser::reduce),
    ("max_reduce", "fragment max_reduce( input: tensor<scalar>, axes: integer[] ) -> ( output: tensor<scalar> );", deser::reduce),
    ("min_reduce", "fragment min_reduce( input: tensor<scalar>, axes: integer[] ) -> ( output: tensor<scalar> );", deser::reduce),
    ("all_reduce", "fragment all_reduce( input: tensor<logical>, axes: integer[] ) -> ( output: tensor<logical> );", deser::reduce),
    ("any_reduce", "fragment any_reduce( input: tensor<logical>, axes: integer[] ) -> ( output: tensor<logical> );", deser::reduce),
    ("argmax_reduce", "fragment argmax_reduce( input: tensor<scalar>, axes: integer[] ) -> ( output: tensor<integer> );", deser::reduce),
    ("argmin_reduce", "fragment argmin_reduce( input: tensor<scalar>, axes: integer[] ) -> ( output: tensor<integer> );", deser::reduce),
    ("softmax", "fragment softmax( x: tensor<scalar>, axes: integer[] = [1] ) -> ( y: tensor<scalar> );", deser::softmax),
    ("max_pool_with_index", "fragment max_pool_with_index( input: tensor<scalar>, size: integer[], border: string = 'constant', padding: (integer,integer)[] = [], stride: integer[] = [], dilation: integer[] = [] ) -> ( output: tensor<scalar>, index: tensor<integer> );", deser::max_pool_with_index),
    ("box", "fragment box( input: tensor<scalar>, size: integer[], border: string = 'constant', padding: (integer,integer)[] = [], stride: integer[] = [], dilation: integer[] = [], normalize: logical = false ) -> ( output: tensor<scalar> );", deser::sum_pool),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_declaration_is_that_of_tract() {
        let complete = tract_nnef::ops::tract_nnef();
        let all: Vec<_> = PRIMITIVES.iter().map(|(name, _, _)| *name).chain([MAX_POOL.0]).collect();
        let mine = nnef(&all.join(" ")).unwrap();
        assert_eq!(mine.primitives.len(), PRIMITIVES.len());
        for (name, primitive) in &mine.primitives {
            let theirs = &complete.primitives[name].decl;
            assert_eq!(primitive.decl.parameters, theirs.parameters, "{}", name.0);
            assert_eq!(primitive.decl.results, theirs.results, "{}", name.0);
        }
        for (name, fragment) in &mine.fragments {
            assert_eq!(*fragment, complete.fragments[name], "{}", name.0);
        }
    }

    #[test]
    fn every_elementwise_operator_of_tract_is_there() {
        let complete = tract_nnef::ops::tract_nnef();
        let mine = nnef("").unwrap();
        for (name, op) in &complete.unit_element_wise_ops {
            let found = mine.unit_element_wise_ops.iter().find(|(mine, _)| mine == name);
            assert_eq!(found.map(|(_, op)| format!("{op:?}")), Some(format!("{op:?}")), "{}", name.0);
        }
        // tract binds `select` to a binary operator too, which its primitive of that name hides.
        for (name, op) in complete.binary_ops.iter().filter(|(name, _)| name.0 != "select") {
            let found = mine.binary_ops.iter().find(|(mine, _)| mine == name);
            assert_eq!(found.map(|(_, op)| format!("{op:?}")), Some(format!("{op:?}")), "{}", name.0);
        }
    }
}
