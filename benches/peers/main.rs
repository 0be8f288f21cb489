//! The comparison: the same models, requests and machine, on Emberlite and on Flask with onnxruntime, in one table.

mod cold;
mod contender;
mod disk;
mod http;
mod lambda;
mod limits;
mod process;
mod s3;
mod stand_in;
mod statistics;
mod table;
mod warm;
mod work;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use serde_json::{Value, json};

use crate::cold::ColdStarts;
use crate::contender::Programs;
use crate::disk::Installed;
use crate::lambda::Runtime;
use crate::limits::Limits;
use crate::s3::Endpoint;
use crate::table::{Row, Table};
use crate::work::Work;

/// Compares Emberlite's function `predict` with Flask and onnxruntime; prints one table in Markdown.
#[derive(Debug, Parser)]
#[command(name = "peers", max_term_width = 100)]
struct Options {
    /// Emberlite's function, built for release [default: the program beside this one]
    #[arg(long, value_name = "FILE")]
    predict: Option<PathBuf>,
    /// The Python that has tests/requirements.txt [default: the checkout's .venv]
    #[arg(long, value_name = "FILE")]
    python: Option<PathBuf>,
    /// The folder store with the models, their recipes and ONNX files [default: the checkout]
    #[arg(long, value_name = "FOLDER")]
    store: Option<PathBuf>,
    /// The models to compare on, tables only
    #[arg(long = "model", value_name = "NAME", default_values = ["diagnosis", "credit"])]
    models: Vec<String>,
    /// Writes the numbers with their spreads to this file as well
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Measures less, to see that all of it works
    #[arg(long)]
    quick: bool,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let benches = Path::new(env!("CARGO_MANIFEST_DIR"));
    let checkout = benches.parent().context("the benchmarks lie in a checkout")?;
    let beside = std::env::current_exe()?.with_file_name("predict");
    let programs = Programs {
        predict: options.predict.clone().unwrap_or(beside),
        python: options.python.clone().unwrap_or_else(|| checkout.join(".venv/bin/python")),
        flask_app: benches.join("peers/flask_app.py"),
        store: options.store.clone().unwrap_or_else(|| checkout.to_owned()),
    };
    let hint = "build it with `cargo build --release --workspace`, or name it with --predict";
    ensure!(programs.predict.is_file(), "{} is not there: {hint}", programs.predict.display());
    let installed = Installed::ask(&programs.python, &benches.join("peers/installed.py"))?;

    let rows = measure(&options, &programs, &installed)?;
    let conditions = conditions(&installed)?;
    if let Some(path) = &options.json {
        let rows: Vec<Value> = rows.iter().map(Row::to_json).collect();
        let text = serde_json::to_string_pretty(&json!({ "conditions": conditions, "rows": rows }))?;
        fs::write(path, text).with_context(|| format!("can't write {}", path.display()))?;
    }
    println!("{}\nMedians, in brackets the middle half. {conditions}", Table(&rows));
    Ok(())
}

fn measure(options: &Options, programs: &Programs, installed: &Installed) -> Result<Vec<Row>> {
    let limits = if options.quick { Limits::QUICK } else { Limits::FULL };
    let s3 = Endpoint::start(&programs.store, &options.models)?;
    let runtime = Runtime::start()?;
    let mut rows = Vec::new();
    for model in &options.models {
        let work = Work::read(&programs.store, model)?;
        tell(&format!("{model}: cold starts"));
        let cold = ColdStarts { programs, s3: &s3, runtime: &runtime, work: &work, limits };
        rows.extend(cold.measure().with_context(|| format!("cold starts of {model}"))?);
        tell(&format!("{model}: warm"));
        rows.extend(warm::measure(programs, &work, limits).with_context(|| format!("warm runs of {model}"))?);
    }
    rows.push(installed.row(programs)?);
    Ok(rows)
}

/// Where and with what was measured.
fn conditions(installed: &Installed) -> Result<String> {
    let cpu = fs::read_to_string("/proc/cpuinfo")?;
    let name = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let name = name.map_or("unknown CPU", |(_, name)| name.trim());
    let cores = thread::available_parallelism()?;
    Ok(format!("{name}, {cores} cores; {}.", installed.versions()))
}

/// Progress, for whoever watches; the table alone goes to standard output.
fn tell(text: &str) {
    // A standard error that is closed is no reason to stop measuring.
    drop(writeln!(std::io::stderr(), "{text}"));
}
