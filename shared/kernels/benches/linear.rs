//! What share of the CPU's peak the linear layers of MiniLM reach, by instruction set, weight format and rows.
//!
//! `cargo bench -p emberlite-kernels --bench linear` prints a Markdown table. The peak is measured in the same run: the
//! instruction that a format multiplies with, in a loop that touches no memory, one thread.

#[path = "linear/peak.rs"]
mod peak;

use std::hint::black_box;
use std::time::Instant;

use emberlite_kernels::linear::{Linear, Range, Weights, pack};
use emberlite_kernels::{Activation, Isa};
use half::{bf16, f16};

/// A layer of MiniLM: inputs, outputs, activation, and whether it adds a residual.
const LAYERS: [(&str, usize, usize, Option<Activation>, bool); 4] = [
    ("q, k, v", 384, 1152, None, false),
    ("attention output", 384, 384, None, true),
    ("intermediate, GELU", 384, 1536, Some(Activation::Gelu), false),
    ("output", 1536, 384, None, true),
];
const ROWS: [usize; 3] = [1, 16, 128];
/// How long a layer is run.
const SECONDS: f64 = 0.15;

fn main() {
    println!("| instruction set | weights | rows | layer | GMAC/s | peak | share |\n|---|---|--:|---|--:|--:|--:|");
    for isa in Isa::ALL.into_iter().filter(|isa| *isa != Isa::Portable && isa.is_available()) {
        for format in ["int8", "int8 static", "f32", "f16", "bf16"] {
            let peak = peak::products_per_second(isa, format.starts_with("int8")) / 1e9;
            for rows in ROWS {
                report(isa, format, rows, peak);
            }
        }
    }
}

fn report(isa: Isa, format: &str, rows: usize, peak: f64) {
    let (mut products, mut seconds) = (0.0, 0.0);
    for (name, inputs, outputs, activation, residual) in LAYERS {
        let took = fastest(isa, format, rows, (inputs, outputs), activation, residual);
        let work = (rows * inputs * outputs) as f64;
        line(isa, format, rows, name, work / took / 1e9, peak);
        products += work;
        seconds += took;
    }
    line(isa, format, rows, "**all**", products / seconds / 1e9, peak);
}

fn line(isa: Isa, format: &str, rows: usize, name: &str, rate: f64, peak: f64) {
    println!("| {isa} | {format} | {rows} | {name} | {rate:.1} | {peak:.1} | {:.0} % |", 100.0 * rate / peak);
}

/// The seconds of a run that nothing disturbed, as the peak's are: the least of many.
fn fastest(
    isa: Isa,
    format: &str,
    rows: usize,
    (inputs, outputs): (usize, usize),
    activation: Option<Activation>,
    residual: bool,
) -> f64 {
    let number = |i: usize| ((i * 7919) % 2003) as f32 / 1000.0 - 1.0;
    let numbers = |count: usize| (0..count).map(number).collect::<Vec<f32>>();
    let weight = numbers(inputs * outputs);
    let bias = pack::padded(&numbers(outputs));
    let int8 = pack::int8(&weight, inputs, outputs);
    let floats = pack::float(&weight, inputs, outputs);
    let bits: Vec<u16> = match format {
        "f16" => floats.iter().map(|x| f16::from_f32(*x).to_bits()).collect(),
        _ => floats.iter().map(|x| bf16::from_f32(*x).to_bits()).collect(),
    };
    let weights = match format {
        "int8" | "int8 static" => Weights::Int8 { values: &int8.values, scales: &int8.scales, sums: &int8.sums },
        "f32" => Weights::F32(&floats),
        "f16" => Weights::F16(&bits),
        _ => Weights::Bf16(&bits),
    };
    let range = (format == "int8 static").then(|| Range::new(-1.0, 1.0)).and_then(Result::ok);
    let layer = Linear { inputs, outputs, weights, bias: &bias, activation, factors: &[], range };
    let (x, added) = (numbers(rows * inputs), numbers(rows * outputs));
    let mut out = vec![0.0; rows * outputs];
    let start = Instant::now();
    let mut least = f64::INFINITY;
    while start.elapsed().as_secs_f64() < SECONDS {
        let begun = Instant::now();
        layer.run(isa, black_box(&x), residual.then_some(&added), black_box(&mut out));
        least = least.min(begun.elapsed().as_secs_f64());
    }
    least
}
