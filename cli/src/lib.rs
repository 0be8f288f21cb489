//! The packer's side of Emberlite: a model file in, a package out.

pub mod import;
