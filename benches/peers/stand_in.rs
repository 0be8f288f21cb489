//! The HTTP server under the stand-ins for cloud services: a thread a connection, every step timed.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use crate::http::header;

/// A request as a stand-in sees it.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) method: String,
    /// The path without its query.
    pub(crate) path: String,
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
}

/// A service that answers requests.
pub(crate) trait Service: Send + Sync + 'static {
    /// The reply to a request; `None` leaves it unanswered.
    fn reply(&self, request: &Received) -> Option<Reply>;

    /// Told when the reply to a request has been written.
    fn replied(&self, _request: &Received, _at: Instant) {}
}

/// Serves until the program ends; answers the port.
pub(crate) fn serve(service: Arc<impl Service>) -> io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let service = Arc::clone(&service);
            // A client that goes away ends its connection; nothing else is lost with it.
            thread::spawn(move || drop(converse(&stream, &*service)));
        }
    });
    Ok(port)
}

fn converse(stream: &TcpStream, service: &impl Service) -> io::Result<()> {
    let connected = Instant::now();
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    while let Some(request) = read(&mut reader, connected)? {
        let Some(Reply { status, headers, body }) = service.reply(&request) else { continue };
        let mut answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n", body.len());
        for (name, value) in headers {
            answer.extend([name, ": ", &value, "\r\n"]);
        }
        answer.push_str("\r\n");
        let mut writer = stream;
        writer.write_all(&[answer.as_bytes(), &body].concat())?;
        service.replied(&request, Instant::now());
    }
    Ok(())
}

/// The next request; `None` at the end of the connection.
fn read(reader: &mut BufReader<&TcpStream>, connected: Instant) -> io::Result<Option<Received>> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Ok(None);
        }
    }
    let mut words = head.split(' ');
    let method = words.next().unwrap_or_default().to_owned();
    let path = words.next().and_then(|target| target.split('?').next()).unwrap_or_default().to_owned();
    let length = header(&head, "content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = Vec::new();
    reader.take(length).read_to_end(&mut body)?;
    Ok(Some(Received { method, path, body, connected, at: Instant::now() }))
}
