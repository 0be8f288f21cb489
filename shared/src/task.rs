//! Tasks: what a model is for. They turn what people send into tensors, and tensors into answers.

pub mod classify;
pub mod elements;
pub mod embed;
pub mod generate;
mod image;
mod input;
pub mod json;
mod predict;
pub mod rerank;
mod row;
mod scores;
mod table;
pub mod text;

pub use input::{InputError, check as check_tensors};
pub(crate) use input::{wrong_dtype, wrong_shape};
pub use predict::{Answer, Payload, PredictError, predict, predict_all, read_inputs};
pub use row::Row;
pub use scores::Prediction;
