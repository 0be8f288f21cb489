//! Logs: one JSON record a line on standard output, or text for people; and where the time of a cold start goes.

pub mod cold_start;
mod record;

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};
pub(crate) use record::{cold_start as tell_cold_start, milliseconds};

/// Starts logging. Only the first call of a process has an effect.
pub fn start(log: &Log) {
    let filter = EnvFilter::new(&log.filter);
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_target(false);
    let started = match log.format {
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(false).try_init(),
        LogFormat::Text => builder.with_ansi(std::io::stdout().is_terminal()).try_init(),
    };
    drop(started);
}
