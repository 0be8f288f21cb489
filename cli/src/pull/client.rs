//! Requests to a hub and to where it sends on to; only the hub itself sees the token.

use std::time::Duration;

use anyhow::{Context as _, Error, Result, anyhow, ensure};
use emberlite::root_certificates;
use ureq::http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, LOCATION, RANGE, RETRY_AFTER};
use ureq::http::{Response, StatusCode, Uri};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body};

use super::endpoint::{self, Endpoint};
use super::patience::{Failure, Try};
use super::token::{self, Token};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a server may be silent.
const SILENCE: Duration = Duration::from_secs(60);
const REDIRECTS: usize = 8;

/// What asks a hub.
pub(super) struct Client {
    agent: Agent,
    endpoint: Endpoint,
    token: Option<Token>,
}

/// An answer that has a body, or tells why there is none.
pub(super) struct Answer {
    response: Response<Body>,
    /// Whether the hub itself gave it, and not where it sent on to.
    pub(super) own: bool,
    /// Who gave it.
    pub(super) from: String,
}

impl Answer {
    pub(super) fn status(&self) -> StatusCode {
        self.response.status()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    /// How many bytes are to come, where it says so.
    pub(super) fn length(&self) -> Option<u64> {
        self.header(CONTENT_LENGTH.as_str())?.parse().ok()
    }

    /// The first byte that is to come, and how many the whole has: those of a part.
    pub(super) fn range(&self) -> Option<(u64, u64)> {
        let (range, whole) = self.header(CONTENT_RANGE.as_str())?.strip_prefix("bytes ")?.split_once('/')?;
        Some((range.split_once('-')?.0.parse().ok()?, whole.parse().ok()?))
    }

    /// What the body is read from, at most so much.
    pub(super) fn into_reader(self, limit: u64) -> impl std::io::Read {
        self.response.into_body().into_with_config().limit(limit).reader()
    }
}

impl Client {
    /// # Errors
    /// Certificates that can't be used, or a token that everybody on the way could read.
    pub(super) fn new(endpoint: Endpoint, token: Option<Token>) -> Result<Self> {
        ensure!(
            token.is_none() || endpoint.is_private(),
            "the token would be sent to {endpoint} in clear: name the hub with https, or leave {} out",
            token::VARIABLE
        );
        // The first one to be said stays; whichever it is, it is one.
        drop(rustls::crypto::ring::default_provider().install_default());
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("emberlite/", env!("CARGO_PKG_VERSION")))
            .accept_encoding("identity")
            .timeout_resolve(Some(CONNECT_TIMEOUT))
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_recv_response(Some(SILENCE))
            .timeout_per_read(Some(SILENCE))
            .tls_config(TlsConfig::builder().root_certs(roots()?).build());
        Ok(Self { agent: config.build().new_agent(), endpoint, token })
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub(super) fn token(&self) -> Option<&Token> {
        self.token.as_ref()
    }

    /// Gets a path of the hub, from this byte on, wherever it is sent on to.
    pub(super) fn get(&self, path: &str, from: u64) -> Try<Answer> {
        let mut uri: Uri = self.endpoint.join(path).parse().with_context(|| format!("{path:?} is no path"))?;
        for _ in 0..REDIRECTS {
            let own = self.endpoint.owns(&uri);
            let mut request = self.agent.get(&uri);
            if let Some(token) = self.token.as_ref().filter(|_| own) {
                request = request.header(AUTHORIZATION, token.authorization());
            }
            if from > 0 {
                request = request.header(RANGE, format!("bytes={from}-"));
            }
            let told = endpoint::told(&uri);
            let response = request.call().map_err(|error| broken(&told, &error))?;
            let status = response.status();
            let answer = Answer { response, own, from: told };
            if status.is_redirection() {
                let location = answer.header(LOCATION.as_str()).context("it sends on, and does not say where to")?;
                uri = endpoint::redirected(&uri, location)
                    .map_err(|reason| anyhow!("{} can't be used: {reason}", answer.from))?;
                continue;
            }
            if status.is_server_error()
                || [StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT].contains(&status)
            {
                return Err(later(&answer));
            }
            return Ok(answer);
        }
        Err(Failure::Lasting(anyhow!("{} sends on and on, {REDIRECTS} times", self.endpoint)))
    }
}

/// An answer that asks to come again.
fn later(answer: &Answer) -> Failure {
    let after = answer.header(RETRY_AFTER.as_str()).and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
    let reason = match answer.status() {
        StatusCode::TOO_MANY_REQUESTS => format!("{} has had too many requests (429)", answer.from),
        status => format!("{} fails ({})", answer.from, status.as_u16()),
    };
    Failure::Passing { reason, after }
}

/// A request without an answer.
fn broken(host: &str, error: &ureq::Error) -> Failure {
    let untrusted = |reason: &dyn std::fmt::Display| {
        Failure::Lasting(anyhow!(
            "{host} can't be trusted ({reason}): where a proxy signs in its place, name the proxy's certificate in SSL_CERT_FILE"
        ))
    };
    let passing = |reason: String| Failure::Passing { reason, after: None };
    match error {
        ureq::Error::ConnectProxyFailed(reason) => {
            Failure::Lasting(anyhow!("the proxy does not connect to {host} ({reason}): check HTTPS_PROXY and NO_PROXY"))
        }
        ureq::Error::Rustls(reason) => untrusted(reason),
        ureq::Error::Io(reason) if is_tls(reason) => untrusted(reason),
        ureq::Error::HostNotFound => passing(format!("there is no host {host}")),
        ureq::Error::Io(reason) => passing(format!("{host} can't be reached ({reason})")),
        _ => passing(format!("{host} can't be reached ({error})")),
    }
}

fn is_tls(error: &std::io::Error) -> bool {
    error.get_ref().is_some_and(|source| source.is::<rustls::Error>())
}

/// The certificates to trust: those that requests to S3 are checked against, else all of the system's folder.
fn roots() -> Result<RootCerts> {
    let pem = match root_certificates().map_err(Error::msg)? {
        Some(pem) => pem,
        None => folder_of_roots(),
    };
    let certificates = parse_pem(&pem).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    });
    Ok(certificates.collect::<Vec<_>>().into())
}

fn folder_of_roots() -> Vec<u8> {
    let named = std::env::var_os("SSL_CERT_DIR").unwrap_or_else(|| "/etc/ssl/certs".into());
    let folders: Vec<_> = std::env::split_paths(&named).collect();
    let files = folders.iter().filter_map(|folder| folder.read_dir().ok()).flatten().filter_map(Result::ok);
    files.filter_map(|file| std::fs::read(file.path()).ok()).collect::<Vec<_>>().join(&b'\n')
}
