//! Decoding and prefill of a language model in SmolLM2-135M's shape with random weights, by format and threads, and how
//! near decoding comes to the memory's speed: `cargo bench --bench decode -- FORMAT THREADS`, e.g. `q4 1`.

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use emberlite::engine::{self, CacheFormat, Chunk, Decoder, Isa, Sequence, Want};
use emberlite::ops::{
    Activation, CausalAttention, CausalAttentionSpec, Embedding, Gated, Linear, Lookup, Norm, Q4Blocks, Rows, Table,
    WeightFormat,
};
use tract_nnef::internal::*;

const VOCABULARY: usize = 49152;
const WIDTH: usize = 576;
const INNER: usize = 1536;
const LAYERS: usize = 30;
const HEADS: usize = 9;
const KEY_HEADS: usize = 3;
const HEAD_WIDTH: usize = 64;

const PROMPT: usize = 256;
/// How many tokens are decoded at a time.
const RUN: usize = 16;
/// Of how many runs the best counts: others use the machine too.
const RUNS: usize = 12;

fn main() -> Result<()> {
    let mut words = std::env::args().skip(1).filter(|word| !word.starts_with('-'));
    let format = match words.next().as_deref() {
        None | Some("q4") => WeightFormat::Q4,
        Some("int8") => WeightFormat::Int8,
        Some("f16") => WeightFormat::F16,
        Some("f32") => WeightFormat::F32,
        Some(other) => return Err(anyhow!("expected q4, int8, f16 or f32, got {other:?}")),
    };
    let threads = words.next().map_or(Ok(1), |word| word.parse())?;
    engine::prepare(threads, Isa::best());
    let mut weights = 0;
    let decoder = Decoder::new(model(format, &mut weights).map_err(|error| anyhow!("{error:?}"))?)?;
    let prompt: Vec<u32> = (0..PROMPT as u32).map(|i| i * 7919 % VOCABULARY as u32).collect();
    let mut prefill = Duration::MAX;
    let mut sequence = decoder.sequence(CacheFormat::F16);
    for _ in 0..3 {
        sequence = decoder.sequence(CacheFormat::F16);
        let start = Instant::now();
        read(&decoder, &mut sequence, &prompt)?;
        prefill = prefill.min(start.elapsed());
    }
    let mut best = Duration::MAX;
    let mut reachable = 0f64;
    let memory = vec![1; 1 << 24];
    for _ in 0..RUNS {
        sequence.truncate(64);
        let start = Instant::now();
        for token in 0..RUN as u32 {
            read(&decoder, &mut sequence, &[token])?;
        }
        best = best.min(start.elapsed() / RUN as u32);
        reachable = reachable.max(stream_read(&memory));
    }
    let used = weights as f64 / best.as_secs_f64();
    println!(
        "{format:?} {} {threads} threads: {:.1} tokens/s, prefill of {PROMPT} {:.1} ms; {:.1} MB a token, {:.1} GB/s \
         of {:.1} that one thread reads: {:.0} %",
        Isa::current(),
        1.0 / best.as_secs_f64(),
        prefill.as_secs_f64() * 1e3,
        weights as f64 / 1e6,
        used / 1e9,
        reachable / 1e9,
        100.0 * used / reachable,
    );
    Ok(())
}

fn read(decoder: &Decoder, sequence: &mut Sequence, tokens: &[u32]) -> Result<f32> {
    let logits = decoder.run(&mut [Chunk { sequence, tokens, want: Want::Last }])?;
    let row = logits.rows(0).next().ok_or_else(|| anyhow!("no logits"))?;
    Ok(row[0])
}

/// Bytes a second that one thread reads of a memory, from its beginning to its end.
#[inline(never)]
fn stream_read(memory: &[u64]) -> f64 {
    let start = Instant::now();
    std::hint::black_box(memory.iter().fold(0u64, |sum, number| sum.wrapping_add(*number)));
    size_of_val(memory) as f64 / start.elapsed().as_secs_f64()
}

/// A layer of random weights.
fn linear(format: WeightFormat, outputs: usize, inputs: usize) -> Result<Linear, String> {
    let mut state = outputs as u32 * 31 + inputs as u32;
    let mut random = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 16
    };
    if format == WeightFormat::Q4 {
        let values = (0..outputs * inputs).map(|_| (random() % 16) as u8).collect();
        let scales = vec![f16::from_f32(0.01); outputs * inputs.div_ceil(32)];
        return Linear::from_q4(&Q4Blocks { outputs, inputs, scales, values }, None);
    }
    let weights: Vec<f32> = (0..outputs * inputs).map(|_| random() as f32 / 1e6 - 0.0328).collect();
    Linear::new(&weights, outputs, inputs, None)?.with_format(format)
}

/// The model; `bytes` becomes the bytes of weights that a token reads.
fn model(format: WeightFormat, bytes: &mut usize) -> TractResult<TypedModel> {
    let said = |reason: String| format_err!("{reason}");
    let mut layer = |outputs, inputs| {
        let layer = linear(format, outputs, inputs).map_err(said)?;
        *bytes += layer.size_bytes();
        TractResult::Ok(layer)
    };
    let norm = || Norm::rms(&[1.0; WIDTH], 1e-5).map_err(said);
    let frequencies: Vec<f32> = (0..HEAD_WIDTH / 2).map(|i| 10_000f32.powf(-(i as f32) / 32.0)).collect();
    let mut model = TypedModel::default();
    let tokens = model.symbols.sym("T").to_dim();
    let ids = model.add_source("tokens", i64::fact([1.to_dim(), tokens]))?;
    let head = layer(VOCABULARY, WIDTH)?;
    let table = Embedding::new(vec![(Table::tied(&head), Lookup::Input(0))]).map_err(said)?;
    let mut x = model.wire_node("embedding", table, &[ids])?[0];
    for index in 0..LAYERS {
        let name = |part: &str| format!("{index}.{part}");
        let attention = CausalAttention::new(CausalAttentionSpec {
            layer: index,
            heads: HEADS,
            key_heads: KEY_HEADS,
            head_width: HEAD_WIDTH,
            scale: 0.125,
            window: None,
            softcap: None,
            frequencies: &frequencies,
            magnitude: 1.0,
            query_norm: None,
            key_norm: None,
            epsilon: 0.0,
        })
        .map_err(said)?;
        let normed = model.wire_node(name("norm"), norm()?, &[x])?[0];
        let qkv = layer((HEADS + 2 * KEY_HEADS) * HEAD_WIDTH, WIDTH)?;
        let qkv = model.wire_node(name("qkv"), qkv, &[normed])?[0];
        let context = model.wire_node(name("attention"), attention, &[qkv])?[0];
        x = model.wire_node(name("out"), layer(WIDTH, WIDTH)?.with_residual(), &[context, x])?[0];
        let normed = model.wire_node(name("norm_2"), norm()?, &[x])?[0];
        let wide = model.wire_node(name("wide"), layer(2 * INNER, WIDTH)?, &[normed])?[0];
        let gate = model.wire_node(name("gate"), Gated(Activation::Silu), &[wide])?[0];
        x = model.wire_node(name("narrow"), layer(WIDTH, INNER)?.with_residual(), &[gate, x])?[0];
    }
    let x = model.wire_node("norm", norm()?, &[x])?[0];
    let x = model.wire_node("rows", Rows, &[x])?[0];
    let logits = model.wire_node("logits", head, &[x])?;
    model.select_output_outlets(&logits)?;
    Ok(model)
}
