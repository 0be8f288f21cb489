//! The function `predict`: tensors, tables and images in, scores out.

use std::process::ExitCode;

fn main() -> ExitCode {
    let about = "Emberlite's function predict: tensors, tables and images in, scores out.";
    emberlite::adapter::run("predict", about, emberlite::api::predict)
}
