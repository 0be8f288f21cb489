//! The same work on many layers at once, each on a thread of its own.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Result, anyhow};

use crate::jobs;

/// What `work` makes of each item, collected in their order. The first error ends it.
///
/// # Errors
/// What `work` fails with, and a panic of its.
pub(crate) fn map<T: Sync, R: Send, C: FromIterator<R>>(
    items: &[T],
    work: impl Fn(&T) -> Result<R> + Sync,
) -> Result<C> {
    let next = AtomicUsize::new(0);
    let share = || {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else { return Ok(done) };
            done.push((index, work(item)?));
        }
    };
    let threads = jobs::count().min(items.len());
    let mut done: Vec<(usize, R)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(share)).collect();
        let parts = workers.into_iter().map(|worker| worker.join().map_err(|_| anyhow!("a layer's work panicked"))?);
        parts.collect::<Result<Vec<_>>>().map(|parts| parts.into_iter().flatten().collect())
    })?;
    done.sort_by_key(|(index, _)| *index);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_items() {
        let items: Vec<usize> = (0..100).collect();
        assert_eq!(map::<_, _, Vec<usize>>(&items, |item| Ok(item * 2)).unwrap()[99], 198);
        let odd = |item: &usize| if item % 2 == 1 { Ok(*item) } else { Err(anyhow!("{item} is even")) };
        assert!(map::<_, _, Vec<usize>>(&items, odd).is_err());
    }
}
