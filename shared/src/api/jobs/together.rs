//! Many inputs at once, and each alone where that fails.

use std::sync::Arc;

use crate::api::ApiError;
use crate::api::compute::Compute;

type Results<R> = Vec<Result<R, ApiError>>;

/// Runs `work` on all inputs that there are, and answers in the order of all: an input that is an error stays one.
///
/// Where `work` panics, it runs on each input alone, so that only the one that it panics at fails. It answers one result for
/// each input.
pub(super) async fn together<T, R>(
    compute: &Compute,
    inputs: Results<T>,
    work: impl Fn(Vec<T>) -> Results<R> + Send + Sync + 'static,
) -> Results<R>
where
    T: Clone + Send + 'static,
    R: Send + 'static,
{
    let work = Arc::new(work);
    let run = async |inputs: Vec<T>| {
        let work = Arc::clone(&work);
        compute.run(move || work(inputs)).await
    };
    let good: Vec<T> = inputs.iter().flatten().cloned().collect();
    let count = good.len();
    let mut results = match run(good.clone()).await {
        Ok(results) => results,
        Err(error) if count <= 1 => vec![Err(error)],
        Err(error) => {
            tracing::warn!(inputs = count, error = error.message(), "batch failed; each input runs alone");
            let mut results = Vec::with_capacity(count);
            for input in good {
                let alone = run(vec![input]).await.map(|mut alone| alone.pop().unwrap_or_else(none));
                results.push(alone.unwrap_or_else(Err));
            }
            results
        }
    }
    .into_iter();
    inputs.into_iter().map(|input| input.and_then(|_| results.next().unwrap_or_else(none))).collect()
}

fn none<R>() -> Result<R, ApiError> {
    Err(ApiError::internal("there is no answer"))
}

#[cfg(test)]
#[allow(clippy::panic)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn refused() -> ApiError {
        ApiError::bad_request("refused")
    }

    #[tokio::test]
    async fn inputs_run_together_and_errors_keep_their_places() {
        let runs = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&runs);
        let results = together(&Compute::new(1), vec![Ok(1), Err(refused()), Ok(3)], move |inputs: Vec<i32>| {
            counted.fetch_add(1, Ordering::Relaxed);
            inputs.into_iter().map(|input| if input == 3 { Err(refused()) } else { Ok(input * 10) }).collect()
        })
        .await;
        assert_eq!(results, [Ok(10), Err(refused()), Err(refused())]);
        assert_eq!(runs.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn one_that_panics_fails_alone() {
        let inputs = (0..5).map(Ok).collect();
        let results = together(&Compute::new(2), inputs, |inputs: Vec<i32>| {
            inputs.into_iter().map(|input| if input == 2 { panic!("poison") } else { Ok(input) }).collect()
        })
        .await;
        for (input, result) in results.into_iter().enumerate() {
            match input {
                2 => assert!(result.is_err_and(|error| !error.is_final())),
                _ => assert_eq!(result, Ok(input as i32)),
            }
        }
    }
}
