//! The tract operators this project exists for, and those that tract lacks.
//!
//! The hot ones run on `emberlite_kernels` and borrow their weights from the package ([`weights`]).

pub mod activation;
pub mod attention;
pub mod cast_text;
pub mod causal_attention;
pub mod embedding;
pub mod key_mask;
pub mod label_map;
pub mod linear;
pub mod norm;
pub mod one_hot;
pub mod opaque;
mod output;
pub mod pool;
pub mod position_bias;
pub mod rows;
pub mod step;
mod text;
pub mod tree_ensemble;
pub mod weights;

#[cfg(test)]
mod tests;

pub use activation::{Activate, Activation, Gated};
pub use attention::Attention;
pub use causal_attention::{CausalAttention, CausalAttentionSpec};
pub use embedding::{Embedding, Lookup, Table};
pub use key_mask::KeyMask;
pub use linear::{Linear, Q4Blocks, Range, WeightFormat};
pub use norm::Norm;
pub use pool::{Pool, Pooling};
pub use position_bias::PositionBias;
pub use rows::Rows;
use tract_core::ops::nn::GeluExact;
use tract_nnef::internal::Registry;

/// The tract-OPL registry `emberlite`: every operator of ours, with its dumper and its loader.
pub fn registry() -> Registry {
    let mut registry = Registry::new("emberlite")
        .with_doc("Operators of Emberlite.")
        .with_doc("")
        .with_doc("Add `extension tract_registry emberlite` to `graph.nnef`");
    activation::register(&mut registry);
    attention::register(&mut registry);
    cast_text::register(&mut registry);
    causal_attention::register(&mut registry);
    embedding::register(&mut registry);
    key_mask::register(&mut registry);
    label_map::register(&mut registry);
    linear::register(&mut registry);
    norm::register(&mut registry);
    one_hot::register(&mut registry);
    opaque::register(&mut registry);
    pool::register(&mut registry);
    position_bias::register(&mut registry);
    rows::register(&mut registry);
    tree_ensemble::register(&mut registry);
    // tract has this operator, and makes it of a graph's GELU, but gives it no tract-OPL form.
    registry.register_unit_element_wise("emberlite_gelu_exact", &GeluExact {});
    registry
}
