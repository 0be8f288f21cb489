//! Tasks: what a model is for. They turn what people send into tensors, and tensors into answers.

pub mod elements;
mod image;
mod input;
pub mod json;
mod predict;
mod scores;
mod table;

pub use input::{InputError, check as check_tensors};
pub(crate) use input::{wrong_dtype, wrong_shape};
pub use predict::{Answer, Payload, PredictError, predict, read_inputs};
pub use scores::Prediction;
