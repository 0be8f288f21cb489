//! What can go wrong with a request to a store, by what is to be done about it; and trying again.

use std::time::Duration;

use super::{Patience, StoreError};

/// What went wrong with a request.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// It may pass: the request is made again.
    #[error("{0}")]
    Passing(String),
    /// The object is not the one that was begun with: all of it is read anew.
    #[error("{0}")]
    Changed(String),
    /// There is no such object.
    #[error("it is not there")]
    Missing,
    /// The object is larger than what was expected.
    #[error("it has {bytes} bytes, expected at most {longest}")]
    TooLarge { bytes: u64, longest: u64 },
    /// Another attempt would end the same.
    #[error(transparent)]
    Final(#[from] StoreError),
}

impl Fault {
    pub(super) fn silent(silence: Duration) -> Self {
        Self::Passing(format!("nothing came for {} s", silence.as_secs_f64()))
    }
}

/// Makes a request until it succeeds, fails for good, or has failed often enough.
pub(super) async fn retry<T, A: Future<Output = Result<T, Fault>>>(
    patience: &Patience,
    mut attempt: impl FnMut() -> A,
) -> Result<T, Fault> {
    let mut failed = 0;
    loop {
        let reason = match attempt().await {
            Err(Fault::Passing(reason)) => reason,
            outcome => return outcome,
        };
        failed += 1;
        wait(patience, failed, reason).await?;
    }
}

/// Waits for the next attempt; once there were enough, their number and why the last one failed.
pub(super) async fn wait(patience: &Patience, failed: u32, reason: String) -> Result<(), Fault> {
    let Some(pause) = patience.pause(failed, fastrand::f64()) else {
        return Err(Fault::Passing(format!("{reason}, the last of {failed} attempts")));
    };
    tracing::debug!(failed, reason, "store asked again");
    tokio::time::sleep(pause).await;
    Ok(())
}

/// The first answer of a request, or of a second one that is made where the first is silent.
pub(super) async fn hedged<T, A: Future<Output = Result<T, Fault>>>(
    patience: &Patience,
    mut request: impl FnMut() -> A,
) -> Result<T, Fault> {
    let limit = |request: A| tokio::time::timeout(patience.silence, request);
    let silent = || Fault::silent(patience.silence);
    let mut first = std::pin::pin!(limit(request()));
    tokio::select! {
        outcome = &mut first => return outcome.unwrap_or_else(|_| Err(silent())),
        () = tokio::time::sleep(patience.hedge_after_silence()) => {}
    }
    let mut second = std::pin::pin!(limit(request()));
    let (outcome, other) = tokio::select! {
        outcome = &mut first => (outcome, second.as_mut()),
        outcome = &mut second => (outcome, first.as_mut()),
    };
    match outcome {
        Ok(Err(Fault::Passing(_))) | Err(_) => other.await.unwrap_or_else(|_| Err(silent())),
        Ok(outcome) => outcome,
    }
}
