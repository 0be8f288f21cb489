//! The engine: tract runs the graph. It knows tensors, and nothing of HTTP, stores or clouds.

mod bounds;
mod decoder;
mod dialect;
mod graph;
mod ids;
mod labels;
mod parse;
mod plan;
mod sequence;
pub mod tensor;

pub use decoder::{Chunk, Decoder, Logits};
pub use emberlite_kernels::Isa;
pub use emberlite_kernels::cache::CacheFormat;
pub use graph::{Graph, Library, read as read_graph, write as write_graph};
pub use labels::labels;
pub use plan::Plan;
pub use sequence::Sequence;

pub use crate::ops::step::Want;

/// How many threads compute, and with which instruction set. It has to be said before the first model runs; without it
/// there is one thread, and the best instruction set of the CPU.
pub fn prepare(threads: usize, isa: Isa) {
    emberlite_kernels::threads::set(threads);
    if let Err(error) = isa.choose() {
        tracing::warn!(%error, "kernels use another instruction set");
    }
}

/// Why a graph can't be read, written, planned or run.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum EngineError {
    #[error("the graph can't be written: {0}")]
    Write(String),
    #[error("the graph can't be read: {0}")]
    Read(String),
    #[error("weight {name:?} of the graph can't be used: {reason}")]
    Weight { name: String, reason: String },
    #[error("the graph can't be planned: {0}")]
    Plan(String),
    #[error("running the model failed: {0}")]
    Run(String),
    #[error("the graph is no language model: {0}")]
    Decoder(String),
    #[error("input {input:?} has the id {id}, which has no row: its table has {rows} rows")]
    UnknownId { input: String, id: i64, rows: i64 },
}

/// A tract error as one line, its causes joined.
fn explain(error: &tract_core::prelude::TractError) -> String {
    error.chain().map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Runs `work`, a panic of tract's becoming an error text: a graph comes from outside.
fn guarded<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("no message");
        Err(format!("the engine panicked: {text}"))
    })
}
