//! Emberlite serves small models from serverless functions, on the CPU the function already has.
//!
//! A request travels through the rooms in this order:
//!
//! - [`adapter`]: one binary, every runtime. Finds out whether it runs on Lambda or as a plain HTTP server.
//! - `events`, [`consume`], [`queue`]: requests that come as messages, and where their results go.
//! - [`api`]: the dialects of HTTP and JSON that clients speak, errors included.
//! - [`task`]: what a model is for: tables and images to tensors, tensors to labels and probabilities.
//! - [`model`]: the package format, its manifest, and the cell that loads a model once.
//! - [`store`]: where packages come from: a folder or S3.
//! - [`trust`]: signatures of packages and their encryption, and what a function wants of both.
//! - [`tokenizer`]: texts to token ids.
//! - [`engine`]: tract: graph to plan, plan to outputs.
//! - [`ops`]: the operators tract lacks.
//!
//! A room knows the next one, never the one before it. [`config`] and [`telemetry`] serve them all; `aws` those that speak to
//! AWS.

pub mod adapter;
pub mod api;
mod aws;
pub mod config;
pub mod consume;
pub mod engine;
mod events;
pub mod model;
pub mod ops;
pub mod queue;
pub mod store;
pub mod task;
pub mod telemetry;
pub mod tokenizer;

pub use aws::roots as root_certificates;
pub mod trust;
