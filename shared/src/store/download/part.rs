//! Reading one part: again from where it broke off, and twice at once where it is slow.
//!
//! Only the first request writes into the part. What the second one brings is kept aside until it has all that was
//! missing when it was made.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::SemaphorePermit;
use tokio::time::{Instant, sleep_until};

use super::{Fault, Reader, Shared};
use crate::model::Part;
use crate::store::fault::wait;

/// Reads a part to its end; `reader` is a request for it that was answered already.
///
/// # Errors
/// What failed for good, or too often.
pub(super) async fn read(mut part: Part, reader: Option<Reader>, shared: Arc<Shared>) -> Result<Part, Fault> {
    let started = Instant::now();
    let (mut next, mut failed) = (reader, 0);
    loop {
        let reader = next.take().unwrap_or_else(|| shared.ask(&part));
        let reason = match attempt(&mut part, reader, &shared).await {
            Ok(()) => break,
            Err(Fault::Passing(reason)) => reason,
            Err(fault) => return Err(fault),
        };
        failed += 1;
        wait(&shared.patience, failed, reason).await?;
    }
    shared.finished(part.len(), started);
    Ok(part)
}

/// A second request for what a part lacks, and what it has brought.
struct Hedge<'a> {
    reader: Reader,
    /// Where in the whole its first byte belongs.
    start: u64,
    frames: Vec<Bytes>,
    _permit: SemaphorePermit<'a>,
}

async fn attempt(part: &mut Part, reader: Reader, shared: &Shared) -> Result<(), Fault> {
    let started = Instant::now();
    let (mut first, mut hedge, mut hedged) = (Some(reader), None, false);
    while !part.is_whole() {
        let hedge_at = first.as_ref().map_or(started, |first| shared.hedge_at(part, started, first));
        tokio::select! {
            frame = next(first.as_mut()) => match frame {
                Ok(frame) => part.push(&frame),
                Err(Fault::Passing(_)) if hedge.is_some() => first = None,
                Err(fault) => return Err(fault),
            },
            frame = next(hedge.as_mut().map(|hedge: &mut Hedge<'_>| &mut hedge.reader)) => match (frame, &mut hedge) {
                (Ok(frame), Some(running)) => {
                    running.frames.push(frame);
                    if running.reader.is_done() {
                        running.fill(part);
                    }
                }
                (Err(Fault::Passing(_)), _) if first.is_some() => hedge = None,
                (Err(fault), _) => return Err(fault),
                (Ok(_), None) => {}
            },
            () = sleep_until(hedge_at), if !hedged => {
                hedged = true;
                hedge = shared.hedge(part);
            }
        }
    }
    Ok(())
}

/// The next bytes of a request; none ever of one that is not there.
async fn next(reader: Option<&mut Reader>) -> Result<Bytes, Fault> {
    match reader {
        Some(reader) => reader.next().await,
        None => std::future::pending().await,
    }
}

impl Hedge<'_> {
    /// Gives the part what it has come to lack since.
    fn fill(&self, part: &mut Part) {
        let mut known = part.missing().start - self.start;
        for frame in &self.frames {
            let skip = usize::try_from(known).map_or(frame.len(), |known| known.min(frame.len()));
            known -= skip as u64;
            part.push(&frame[skip..]);
        }
    }
}

impl Shared {
    /// Asks for what a part lacks.
    fn ask(&self, part: &Part) -> Reader {
        let missing = part.missing();
        let reading = self.source.read(missing.clone(), self.version.etag.as_deref());
        Reader::asked(reading, self.version.clone(), missing, self.patience.silence)
    }

    /// Asks a second time, unless that is done for enough parts already.
    fn hedge(&self, part: &Part) -> Option<Hedge<'_>> {
        let permit = self.hedges.try_acquire().ok()?;
        tracing::debug!(start = part.start(), "part slow; asked a second time");
        Some(Hedge { reader: self.ask(part), start: part.missing().start, frames: Vec::new(), _permit: permit })
    }

    /// When a part is slow: it is silent, or takes much longer than the others did.
    fn hedge_at(&self, part: &Part, started: Instant, first: &Reader) -> Instant {
        let silent = first.last_sign() + self.patience.hedge_after_silence();
        match self.patience.hedge_after(part.len() as u64, &self.paces()) {
            Some(slow) => silent.min(started + slow),
            None => silent,
        }
    }
}
