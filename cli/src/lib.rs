//! The command `emberlite`: pack a model, look into the package, push it to a store, serve it.

pub mod files;
pub mod fuse;
pub mod import;
pub mod inspect;
pub mod keygen;
pub mod pack;
pub mod progress;
pub mod push;
pub mod quantize;
pub mod recipe;
pub mod serve;
pub mod sign;
pub mod texts;
pub mod trust;
pub mod vocabulary;
