//! The function `generate`: a prompt or a chat in, text out as it comes.

use std::process::ExitCode;

fn main() -> ExitCode {
    let about = "Emberlite's function generate: a prompt or a chat in, text out as it comes.";
    emberlite::adapter::run_streaming("generate", about, emberlite::api::generate)
}
