//! The function `embed`: texts in, vectors out; similarity and reranking beside it.

use std::process::ExitCode;

fn main() -> ExitCode {
    let about = "Emberlite's function embed: texts in, vectors out; similarity and reranking beside it.";
    emberlite::adapter::run("embed", about, emberlite::api::embed)
}
