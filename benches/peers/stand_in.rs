//! The HTTP server under the stand-ins for cloud services: a thread a connection, every step timed.

use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::ops::Range;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use crate::http::header;
use crate::line::Line;
use crate::tls::Identity;

/// How much of a body is sent with the head, so that a small answer is one packet.
const WITH_THE_HEAD: usize = 16 * 1024;

/// A request as a stand-in sees it.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) method: String,
    /// The path without its query.
    pub(crate) path: String,
    /// The range of bytes that is asked for, if one is.
    pub(crate) range: Option<Range<usize>>,
    pub(crate) body: Vec<u8>,
    /// When the connection it came on was accepted.
    pub(crate) connected: Instant,
    /// When the whole request was there.
    pub(crate) at: Instant,
}

/// What a stand-in answers.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: &'static str,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Arc<[u8]>,
    /// What of the body is sent.
    pub(crate) part: Range<usize>,
}

impl Reply {
    /// A reply with a whole body.
    pub(crate) fn new(status: &'static str, headers: Vec<(&'static str, String)>, body: Arc<[u8]>) -> Self {
        let part = 0..body.len();
        Self { status, headers, body, part }
    }
}

/// What lies between a client and a stand-in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Way {
    /// A line of known speed; `None` for this machine's own.
    pub(crate) line: Option<Line>,
    /// Whom the client finds at its end; `None` for plain HTTP.
    pub(crate) identity: Option<Arc<Identity>>,
}

/// A service that answers requests.
pub(crate) trait Service: Send + Sync + 'static {
    /// The reply to a request; `None` leaves it unanswered.
    fn reply(&self, request: &Received) -> Option<Reply>;

    /// Told when the reply to a request has been written.
    fn replied(&self, _request: &Received, _at: Instant) {}
}

/// Serves until the program ends; answers the port.
pub(crate) fn serve(service: Arc<impl Service>, way: Way) -> io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (service, way) = (Arc::clone(&service), way.clone());
            // A client that goes away ends its connection; nothing else is lost with it.
            thread::spawn(move || drop(accept(stream, &*service, &way)));
        }
    });
    Ok(port)
}

fn accept(stream: TcpStream, service: &impl Service, way: &Way) -> io::Result<()> {
    let connected = Instant::now();
    stream.set_nodelay(true)?;
    match (&way.line, &way.identity) {
        (None, None) => converse(stream, service, connected),
        (None, Some(identity)) => converse(identity.greet(stream)?, service, connected),
        (Some(line), None) => converse(line.lay(stream)?, service, connected),
        (Some(line), Some(identity)) => converse(identity.greet(line.lay(stream)?)?, service, connected),
    }
}

fn converse(stream: impl Read + Write, service: &impl Service, connected: Instant) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    while let Some(request) = read(&mut reader, connected)? {
        let Some(Reply { status, headers, body, part }) = service.reply(&request) else { continue };
        let mut head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n", part.len());
        for (name, value) in headers {
            head.extend([name, ": ", &value, "\r\n"]);
        }
        head.push_str("\r\n");
        let body = &body[part];
        let (first, rest) = body.split_at(body.len().min(WITH_THE_HEAD));
        let writer = reader.get_mut();
        writer.write_all(&[head.as_bytes(), first].concat())?;
        writer.write_all(rest)?;
        writer.flush()?;
        service.replied(&request, Instant::now());
    }
    Ok(())
}

/// The next request; `None` at the end of the connection.
fn read(reader: &mut BufReader<impl Read>, connected: Instant) -> io::Result<Option<Received>> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Ok(None);
        }
    }
    let mut words = head.split(' ');
    let method = words.next().unwrap_or_default().to_owned();
    let path = words.next().and_then(|target| target.split('?').next()).unwrap_or_default().to_owned();
    let range = header(&head, "range").and_then(range);
    let length = header(&head, "content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = Vec::new();
    reader.by_ref().take(length).read_to_end(&mut body)?;
    Ok(Some(Received { method, path, range, body, connected, at: Instant::now() }))
}

/// The bytes that a `Range` header asks for, its last byte included there and not here.
fn range(value: &str) -> Option<Range<usize>> {
    let (first, last) = value.strip_prefix("bytes=")?.split_once('-')?;
    Some(first.parse().ok()?..last.parse::<usize>().ok()?.checked_add(1)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_ends_behind_its_last_byte() {
        assert_eq!(range("bytes=4-7"), Some(4..8));
        assert_eq!(range("bytes=4-"), None);
        assert_eq!(range("lines=4-7"), None);
    }
}
