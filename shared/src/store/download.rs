//! A package's way into memory: parts of it are read at once, placed and hashed as they come.
//!
//! The first part is asked for without knowing the package: the answer tells its size and its version, an ETag, which
//! all other requests insist on. Each part is tried again by itself, from the byte it broke off at.

mod memory;
mod part;
mod reader;
mod source;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::warn;

use reader::Reader;
pub(super) use source::{Opened, Reading, Source};

use super::fault::{Fault, hedged, retry};
use super::{Patience, StoreError};
use crate::model::{self, Digest, Hashed, Part};
use crate::telemetry::cold_start::{Step, Timeline};

/// Reads the package with this digest.
///
/// One that was replaced meanwhile is begun anew, and once more where the bytes don't have the digest; what they are then is
/// for the reader of the package to say.
///
/// # Errors
/// What could not be got in time, with the last reason.
pub(super) async fn download(
    source: Arc<dyn Source>,
    patience: Patience,
    expected: &Digest,
    timeline: &Timeline,
) -> Result<Hashed, Fault> {
    let download = Download { source, patience, started: Instant::now(), timeline };
    let (mut restarts, mut mismatched) = (0, false);
    loop {
        match download.once().await {
            Ok(package) if package.digest() == expected || mismatched => return Ok(package),
            Ok(package) => {
                warn!(%expected, got = %package.digest(), "package damaged on its way or in the store; read anew");
                mismatched = true;
            }
            Err(Fault::Changed(reason)) if restarts < Patience::RESTARTS => {
                warn!(%expected, reason, "package replaced while it was read; read anew");
                restarts += 1;
            }
            Err(fault) => return Err(fault),
        }
    }
}

struct Download<'a> {
    source: Arc<dyn Source>,
    patience: Patience,
    started: Instant,
    timeline: &'a Timeline,
}

/// What the parts of one package share while they are read.
struct Shared {
    source: Arc<dyn Source>,
    patience: Patience,
    version: Version,
    hedges: Semaphore,
    /// How long finished parts took, in seconds per byte.
    paces: Mutex<Vec<f64>>,
}

/// Which object is read: another size or ETag is another object.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Version {
    total: u64,
    etag: Option<String>,
}

impl Download<'_> {
    async fn once(&self) -> Result<Hashed, Fault> {
        let asked = Instant::now();
        let opened = self.in_time(0, self.open()).await?;
        let answered = Instant::now();
        self.timeline.add(Step::FirstByte, asked.into(), answered.into());
        let total = opened.total;
        let memory = self.patience.memory_bytes.or_else(memory::of_machine);
        let length = usize::try_from(total).ok().filter(|_| memory.is_none_or(|memory| total <= memory));
        let Some(length) = length else {
            let memory = memory.unwrap_or(usize::MAX as u64);
            return Err(StoreError::TooLarge { bytes: total, memory }.into());
        };
        let package = self.in_time(total, self.read(length, opened)).await;
        self.timeline.end(Step::Download, answered.into());
        package
    }

    /// Lets work go on until a package of this size has to be there, all attempts included.
    async fn in_time<T>(&self, total: u64, work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
        let limit = self.patience.whole(total);
        let late = || Fault::Passing(format!("it was not there after {} s", limit.as_secs_f64()));
        tokio::time::timeout_at(self.started + limit, work).await.unwrap_or_else(|_| Err(late()))
    }

    async fn open(&self) -> Result<Opened, Fault> {
        let first = 0..self.patience.first_part().bytes();
        retry(&self.patience, || hedged(&self.patience, || self.source.read(first.clone(), None))).await
    }

    async fn read(&self, total: usize, opened: Opened) -> Result<Hashed, Fault> {
        let (first, largest) = self.patience.parts(opened.total);
        let shared = Arc::new(Shared {
            source: Arc::clone(&self.source),
            patience: self.patience,
            version: Version { total: opened.total, etag: opened.etag.clone() },
            hedges: Semaphore::new(Patience::HEDGES_AT_ONCE),
            paces: Mutex::default(),
        });
        let mut waiting = model::allocate(total, first, largest).into_iter();
        let (mut reading, mut whole) = (JoinSet::new(), Vec::with_capacity(waiting.len()));
        if let Some(part) = waiting.next() {
            let reader = Reader::opened(opened, part.missing(), self.patience.silence);
            reading.spawn(part::read(part, Some(reader), Arc::clone(&shared)));
        }
        loop {
            while reading.len() < Patience::PARTS_AT_ONCE
                && let Some(part) = waiting.next()
            {
                reading.spawn(part::read(part, None, Arc::clone(&shared)));
            }
            match reading.join_next().await {
                None => break,
                Some(Ok(Ok(part))) => whole.push(part),
                Some(Ok(Err(fault))) => return self.give_up(reading, fault).await,
                Some(Err(error)) => return self.give_up(reading, Fault::Passing(error.to_string())).await,
            }
        }
        model::assemble(whole).ok_or_else(|| Fault::Passing("a part of it did not come".to_owned()))
    }

    /// Ends all reads before the memory of the package may be needed again.
    async fn give_up<T>(&self, mut reading: JoinSet<Result<Part, Fault>>, fault: Fault) -> Result<T, Fault> {
        reading.shutdown().await;
        Err(fault)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes, ETag {}", self.total, self.etag.as_deref().unwrap_or("none"))
    }
}

impl Shared {
    /// Notes how long a part took.
    fn finished(&self, bytes: usize, started: Instant) {
        self.paces().push(started.elapsed().as_secs_f64() / bytes.max(1) as f64);
    }

    fn paces(&self) -> std::sync::MutexGuard<'_, Vec<f64>> {
        self.paces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
