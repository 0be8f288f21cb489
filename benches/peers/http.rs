//! HTTP/1.1 over a kept connection to 127.0.0.1: one request, one whole answer, nothing in between that costs time.

use std::io::{self, Error, ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// How long an answer may take before the measurement is given up.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A request, written once and sent many times.
#[derive(Clone, Debug)]
pub(crate) struct Request(Vec<u8>);

impl Request {
    /// A GET.
    pub(crate) fn get(path: &str) -> Self {
        Self(format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n").into_bytes())
    }

    /// A POST of a JSON body.
    pub(crate) fn post(path: &str, body: &str) -> Self {
        let length = body.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        );
        Self([head.as_bytes(), body.as_bytes()].concat())
    }
}

/// A connection that is kept open between requests.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Connection {
    /// Connects to a port of this machine.
    pub(crate) fn open(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
        // Where nobody listens, the kernel may connect a port of the ephemeral range to itself.
        if stream.local_addr()? == stream.peer_addr()? {
            return Err(Error::from(ErrorKind::ConnectionRefused));
        }
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        Ok(Self { stream, received: Vec::with_capacity(64 * 1024) })
    }

    /// Sends a request and reads the whole answer; answers its body.
    ///
    /// # Errors
    /// An answer that breaks off, has no length, or is not 200.
    pub(crate) fn exchange(&mut self, request: &Request) -> io::Result<&[u8]> {
        self.stream.write_all(&request.0)?;
        self.received.clear();
        let mut head = None;
        loop {
            if head.is_none() {
                head = Head::parse(&self.received)?;
            }
            if let Some(Head { status, body, length }) = head
                && self.received.len() >= body + length
            {
                let body = &self.received[body..body + length];
                if status != 200 {
                    return Err(Error::other(format!("{status}: {}", String::from_utf8_lossy(body))));
                }
                return Ok(body);
            }
            self.receive()?;
        }
    }

    fn receive(&mut self) -> io::Result<()> {
        let mut chunk = [0; 16 * 1024];
        match self.stream.read(&mut chunk)? {
            0 => Err(Error::new(ErrorKind::UnexpectedEof, "the answer broke off")),
            count => {
                self.received.extend_from_slice(&chunk[..count]);
                Ok(())
            }
        }
    }
}

/// What an answer's head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    status: u16,
    /// Where the body begins.
    body: usize,
    length: usize,
}

impl Head {
    /// The head of an answer, once it is there whole.
    fn parse(received: &[u8]) -> io::Result<Option<Self>> {
        let invalid = |reason: &str| Error::new(ErrorKind::InvalidData, reason.to_owned());
        let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
        let text = std::str::from_utf8(&received[..end]).map_err(|_| invalid("the answer's head is no text"))?;
        let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
        let length = header(text, "content-length").and_then(|length| length.parse().ok());
        Ok(Some(Self {
            status: status.ok_or_else(|| invalid("the answer has no status"))?,
            body: end + 4,
            length: length.ok_or_else(|| invalid("the answer has no Content-Length"))?,
        }))
    }
}

/// The value of a header in a head.
pub(crate) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let fields = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    fields.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_once_it_is_whole() {
        let text = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(Head::parse(&text[..30]).unwrap(), None);
        assert_eq!(Head::parse(text).unwrap(), Some(Head { status: 200, body: 38, length: 2 }));
    }

    #[test]
    fn an_answer_without_a_length_is_refused() {
        assert!(Head::parse(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
