//! A stand-in for the Lambda runtime interface: hands one event to a function and takes its response.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::stand_in::{Received, Reply, Service, serve};

const PREFIX: &str = "/2018-06-01/runtime/invocation/";
const TIMEOUT: Duration = Duration::from_secs(30);

/// A running stand-in.
#[derive(Debug)]
pub(crate) struct Runtime {
    /// What goes into `AWS_LAMBDA_RUNTIME_API`.
    pub(crate) address: String,
    service: Arc<Invocations>,
}

#[derive(Debug, Default)]
struct Invocations {
    waiting: Mutex<Option<Arc<[u8]>>>,
    response: Mutex<Option<Sender<Response>>>,
}

/// A function's response and when it came.
#[derive(Debug)]
struct Response {
    at: Instant,
    body: Vec<u8>,
}

/// An event on its way.
#[derive(Debug)]
pub(crate) struct Invocation(Receiver<Response>);

impl Runtime {
    pub(crate) fn start() -> Result<Self> {
        let service = Arc::new(Invocations::default());
        let port = serve(Arc::clone(&service)).context("the Lambda stand-in can't listen")?;
        Ok(Self { address: format!("127.0.0.1:{port}"), service })
    }

    /// Has the next function that asks answer this event.
    pub(crate) fn offer(&self, event: &Value) -> Invocation {
        let (sender, receiver) = channel();
        *lock(&self.service.waiting) = Some(event.to_string().into_bytes().into());
        *lock(&self.service.response) = Some(sender);
        Invocation(receiver)
    }
}

impl Invocation {
    /// When the response came, and the body that it carries.
    pub(crate) fn wait(&self) -> Result<(Instant, String)> {
        let Response { at, body } = self.0.recv_timeout(TIMEOUT).context("the function did not respond")?;
        let response: Value = serde_json::from_slice(&body).context("the function's response is no JSON")?;
        match (&response["statusCode"], response["body"].as_str()) {
            (status, Some(body)) if status == 200 => Ok((at, body.to_owned())),
            _ => bail!("the function responded {response}"),
        }
    }
}

impl Service for Invocations {
    fn reply(&self, request: &Received) -> Option<Reply> {
        if request.path.strip_prefix(PREFIX) == Some("next") {
            // Lambda, too, leaves a function waiting until there is an event.
            let body = lock(&self.waiting).take()?;
            return Some(Reply { status: "200 OK", headers: headers(), body });
        }
        if request.path.ends_with("/response")
            && let Some(sender) = lock(&self.response).take()
        {
            // Nobody waits any more where the measurement was given up.
            drop(sender.send(Response { at: request.at, body: request.body.clone() }));
        }
        Some(Reply { status: "202 Accepted", headers: Vec::new(), body: Arc::new([]) })
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

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
