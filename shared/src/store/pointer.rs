//! The pointer `current.json`, which names the package in force.

use serde::{Deserialize, Serialize};

use crate::model::Digest;

/// What `current.json` holds.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Pointer {
    pub(super) digest: Digest,
}

impl Pointer {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(bytes).map_err(|error| format!("expected {{\"digest\": …}}: {error}"))
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        format!("{{\"digest\":\"{}\"}}\n", self.digest).into_bytes()
    }
}
