//! The tract operators this project exists for, and those that tract lacks.

use tract_nnef::internal::Registry;

/// The tract-OPL registry `emberlite`: every operator of ours, with its dumper and its loader.
pub fn registry() -> Registry {
    Registry::new("emberlite")
}
