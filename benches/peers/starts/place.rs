//! Where a model lies, and the line that it comes over.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use crate::line::Line;
use crate::s3::Endpoint;
use crate::stand_in::Way;
use crate::tls::Identity;

/// Where a model lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Place {
    /// In a folder of this machine.
    Folder,
    /// In S3 over TLS, as near as a process of this machine.
    Near,
    /// In S3 over TLS, behind a line.
    Far { megabytes_per_second: f64, round_trip_ms: u64 },
}

impl Place {
    /// What lies behind lines.
    pub(crate) const LINES: [Self; 4] = [
        Self::Far { megabytes_per_second: 75.0, round_trip_ms: 2 },
        Self::Far { megabytes_per_second: 75.0, round_trip_ms: 15 },
        Self::Far { megabytes_per_second: 300.0, round_trip_ms: 2 },
        Self::Far { megabytes_per_second: 300.0, round_trip_ms: 15 },
    ];

    /// How long so many bytes are under way at the least.
    pub(crate) fn milliseconds(self, bytes: f64) -> f64 {
        match self {
            Self::Far { megabytes_per_second, .. } => bytes / megabytes_per_second / 1000.0,
            Self::Folder | Self::Near => 0.0,
        }
    }

    fn line(self) -> Option<Line> {
        let Self::Far { megabytes_per_second, round_trip_ms } = self else { return None };
        Some(Line::new(megabytes_per_second * 1e6, Duration::from_millis(round_trip_ms)))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder => f.write_str("folder"),
            Self::Near => f.write_str("S3 over TLS"),
            Self::Far { megabytes_per_second, round_trip_ms } => {
                write!(f, "S3 over TLS, {megabytes_per_second:.0} MB/s, {round_trip_ms} ms")
            }
        }
    }
}

/// Every place with what has to run for it.
#[derive(Debug)]
pub(crate) struct Places {
    endpoints: Vec<(Place, Endpoint)>,
    folder: TempDir,
}

impl Places {
    /// Opens an endpoint for each line, over the same store.
    pub(crate) fn open(store: &Path, models: &[&str]) -> Result<Self> {
        let folder = tempfile::tempdir().context("no folder for the certificate")?;
        let models: Vec<String> = models.iter().copied().map(str::to_owned).collect();
        let mut places = Self { endpoints: Vec::new(), folder };
        let identity = Arc::new(Identity::create(&places.certificate())?);
        for place in Place::LINES.into_iter().chain([Place::Near]) {
            let way = Way { line: place.line(), identity: Some(Arc::clone(&identity)) };
            places.endpoints.push((place, Endpoint::start(store, &models, way)?));
        }
        Ok(places)
    }

    /// The URL of the S3 endpoint at a place; `None` for a folder.
    pub(crate) fn endpoint(&self, place: &Place) -> Option<&str> {
        self.endpoints.iter().find(|(at, _)| at == place).map(|(_, endpoint)| endpoint.url.as_str())
    }

    /// The file with the certificate of all endpoints.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.folder.path().join("certificate.pem")
    }
}
