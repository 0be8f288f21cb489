//! A stand-in for the Lambda runtime interface: hands one event to a function and takes its response.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::stand_in::{Received, Reply, Service, Way, serve};

const INVOCATION: &str = "/2018-06-01/runtime/invocation";
const TIMEOUT: Duration = Duration::from_secs(30);

/// A running stand-in.
#[derive(Debug)]
pub(crate) struct Runtime {
    port: u16,
    service: Arc<Invocations>,
}

/// The one invocation that is under way.
#[derive(Debug, Default)]
struct Invocations(Mutex<Option<Pending>>);

#[derive(Debug)]
struct Pending {
    /// What its function's requests begin with. A function that was killed may still have a request on its way, which
    /// must not be given the next function's event.
    prefix: String,
    event: Option<Arc<[u8]>>,
    response: Sender<Response>,
}

/// A function's response and when it came.
#[derive(Debug)]
struct Response {
    at: Instant,
    body: Vec<u8>,
}

/// An event on its way.
#[derive(Debug)]
pub(crate) struct Invocation {
    /// What goes into the function's `AWS_LAMBDA_RUNTIME_API`.
    pub(crate) address: String,
    response: Receiver<Response>,
}

impl Runtime {
    pub(crate) fn start() -> Result<Self> {
        let service = Arc::new(Invocations::default());
        let port = serve(Arc::clone(&service), Way::default()).context("the Lambda stand-in can't listen")?;
        Ok(Self { port, service })
    }

    /// Has the function that is started next answer this event.
    pub(crate) fn offer(&self, number: usize, event: &Value) -> Invocation {
        let (sender, response) = channel();
        let prefix = format!("/{number}");
        let address = format!("http://127.0.0.1:{}{prefix}", self.port);
        let event = Some(event.to_string().into_bytes().into());
        *self.service.lock() = Some(Pending { prefix, event, response: sender });
        Invocation { address, response }
    }
}

impl Invocation {
    /// When the response came, and the body that it carries.
    pub(crate) fn wait(&self) -> Result<(Instant, String)> {
        let Response { at, body } = self.response.recv_timeout(TIMEOUT).context("the function did not respond")?;
        let response: Value = serde_json::from_slice(&body).context("the function's response is no JSON")?;
        match (&response["statusCode"], response["body"].as_str()) {
            (status, Some(body)) if status == 200 => Ok((at, body.to_owned())),
            _ => bail!("the function responded {response}"),
        }
    }
}

impl Invocations {
    fn lock(&self) -> MutexGuard<'_, Option<Pending>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Service for Invocations {
    fn reply(&self, request: &Received) -> Option<Reply> {
        let mut pending = self.lock();
        let pending = pending.as_mut()?;
        let path = request.path.strip_prefix(&pending.prefix)?.strip_prefix(INVOCATION)?;
        if path == "/next" {
            // Lambda, too, leaves a function waiting until there is an event.
            let body = pending.event.take()?;
            return Some(Reply::new("200 OK", headers(), body));
        }
        // Nobody waits any more where the measurement was given up.
        drop(pending.response.send(Response { at: request.at, body: request.body.clone() }));
        Some(Reply::new("202 Accepted", Vec::new(), Arc::new([])))
    }
}

fn headers() -> Vec<(&'static str, String)> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let function = "arn:aws:lambda:us-east-1:123456789012:function:predict";
    vec![
        ("Content-Type", "application/json".to_owned()),
        ("Lambda-Runtime-Aws-Request-Id", "5d1c1b7e-6f0a-4c58-9d3e-2b7a8c9d0e1f".to_owned()),
        ("Lambda-Runtime-Deadline-Ms", (now + TIMEOUT).as_millis().to_string()),
        ("Lambda-Runtime-Invoked-Function-Arn", function.to_owned()),
    ]
}
