//! tract's errors and panics as one sentence each.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tract_onnx::tract_hir::prelude::{TractError, TractResult};

use super::ImportError;

/// Runs a step of tract's. A panic in it, which tract has for what it has not foreseen, is an error like another.
pub(super) fn guarded<T>(step: impl FnOnce() -> TractResult<T>) -> Result<T, ImportError> {
    let refused = |reason| ImportError::Refused { reason };
    match catch_unwind(AssertUnwindSafe(step)) {
        Ok(done) => done.map_err(|error| refused(explain(&error))),
        Err(panic) => {
            let said = panic.downcast_ref::<String>().map(String::as_str);
            let said = said.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason given");
            Err(refused(format!("tract gave up: {said}")))
        }
    }
}

/// The whole chain of an error, outermost first.
pub(super) fn explain(error: &TractError) -> String {
    error.chain().map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
