//! One request for a range, from its start to its last byte; checks that it brings what was asked for.

use std::ops::Range;
use std::time::Duration;

use aws_sdk_s3::primitives::ByteStream;
use bytes::{Buf as _, Bytes};
use tokio::time::{Instant, timeout_at};

use super::source::{Opened, Reading};
use super::{Fault, Version};

/// One request for a range.
pub(super) struct Reader {
    state: State,
    /// What is still to come.
    missing: Range<u64>,
    silence: Duration,
    last_sign: Instant,
}

enum State {
    Asked(Reading, Version),
    /// With the bytes to leave out before those that were asked for.
    Answered(ByteStream, u64),
}

impl Reader {
    /// A request that is under way, for a range of the object of this version.
    pub(super) fn asked(reading: Reading, version: Version, missing: Range<u64>, silence: Duration) -> Self {
        Self { state: State::Asked(reading, version), missing, silence, last_sign: Instant::now() }
    }

    /// A request that was answered with the range that starts where `missing` does.
    pub(super) fn opened(opened: Opened, missing: Range<u64>, silence: Duration) -> Self {
        let state = State::Answered(opened.body, missing.start.saturating_sub(opened.start));
        Self { state, missing, silence, last_sign: Instant::now() }
    }

    /// Whether all bytes have come.
    pub(super) fn is_done(&self) -> bool {
        self.missing.is_empty()
    }

    /// When the last byte came, or the request was made.
    pub(super) fn last_sign(&self) -> Instant {
        self.last_sign
    }

    /// The bytes that come next, of which there may be none. May be called again where an earlier call was dropped.
    ///
    /// # Errors
    /// An answer that is another one than was asked for, ends early, or is silent for too long.
    pub(super) async fn next(&mut self) -> Result<Bytes, Fault> {
        let limit = self.last_sign + self.silence;
        timeout_at(limit, self.step()).await.unwrap_or_else(|_| Err(Fault::silent(self.silence)))
    }

    async fn step(&mut self) -> Result<Bytes, Fault> {
        if let State::Asked(reading, version) = &mut self.state {
            let opened = reading.await?;
            let skipped = check(&opened, version, self.missing.start)?;
            self.state = State::Answered(opened.body, skipped);
        }
        let State::Answered(body, skipped) = &mut self.state else { return Ok(Bytes::new()) };
        let mut bytes = match body.next().await {
            Some(Ok(bytes)) => bytes,
            Some(Err(error)) => return Err(Fault::Passing(format!("it broke off: {error}"))),
            None => return Err(Fault::Passing(self.ended_early())),
        };
        if !bytes.is_empty() {
            self.last_sign = Instant::now();
        }
        let skip = usize::try_from(*skipped).map_or(bytes.len(), |skipped| skipped.min(bytes.len()));
        *skipped -= skip as u64;
        bytes.advance(skip);
        bytes.truncate(usize::try_from(self.missing.end - self.missing.start).unwrap_or(usize::MAX));
        self.missing.start += bytes.len() as u64;
        Ok(bytes)
    }

    fn ended_early(&self) -> String {
        format!("it ended at byte {}, expected {}", self.missing.start, self.missing.end)
    }
}

/// How many bytes come before those that were asked for.
fn check(opened: &Opened, version: &Version, start: u64) -> Result<u64, Fault> {
    let got = Version { total: opened.total, etag: opened.etag.clone() };
    if got != *version {
        return Err(Fault::Changed(format!("expected {version}, got {got}")));
    }
    let skipped = start.checked_sub(opened.start);
    skipped.ok_or_else(|| Fault::Passing(format!("it starts at byte {}, expected {start}", opened.start)))
}
