//! The same work on each of several things, some of them at once.

use std::num::NonZero;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Result, anyhow};

/// What comes of each, in their order. After an error nothing else begins.
///
/// # Errors
/// The first error that comes.
pub(super) fn each<T: Sync, R: Send>(
    jobs: NonZero<usize>,
    things: &[T],
    work: impl Fn(&T) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    let one = || -> Result<()> {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(thing) = things.get(index) else { return Ok(()) };
            let result = work(thing).inspect_err(|_| next.store(things.len(), Ordering::Relaxed))?;
            done.lock().map_err(|_| anyhow!("the work on another one panicked"))?.push((index, result));
        }
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs.get().min(things.len())).map(|_| scope.spawn(one)).collect();
        let results: Vec<_> = workers.into_iter().map(thread::ScopedJoinHandle::join).collect();
        results.into_iter().try_for_each(|result| result.map_err(|_| anyhow!("the work panicked"))?)
    })?;
    let mut done = done.into_inner().map_err(|_| anyhow!("the work panicked"))?;
    done.sort_by_key(|(index, _)| *index);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_and_an_error_ends_the_work() {
        let things: Vec<u32> = (0..50).collect();
        let jobs = NonZero::new(3).unwrap();
        assert_eq!(each(jobs, &things, |thing| Ok(thing * 2)).unwrap(), (0..50).map(|x| x * 2).collect::<Vec<_>>());
        let begun = AtomicUsize::new(0);
        let failed = each(NonZero::<usize>::MIN, &things, |thing| {
            begun.fetch_add(1, Ordering::Relaxed);
            anyhow::ensure!(*thing < 4, "no");
            Ok(())
        });
        assert!(failed.is_err());
        assert_eq!(begun.into_inner(), 5);
    }
}
