//! Where models run: beside the threads that speak HTTP, and no more at once than there are cores.

use tokio::sync::Semaphore;

use super::ApiError;

/// Bounds how much is computed at once.
#[derive(Debug)]
pub(super) struct Compute {
    permits: Semaphore,
}

impl Compute {
    /// The same number bounds how many threads the operators of one run share.
    pub(super) fn new(threads: usize) -> Self {
        emberlite_kernels::threads::set(threads);
        Self { permits: Semaphore::new(threads.clamp(1, Semaphore::MAX_PERMITS)) }
    }

    /// Runs `work` on a thread of its own; requests beyond the bound wait in line.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let _permit = self.permits.acquire().await.map_err(|_| ApiError::internal("the function is shutting down"))?;
        tokio::task::spawn_blocking(work).await.map_err(|_| ApiError::internal("the computation was interrupted"))
    }
}
