//! What leaving empty blocks out of int8 layers gains: the time of MiniLM's layers over that of the whole ones.
//!
//! `cargo bench -p emberlite-kernels --bench sparse` prints a Markdown table: by instruction set, rows and how many blocks
//! are empty, the median of the ratios of runs that follow each other, and their tenths. One thread.

use std::hint::black_box;
use std::time::Instant;

use emberlite_kernels::linear::{GROUP, Linear, Weights, pack, sparse};
use emberlite_kernels::{Isa, threads};

/// The inputs and outputs of a layer of MiniLM's linear layers.
const LAYERS: [(usize, usize); 4] = [(384, 1152), (384, 384), (384, 1536), (1536, 384)];
const ROWS: [usize; 3] = [1, 16, 128];
const EMPTY: [f64; 4] = [0.0, 0.25, 0.5, 0.75];
/// How many pairs of runs a ratio is the median of.
const PAIRS: usize = 400;

fn main() {
    threads::set(1);
    println!("| instruction set | rows | empty blocks | time, of the whole layers' | tenths |\n|---|--:|--:|--:|--:|");
    for isa in Isa::ALL.into_iter().filter(|isa| *isa != Isa::Portable && isa.is_available()) {
        for rows in ROWS {
            for empty in EMPTY {
                let mut ratios = ratios(isa, rows, empty);
                ratios.sort_by(f64::total_cmp);
                let at = |part: f64| ratios[(part * (ratios.len() - 1) as f64) as usize];
                let (low, median, high) = (at(0.1), at(0.5), at(0.9));
                println!("| {isa} | {rows} | {:.0} % | {median:.2} | {low:.2}–{high:.2} |", 100.0 * empty);
            }
        }
    }
}

/// An int8 layer, whole and without its empty blocks.
struct Layer {
    inputs: usize,
    outputs: usize,
    whole: pack::Int8,
    sparse: sparse::Packed,
    bias: Vec<f32>,
}

impl Layer {
    fn new((inputs, outputs): (usize, usize), empty: f64) -> Self {
        let mut random = 1u64;
        let mut next = || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) as f64 / (1u64 << 31) as f64
        };
        let groups = inputs.div_ceil(GROUP);
        let kept: Vec<bool> = (0..sparse::count(inputs, outputs)).map(|_| next() >= empty).collect();
        let number = |at: usize| {
            let (output, input) = (at / inputs, at % inputs);
            let weight = ((at * 7919) % 2003) as f32 / 1000.0 - 1.0;
            if kept[output / sparse::PANEL * groups + input / GROUP] { weight } else { 0.0 }
        };
        let weight: Vec<f32> = (0..inputs * outputs).map(number).collect();
        let whole = pack::int8(&weight, inputs, outputs);
        let sparse = sparse::pack(&whole.values, inputs, outputs);
        Self { inputs, outputs, whole, sparse, bias: pack::padded(&vec![0.0; outputs]) }
    }

    fn run(&self, isa: Isa, weights: Weights<'_>, x: &[f32], out: &mut [f32]) {
        let &Self { inputs, outputs, ref bias, .. } = self;
        let layer = Linear { inputs, outputs, weights, bias, activation: None, factors: &[], range: None };
        layer.run(isa, black_box(x), None, black_box(out));
    }

    fn whole(&self) -> Weights<'_> {
        Weights::Int8 { values: &self.whole.values, scales: &self.whole.scales, sums: &self.whole.sums }
    }

    fn sparse(&self) -> Weights<'_> {
        let sparse::Packed { values, groups, starts } = &self.sparse;
        let blocks = sparse::Blocks { values, groups, starts };
        Weights::SparseInt8 { blocks, scales: &self.whole.scales, sums: &self.whole.sums }
    }
}

fn ratios(isa: Isa, rows: usize, empty: f64) -> Vec<f64> {
    let layers: Vec<Layer> = LAYERS.iter().map(|sizes| Layer::new(*sizes, empty)).collect();
    let x: Vec<f32> = (0..rows * 1536).map(|i| ((i * 7919) % 2003) as f32 / 1000.0 - 1.0).collect();
    let mut out = vec![0.0; rows * 1536];
    let mut timed = |weights: fn(&Layer) -> Weights<'_>| {
        let start = Instant::now();
        layers.iter().for_each(|layer| {
            layer.run(isa, weights(layer), &x[..rows * layer.inputs], &mut out[..rows * layer.outputs]);
        });
        start.elapsed().as_secs_f64()
    };
    (0..PAIRS).map(|_| timed(Layer::sparse) / timed(Layer::whole)).collect()
}
