//! What is tried again, and how long that is waited for.

use std::thread;
use std::time::Duration;

use anyhow::{Error, Result};

/// The first wait; each next one is twice as long.
const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(20);
/// The longest that a hub may ask to wait.
const LONGEST_ASKED: Duration = Duration::from_secs(600);

const NETWORK: &str = "check the network, and HTTPS_PROXY and NO_PROXY if there is a proxy";
/// As [`NETWORK`], of something that is kept.
pub(super) const KEPT: &str = "check the network, and run the same command again: what was downloaded is kept";

/// Why something was not had.
#[derive(Debug)]
pub(super) enum Failure {
    /// It may be there later, after as long as the hub says.
    Passing { reason: String, after: Option<Duration> },
    /// It will not be there.
    Lasting(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Lasting(error)
    }
}

/// What came of a try.
pub(super) type Try<T> = Result<T, Failure>;

/// How often something is tried before it counts as not there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    tries: u32,
    failed: u32,
    /// What the user can do.
    advice: &'static str,
}

impl Patience {
    pub(super) fn of(tries: u32, advice: &'static str) -> Self {
        Self { tries, failed: 0, advice }
    }

    /// Something came: what failed before does not count any more.
    pub(super) fn restore(&mut self) {
        self.failed = 0;
    }

    /// Waits before the next try, and tells how long if that is long.
    ///
    /// # Errors
    /// The reason, once it was tried often enough or the hub asks to wait too long.
    pub(super) fn wait(&mut self, failure: Failure, tell: impl Fn(String)) -> Result<()> {
        let (reason, after) = match failure {
            Failure::Lasting(error) => return Err(error),
            Failure::Passing { reason, after } => (reason, after),
        };
        self.failed += 1;
        if self.failed >= self.tries {
            return Err(Error::msg(format!("{reason}, {} times in a row: {}", self.failed, self.advice)));
        }
        let own = (FIRST * 2u32.pow(self.failed.min(16) - 1)).min(LONGEST).mul_f64(0.5 + fastrand::f64());
        let wait = after.unwrap_or(own);
        if wait > LONGEST_ASKED {
            return Err(Error::msg(format!("{reason}, and it asks to wait {} s: try again then", wait.as_secs())));
        }
        if wait >= Duration::from_secs(2) {
            tell(format!("{reason}: it is tried again in {} s", wait.as_secs()));
        }
        thread::sleep(wait);
        Ok(())
    }
}

/// Tries until something comes of it.
///
/// # Errors
/// As [`Patience::wait`].
pub(super) fn insist<T>(tries: u32, tell: impl Fn(String), mut attempt: impl FnMut() -> Try<T>) -> Result<T> {
    let mut patience = Patience::of(tries, NETWORK);
    loop {
        match attempt() {
            Ok(done) => return Ok(done),
            Err(failure) => patience.wait(failure, &tell)?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passing() -> Failure {
        Failure::Passing { reason: "it broke off".to_owned(), after: Some(Duration::ZERO) }
    }

    #[test]
    fn what_passes_is_tried_again_and_what_lasts_is_not() {
        let mut tries = 0;
        let done = insist(3, drop, || {
            tries += 1;
            if tries < 3 { Err(passing()) } else { Ok(tries) }
        });
        assert_eq!(done.unwrap(), 3);
        let mut tries = 0;
        let refused = insist(3, drop, || -> Try<()> {
            tries += 1;
            Err(Failure::Lasting(Error::msg("it is not there")))
        });
        assert_eq!((refused.unwrap_err().to_string().as_str(), tries), ("it is not there", 1));
    }

    #[test]
    fn it_ends_and_says_how_to_go_on() {
        let told = insist(2, drop, || -> Try<()> { Err(passing()) }).unwrap_err().to_string();
        assert!(told.starts_with("it broke off, 2 times in a row") && told.contains("network"), "{told}");
    }

    #[test]
    fn a_hub_that_asks_for_an_hour_is_not_waited_for() {
        let failure = Failure::Passing { reason: "too many".to_owned(), after: Some(Duration::from_secs(3600)) };
        let told = Patience::of(5, NETWORK).wait(failure, drop).unwrap_err().to_string();
        assert!(told.contains("3600 s"), "{told}");
    }
}
