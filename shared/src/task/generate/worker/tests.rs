//! A worker whose model counts: after token `i` the likeliest is `i + 1`, and it can't read a token from [`READABLE`] on.

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tract_nnef::internal::*;

use super::*;
use crate::ops::{CausalAttention, CausalAttentionSpec, Embedding, Linear, Lookup, Rows, Table};
use crate::task::generate::Sampling;

const VOCABULARY: usize = 16;
const WIDTH: usize = 16;
const READABLE: usize = 8;

/// A matrix `[rows][WIDTH]` that has a one where it is told.
fn ones(rows: usize, is_one: impl Fn(usize, usize) -> bool) -> Vec<f32> {
    (0..rows * WIDTH).map(|i| f32::from(u8::from(is_one(i / WIDTH, i % WIDTH)))).collect()
}

fn counting() -> TractResult<Decoder> {
    let said = |reason: String| format_err!("{reason}");
    let linear = |weights: &[f32], outputs| Linear::new(weights, outputs, WIDTH, None).map_err(said);
    let table = Table::new(&ones(READABLE, |token, place| token == place), READABLE, WIDTH).map_err(said)?;
    let attention = CausalAttention::new(CausalAttentionSpec {
        layer: 0,
        heads: 1,
        key_heads: 1,
        head_width: WIDTH,
        scale: 1.0,
        window: None,
        softcap: None,
        frequencies: &[1.0; WIDTH / 2],
        magnitude: 1.0,
        query_norm: None,
        key_norm: None,
        epsilon: 0.0,
    });
    let mut model = TypedModel::default();
    let tokens = model.symbols.sym("T").to_dim();
    let ids = model.add_source("tokens", i64::fact([1.to_dim(), tokens]))?;
    let embedding = Embedding::new(vec![(table, Lookup::Input(0))]).map_err(said)?;
    let x = model.wire_node("embedding", embedding, &[ids])?[0];
    let qkv = model.wire_node("qkv", linear(&ones(3 * WIDTH, |_, _| false), 3 * WIDTH)?, &[x])?[0];
    let context = model.wire_node("attention", attention.map_err(said)?, &[qkv])?[0];
    let out = linear(&ones(WIDTH, |_, _| false), WIDTH)?.with_residual();
    let x = model.wire_node("out", out, &[context, x])?[0];
    let x = model.wire_node("rows", Rows, &[x])?[0];
    let head = linear(&ones(VOCABULARY, |token, place| token == place + 1), VOCABULARY)?;
    let logits = model.wire_node("logits", head, &[x])?;
    model.select_output_outlets(&logits)?;
    Ok(Decoder::new(model)?)
}

fn worker() -> (mpsc::Sender<Job>, JoinHandle<()>) {
    let settings = Settings {
        context_tokens: None,
        cache_bytes: 1 << 20,
        cache_format: crate::engine::CacheFormat::F32,
        speculate: false,
    };
    start(counting().unwrap(), Arc::new(TokenBytes::default()), Vec::new(), settings, |_| {}).unwrap()
}

/// Has the worker write after a token.
fn ask(jobs: &mpsc::Sender<Job>, token: u32, max_tokens: usize) -> UnboundedReceiver<Event> {
    let (events, receiver) = unbounded_channel();
    let request = Request {
        prompt: vec![token],
        continues: true,
        first_choice: 0,
        choices: 1,
        max_tokens,
        sampling: Sampling { temperature: 0.0, ..Sampling::default() },
        stop: Vec::new(),
        logprobs: Some(0),
        ignore_end: false,
        constraint: None,
        deadline: None,
    };
    jobs.send(Job { request, events }).unwrap();
    receiver
}

/// The tokens that were told, and how it ended.
fn written(mut events: UnboundedReceiver<Event>) -> (Vec<u32>, Option<Event>) {
    let mut told = Vec::new();
    while let Some(event) = events.blocking_recv() {
        match event {
            Event::Started { .. } => {}
            Event::Piece { tokens, .. } => told.extend(tokens.iter().map(|token| token.id)),
            last => return (told, Some(last)),
        }
    }
    (told, None)
}

#[test]
fn a_step_that_fails_ends_its_texts_with_the_reason_and_nobody_elses() {
    let (jobs, thread) = worker();
    let (told, last) = written(ask(&jobs, 5, 20));
    assert_eq!(told, [6, 7, 8], "what was made before is told");
    let Some(Event::Failed(reason)) = last else { panic!("ended with {last:?}") };
    assert!(reason.contains('8'), "{reason}");

    let (told, last) = written(ask(&jobs, 1, 3));
    assert_eq!(told, [2, 3, 4]);
    assert_eq!(last, Some(Event::Finished { choice: 0, reason: FinishReason::Length, tokens: 3 }));
    drop(jobs);
    thread.join().unwrap();
}

#[test]
fn a_prompt_that_can_not_be_read_fails_alone() {
    let (jobs, _thread) = worker();
    let (told, last) = written(ask(&jobs, 12, 2));
    assert!(told.is_empty() && matches!(last, Some(Event::Failed(_))), "{told:?} {last:?}");
    assert_eq!(written(ask(&jobs, 0, 1)).0, [1]);
}
