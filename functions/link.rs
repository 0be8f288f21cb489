//! The build script of every function: links it at a fixed address, so that a cold start applies no relocations and dirties
//! no memory for them.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=../link.rs");
    let target = |part: &str| env::var(format!("CARGO_CFG_TARGET_{part}")).unwrap_or_default();
    if target("OS") == "linux" && target("ENV") == "gnu" {
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
}
