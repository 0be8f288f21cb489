//! The hot arithmetic of Emberlite, on plain slices: no graph, no package, no thread of its own beyond [`threads`].
//!
//! Every kernel is written once over [`lanes`], vectors of the widest kind that an instruction set has, and runs on
//! AVX-512, AVX2 or portable Rust; only the integer dot products have a body per instruction set. [`Isa`] is chosen once.
//! The public functions check every length, so that the unsafe code behind them may trust its pointers.

mod activation;
mod attention;
pub mod cache;
mod causal;
mod embedding;
mod isa;
mod lanes;
pub mod linear;
mod math;
mod norm;
mod scratch;
mod softmax;
pub mod threads;
mod tile;

pub use activation::{Activation, activate, gate};
pub use attention::{Attention, Heads, Mask};
pub use causal::{BlockInUse, CausalAttention, Reading};
pub use embedding::{Rows, Values, add_row, nibbles};
pub use isa::{Isa, IsaError};
pub use linear::Linear;
pub use norm::{Norm, NormKind};
