//! Starts: from spawning a process to its first answer, with the model in a folder or in S3 behind lines of known speed.

mod contender;
mod place;
mod waterfall;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use clap::Args;

use self::contender::{Programs, Start};
use self::place::{Place, Places};
use self::waterfall::Waterfall;
use crate::report::{Report, tell};
use crate::table::{Row, Unit};

/// Compares cold starts with onnxruntime, tokenizers and boto3; shows where each millisecond goes.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The folder of Emberlite's functions, built for release [default: where this program is]
    #[arg(long, value_name = "FOLDER")]
    functions: Option<PathBuf>,
    /// The Python that has the peer's packages [default: the checkout's .venv]
    #[arg(long, value_name = "FILE")]
    python: Option<PathBuf>,
    /// The folder store with the models minilm (beside its package: model.onnx, tokenizer.json), diagnosis and random
    #[arg(long, value_name = "FOLDER")]
    store: PathBuf,
    /// How often each start is made
    #[arg(long, value_name = "COUNT", default_value_t = 15)]
    rounds: usize,
    /// Writes the numbers with their spreads to this file as well
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// A model, and what its first answer is to keep to.
struct Model {
    name: &'static str,
    function: &'static str,
    /// Whether the peer can start it as well.
    has_peer: bool,
    places: Vec<(Place, String)>,
}

/// The starts of one model from one place, in the order in which they were made.
#[derive(Default)]
struct Starts {
    ours: Vec<Start>,
    peer: Vec<Start>,
}

/// What a package may take beside its own size.
const MEMORY_AIM: &str = "30 MB";
/// What of a package's way over a line may be lost, and what a start may take beside it.
const LINE_AIM: (f64, f64) = (1.10, 40.0);

/// Measures, and reports.
pub(crate) fn run(options: &Options) -> Result<()> {
    let benches = Path::new(env!("CARGO_MANIFEST_DIR"));
    let checkout = benches.parent().context("the benchmarks lie in a checkout")?;
    let beside = std::env::current_exe()?;
    let programs = Programs {
        functions: options
            .functions
            .clone()
            .or(beside.parent().map(Path::to_owned))
            .context("no folder of functions")?,
        python: options.python.clone().unwrap_or_else(|| checkout.join(".venv/bin/python")),
        embed: benches.join("peers/starts/embed.py"),
        store: options.store.clone(),
    };
    let places = Places::open(&options.store, &["minilm", "diagnosis", "random"])?;
    let mut rows = Vec::new();
    let mut waterfalls = Vec::new();
    for model in models(&programs)? {
        let measured = measure(&programs, &places, &model, options.rounds)?;
        for ((place, aim), starts) in model.places.iter().zip(&measured) {
            rows.push(starts.row(place, &model, aim));
            waterfalls.extend(starts.typical().map(|start| Waterfall::new(model.name, *place, start).to_string()));
        }
        let package = programs.package_bytes(model.name)? as f64;
        rows.extend(
            model.places.iter().zip(&measured).filter_map(|((place, _), starts)| starts.memory(place, &model, package)),
        );
    }
    let versions = programs.versions()?;
    Report { peer: "Python", rows: &rows, versions: &versions }.tell(options.json.as_deref())?;
    for waterfall in waterfalls {
        println!("\n{waterfall}");
    }
    Ok(())
}

/// What is started, from where, and how fast it is to be.
fn models(programs: &Programs) -> Result<[Model; 3]> {
    let bytes = programs.package_bytes("minilm")? as f64;
    let over_lines = Place::LINES.into_iter().map(|place| {
        let wire = place.milliseconds(bytes);
        let (share, rest) = LINE_AIM;
        (place, format!("{:.0} ms; the bytes alone {wire:.0}", wire * share + rest))
    });
    let minilm = [(Place::Folder, "25 ms, 10×".to_owned())].into_iter().chain(over_lines);
    Ok([
        Model {
            name: "minilm",
            function: "embed",
            has_peer: true,
            places: minilm.chain([(Place::Near, String::new())]).collect(),
        },
        Model {
            name: "diagnosis",
            function: "predict",
            has_peer: false,
            places: vec![(Place::Folder, "8 ms".to_owned()), (Place::Near, "25 ms".to_owned())],
        },
        Model {
            name: "random",
            function: "generate",
            has_peer: false,
            places: vec![(Place::Folder, "150 ms".to_owned())],
        },
    ])
}

/// Starts a model from each of its places in turn, the peer after each.
fn measure(programs: &Programs, places: &Places, model: &Model, rounds: usize) -> Result<Vec<Starts>> {
    let mut measured: Vec<_> = model.places.iter().map(|_| Starts::default()).collect();
    for round in 0..=rounds {
        tell(&format!("{}: round {round} of {rounds}", model.name));
        for ((place, _), starts) in model.places.iter().zip(&mut measured) {
            let ours = programs.start(model.function, model.name, place, places);
            let ours = ours.with_context(|| format!("{} from {place}", model.name))?;
            let peer = model.has_peer.then(|| programs.start_peer(model.name, place, places)).transpose()?;
            if let Some(peer) = &peer {
                let near = ours.cosine(peer);
                ensure!(near > 0.97, "the answers differ: their cosine is {near}");
            }
            // The first round brings files into memory.
            if round > 0 {
                starts.ours.push(ours);
                starts.peer.extend(peer);
            }
        }
    }
    Ok(measured)
}

impl Starts {
    fn row(&self, place: &Place, model: &Model, aim: &str) -> Row {
        let times = |starts: &[Start]| starts.iter().map(Start::milliseconds).collect();
        let beyond = if model.function == "generate" { ", its prefill left out" } else { "" };
        let what = format!("start to first answer{beyond}, {place}");
        Row::new(what, model.name, Unit::Milliseconds, times(&self.ours), times(&self.peer)).aiming_at(aim)
    }

    /// The most memory that a process held beside the package.
    fn memory(&self, place: &Place, model: &Model, package: f64) -> Option<Row> {
        matches!(place, Place::Folder | Place::Near).then(|| {
            let beside =
                |starts: &[Start]| starts.iter().filter_map(|start| Some(start.peak_bytes? - package)).collect();
            let what = format!("most memory beside the package, {place}");
            let row = Row::new(what, model.name, Unit::Megabytes, beside(&self.ours), beside(&self.peer));
            row.aiming_at(MEMORY_AIM)
        })
    }

    /// The start in the middle.
    fn typical(&self) -> Option<&Start> {
        let mut starts: Vec<_> = self.ours.iter().collect();
        starts.sort_by(|one, other| one.milliseconds().total_cmp(&other.milliseconds()));
        starts.get(starts.len() / 2).copied()
    }
}
