//! The function `classify`: texts in, labels out.

use std::process::ExitCode;

fn main() -> ExitCode {
    let about = "Emberlite's function classify: texts in, labels out.";
    emberlite::adapter::run("classify", about, emberlite::api::classify)
}
