//! The two that are compared, and how each is started on the same model.

use std::path::PathBuf;
use std::process::Command;

use super::work::Work;
use crate::process::clean;
use crate::s3::BUCKET;

/// Where the programs are.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    /// Emberlite's function `predict`.
    pub(crate) predict: PathBuf,
    /// The Python that has Flask and onnxruntime.
    pub(crate) python: PathBuf,
    /// The peer's application.
    pub(crate) flask_app: PathBuf,
    /// The folder store that holds the models.
    pub(crate) store: PathBuf,
}

/// One of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contender {
    Emberlite,
    Peer,
}

impl Contender {
    pub(crate) const BOTH: [Self; 2] = [Self::Emberlite, Self::Peer];
}

/// Where a contender finds the model.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source<'a> {
    /// In the store's folder.
    Folder,
    /// In S3 at this endpoint.
    S3(&'a str),
}

impl Programs {
    /// The command that serves a model on a port.
    pub(crate) fn serve(&self, contender: Contender, source: Source<'_>, work: &Work, port: u16) -> Command {
        let mut command = match contender {
            Contender::Emberlite => self.emberlite(source, work),
            Contender::Peer => self.peer(source, work),
        };
        command.env("PORT", port.to_string());
        command
    }

    /// The command that answers events of this runtime interface.
    pub(crate) fn on_lambda(&self, runtime: &str, work: &Work) -> Command {
        let mut command = self.emberlite(Source::Folder, work);
        command.envs([
            ("AWS_LAMBDA_RUNTIME_API", runtime),
            ("AWS_LAMBDA_FUNCTION_NAME", "predict"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1769"),
        ]);
        command
    }

    fn emberlite(&self, source: Source<'_>, work: &Work) -> Command {
        let mut command = clean(&self.predict);
        command.env("EMBER_MODEL", &work.model).env("EMBER_HOST", "127.0.0.1");
        match source {
            Source::Folder => command.env("EMBER_STORE", &self.store),
            Source::S3(endpoint) => {
                command.env("EMBER_STORE", format!("s3://{BUCKET}")).env("EMBER_S3_ENDPOINT", endpoint)
            }
        };
        command
    }

    fn peer(&self, source: Source<'_>, work: &Work) -> Command {
        let mut command = clean(&self.python);
        command.arg(&self.flask_app).env("LABELS", work.labels.join(","));
        let file = format!("models/{0}/{0}.onnx", work.model);
        match source {
            Source::Folder => command.env("MODEL", self.store.join(file)),
            Source::S3(endpoint) => {
                command.env("MODEL", format!("s3://{BUCKET}/{file}")).env("AWS_ENDPOINT_URL", endpoint)
            }
        };
        command
    }
}
