//! What a request consists of: reading its body, making tensors of it, answering.

mod demo;

use anyhow::{Context as _, Result};
use criterion::{Criterion, Throughput};
use emberlite::model::{Manifest, Model};
use emberlite::task::{self, InputError, Payload};
use serde_json::{Value, json};

use crate::demo::{Demo, NAMES};

fn main() -> Result<()> {
    let mut criterion = Criterion::default().configure_from_args();
    for name in NAMES {
        let package = Demo::read(name)?.open()?;
        let model = Model::load(&package)?;
        for (rows, input) in demo::inputs(&package)? {
            request(&mut criterion, name, &model, rows, input)?;
        }
    }
    criterion.final_summary();
    Ok(())
}

fn request(criterion: &mut Criterion, name: &str, model: &Model, rows: usize, input: Value) -> Result<()> {
    let body = json!({ "input": input }).to_string();
    let payload = Payload::Json(input);
    task::predict(model, &payload).context("the example has no answer")?;
    let mut group = criterion.benchmark_group(format!("predict/{name}/{rows}"));
    group.throughput(Throughput::Elements(rows as u64));
    group.bench_function("body to tensors", |bencher| bencher.iter(|| tensors(&body, model.manifest())));
    group.bench_function("input to answer", |bencher| bencher.iter(|| task::predict(model, &payload)));
    group.finish();
    Ok(())
}

/// Reads a body as the function does; answers how many tensors it makes.
fn tensors(body: &str, manifest: &Manifest) -> Result<usize, InputError> {
    let Ok(mut body) = serde_json::from_str::<Value>(body) else { return Ok(0) };
    let (tensors, _) = task::read_inputs(&Payload::Json(body["input"].take()), manifest)?;
    Ok(tensors.len())
}
