//! What has started this process, as far as its variables tell, and the port that it listens on there.

use super::{ConfigError, Reader, Variable, variable};

/// What has started this process. AWS Lambda is told apart by its runtime interface, not by this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtime {
    /// A shell, a container, Cloud Run, Knative: whoever speaks plain HTTP.
    Plain,
    /// Alibaba Cloud Function Compute, as a custom runtime.
    FunctionCompute,
    /// Azure Functions, as a custom handler.
    AzureFunctions,
}

pub(super) const PORT: Variable = variable("PORT", "a port", "8080", "the port of the plain HTTP server");
pub(super) const FUNCTION_COMPUTE_PORT: Variable = variable(
    "FC_SERVER_PORT",
    "a port",
    "PORT, or 9000 where FC_FUNCTION_NAME is set",
    "set by Alibaba Function Compute: the port that it sends requests to",
);
pub(super) const FUNCTION_COMPUTE_LISTEN_PORT: Variable =
    variable("FC_CUSTOM_LISTEN_PORT", "a port", "as FC_SERVER_PORT", "the same, as version 3.0 calls it");
pub(super) const AZURE_PORT: Variable = variable(
    "FUNCTIONS_CUSTOMHANDLER_PORT",
    "a port",
    "none",
    "set by Azure Functions: the port that it sends requests to",
);

/// Set by Function Compute wherever it runs a function.
const FUNCTION_COMPUTE_NAME: &str = "FC_FUNCTION_NAME";

/// A runtime's own variable counts more than `PORT`, which its users set.
pub(super) fn read<F: Fn(&str) -> Option<String>>(reader: &Reader<F>) -> Result<(Runtime, u16), ConfigError> {
    if let Some(port) = reader.parsed(&AZURE_PORT)? {
        return Ok((Runtime::AzureFunctions, port));
    }
    for variable in [&FUNCTION_COMPUTE_PORT, &FUNCTION_COMPUTE_LISTEN_PORT] {
        if let Some(port) = reader.parsed(variable)? {
            return Ok((Runtime::FunctionCompute, port));
        }
    }
    let port = reader.parsed(&PORT)?;
    Ok(match (reader.0)(FUNCTION_COMPUTE_NAME) {
        Some(_) => (Runtime::FunctionCompute, port.unwrap_or(9000)),
        None => (Runtime::Plain, port.unwrap_or(8080)),
    })
}
