//! What loading a model consists of: checking the package, reading the graph, planning it.

mod demo;

use anyhow::Result;
use criterion::{BatchSize, Criterion, Throughput};
use emberlite::engine::Plan;
use emberlite::model::{Model, Package};
use tract_nnef::ast::parse::parse_document;

use crate::demo::{Demo, NAMES};

fn main() -> Result<()> {
    let mut criterion = Criterion::default().configure_from_args();
    for name in NAMES {
        let demo = Demo::read(name)?;
        open(&mut criterion, name, &demo)?;
        build(&mut criterion, name, &demo.open()?)?;
    }
    criterion.final_summary();
    Ok(())
}

/// From bytes to a checked package.
fn open(criterion: &mut Criterion, name: &str, demo: &Demo) -> Result<()> {
    Package::open(demo.bytes.clone())?;
    let mut group = criterion.benchmark_group(format!("package/{name}"));
    group.throughput(Throughput::Bytes(demo.bytes.len() as u64));
    group.bench_function("open, known digest", |bencher| bencher.iter(|| demo.open()));
    group.bench_function("open, every section", |bencher| bencher.iter(|| Package::open(demo.bytes.clone())));
    group.finish();
    Ok(())
}

/// From a checked package to a model that answers: the whole, then its parts.
fn build(criterion: &mut Criterion, name: &str, package: &Package) -> Result<()> {
    Model::load(package)?;
    let text = package.graph()?;
    let graph = package.read_graph()?;
    let mut group = criterion.benchmark_group(format!("load/{name}"));
    group.bench_function("all", |bencher| bencher.iter(|| Model::load(package)));
    group.bench_function("parse the text", |bencher| bencher.iter(|| parse_document(text)));
    group.bench_function("read the graph", |bencher| bencher.iter(|| package.read_graph()));
    group.bench_function("declutter", |bencher| {
        bencher.iter_batched(|| graph.clone(), |graph| graph.into_decluttered(), BatchSize::SmallInput);
    });
    group.bench_function("plan", |bencher| {
        bencher.iter_batched(|| graph.clone(), Plan::new, BatchSize::SmallInput);
    });
    group.finish();
    Ok(())
}
