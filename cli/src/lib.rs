//! The command `emberlite`: pack a model, look into the package, push it to a store, serve it.

pub mod bench;
pub mod fuse;
pub mod import;
pub mod inspect;
pub mod interrupt;
pub mod pack;
pub mod progress;
pub mod pull;
pub mod push;
pub mod quantize;
pub mod recipe;
pub mod serve;
pub mod texts;
pub mod vocabulary;
