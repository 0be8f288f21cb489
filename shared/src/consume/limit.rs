//! When work has to have ended: known from the beginning, or told while it is under way.

use std::time::Instant;

use tokio::sync::watch;

/// When work has to have ended.
#[derive(Clone, Debug)]
pub(crate) struct Limit(watch::Receiver<Option<Instant>>);

/// Tells those who work when they have to have ended.
#[derive(Debug)]
pub(crate) struct Stop(watch::Sender<Option<Instant>>);

impl Stop {
    /// From now on the limit is this.
    pub(crate) fn at(&self, end: Instant) {
        self.0.send_replace(Some(end));
    }
}

impl Limit {
    /// A limit that is known; `None` for no limit.
    pub(crate) fn at(end: Option<Instant>) -> Self {
        Self(watch::channel(end).1)
    }

    /// A limit that is still to be told.
    pub(crate) fn to_be_told() -> (Stop, Self) {
        let (sender, receiver) = watch::channel(None);
        (Stop(sender), Self(receiver))
    }

    /// Whether time is up.
    pub(crate) fn is_reached(&self) -> bool {
        self.0.borrow().is_some_and(|end| end <= Instant::now())
    }

    /// What `work` answers, `None` where it has not ended in time.
    pub(crate) async fn keep<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.reached() => None,
            answer = work => Some(answer),
        }
    }

    async fn reached(&self) {
        let mut told = self.0.clone();
        let end = told.wait_for(Option::is_some).await.ok().and_then(|end| *end);
        match end {
            Some(end) => tokio::time::sleep_until(end.into()).await,
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn work_ends_with_its_limit_also_where_that_is_told_meanwhile() {
        let never = || std::future::pending::<()>();
        assert_eq!(Limit::at(Some(Instant::now())).keep(never()).await, None);
        assert_eq!(Limit::at(None).keep(async { 1 }).await, Some(1));
        let (stop, limit) = Limit::to_be_told();
        let work = tokio::spawn(async move { limit.keep(never()).await });
        stop.at(Instant::now() + Duration::from_millis(1));
        assert_eq!(work.await.unwrap(), None);
    }

    #[tokio::test]
    async fn whoever_could_tell_the_limit_may_go() {
        let (stop, limit) = Limit::to_be_told();
        drop(stop);
        assert!(!limit.is_reached());
        assert_eq!(limit.keep(async { 1 }).await, Some(1));
    }
}
