//! The tract operators this project exists for, and those that tract lacks.

pub mod cast_text;
pub mod label_map;
pub mod one_hot;
pub mod pool;
mod text;
pub mod tree_ensemble;

pub use pool::Pooling;
use tract_nnef::internal::Registry;

/// The tract-OPL registry `emberlite`: every operator of ours, with its dumper and its loader.
pub fn registry() -> Registry {
    let mut registry = Registry::new("emberlite")
        .with_doc("Operators of Emberlite.")
        .with_doc("")
        .with_doc("Add `extension tract_registry emberlite` to `graph.nnef`");
    cast_text::register(&mut registry);
    label_map::register(&mut registry);
    one_hot::register(&mut registry);
    tree_ensemble::register(&mut registry);
    registry
}
