//! The linear algebra of shrinking a model: products, roots, inverses, decompositions.
//!
//! All in double precision, on one thread: what goes in alike comes out alike, bit for bit, on one machine. It is a crate
//! of its own so that it is built once, and optimized in a debug build too.

mod decomposition;
mod elimination;
mod matrix;
#[cfg(test)]
mod numbers;
mod root;
mod thinning;

pub use decomposition::{Eigen, Singular};
pub use elimination::{Elimination, Removal};
pub use matrix::Matrix;
pub use root::Root;
pub use thinning::{Block, Thinning};
