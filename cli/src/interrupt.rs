//! Ctrl-C, a closed terminal, or a system's request to stop: nothing half-written stays behind.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use anyhow::{Context as _, Result};
use emberlite::store::abandon_unfinished;
use tokio::runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::progress;

/// What a process that a signal has ended exits with, less the signal's number.
const SIGNALLED: i32 = 128;

static STATE: Mutex<State> = Mutex::new(State { ends: true, advice: None, folders: BTreeSet::new() });

struct State {
    /// Whether a signal ends the process here, and not where something else waits for it.
    ends: bool,
    /// What the user is told.
    advice: Option<&'static str>,
    /// Temporary folders.
    folders: BTreeSet<PathBuf>,
}

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on a signal ends the process after what it has not finished was removed: with 130 for Ctrl-C, 143 for a request
/// to stop, 129 for a closed terminal.
///
/// # Errors
/// A system that lets no signal be listened for.
pub fn watch() -> Result<()> {
    let runtime = runtime::Builder::new_current_thread().enable_io().build().context("can't listen for signals")?;
    let listen = |kind| signal(kind).context("can't listen for signals");
    let mut signals = {
        let _within = runtime.enter();
        [listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?, listen(SignalKind::hangup())?]
    };
    let wait = move || {
        loop {
            let kind = runtime.block_on(next(&mut signals));
            end(kind);
        }
    };
    thread::Builder::new().name("signals".to_owned()).spawn(wait).context("can't listen for signals")?;
    Ok(())
}

async fn next([interrupt, terminate, hangup]: &mut [Signal; 3]) -> SignalKind {
    tokio::select! {
        _ = interrupt.recv() => SignalKind::interrupt(),
        _ = terminate.recv() => SignalKind::terminate(),
        _ = hangup.recv() => SignalKind::hangup(),
    }
}

/// Ends the process, unless signals are somebody else's.
fn end(kind: SignalKind) {
    // Held to the end: whatever would begin now waits for it.
    let state = state();
    if !state.ends {
        return;
    }
    abandon_unfinished();
    for folder in &state.folders {
        drop(fs::remove_dir_all(folder));
    }
    progress::clear();
    let advice = state.advice.unwrap_or("nothing half-written is left");
    drop(writeln!(std::io::stderr(), "stopped: {advice}"));
    process::exit(SIGNALLED + kind.as_raw_value());
}

/// Leaves signals to what runs from now on: a server ends by itself.
pub fn hand_over() {
    state().ends = false;
}

/// Tells the user this, should a signal come from now on.
pub fn advise(advice: &'static str) {
    state().advice = Some(advice);
}

/// Removes a temporary folder where a signal comes; without one that is its owner's work.
pub fn remove_folder(folder: &Path) {
    state().folders.insert(folder.to_owned());
}
