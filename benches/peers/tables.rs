//! Tables: the same models, requests and machine, on Emberlite and on Flask with onnxruntime.

mod cold;
mod contender;
mod disk;
mod lambda;
mod limits;
mod warm;
mod work;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use clap::Args;

use self::cold::ColdStarts;
use self::contender::Programs;
use self::disk::Installed;
use self::lambda::Runtime;
use self::limits::Limits;
use self::work::Work;
use crate::report::{Report, tell};
use crate::s3::Endpoint;
use crate::stand_in::Way;
use crate::table::Row;

/// Compares Emberlite's function `predict` with Flask and onnxruntime; prints one table in Markdown.
#[derive(Debug, Args)]
pub(crate) struct Options {
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

/// Measures, and reports.
pub(crate) fn run(options: &Options) -> Result<()> {
    let benches = Path::new(env!("CARGO_MANIFEST_DIR"));
    let checkout = benches.parent().context("the benchmarks lie in a checkout")?;
    let beside = std::env::current_exe()?.with_file_name("predict");
    let scripts = benches.join("peers/tables");
    let programs = Programs {
        predict: options.predict.clone().unwrap_or(beside),
        python: options.python.clone().unwrap_or_else(|| checkout.join(".venv/bin/python")),
        flask_app: scripts.join("flask_app.py"),
        store: options.store.clone().unwrap_or_else(|| checkout.to_owned()),
    };
    let hint = "build it with `cargo build --release --workspace`, or name it with --predict";
    ensure!(programs.predict.is_file(), "{} is not there: {hint}", programs.predict.display());
    let installed = Installed::ask(&programs.python, &scripts.join("installed.py"))?;
    let rows = measure(options, &programs, &installed)?;
    let report = Report { peer: "Flask + onnxruntime", rows: &rows, versions: &installed.versions() };
    report.tell(options.json.as_deref())
}

fn measure(options: &Options, programs: &Programs, installed: &Installed) -> Result<Vec<Row>> {
    let limits = if options.quick { Limits::QUICK } else { Limits::FULL };
    let s3 = Endpoint::start(&programs.store, &options.models, Way::default())?;
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
