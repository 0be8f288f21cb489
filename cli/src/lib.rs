//! The command `emberlite`: pack a model, look into the package, push it to a store, serve it.

pub mod bench;
pub mod calibrate;
pub mod data;
pub mod fuse;
pub mod import;
pub mod inspect;
pub mod interrupt;
pub mod jobs;
pub mod keygen;
pub mod pack;
pub mod progress;
pub mod prune;
pub mod pull;
pub mod push;
pub mod quantize;
pub mod recipe;
pub mod search;
pub mod serve;
pub mod sign;
pub mod source;
pub mod texts;
pub mod trust;
pub mod verify;
pub mod vocabulary;
