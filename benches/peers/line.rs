//! A network line in this process: what comes in arrives a round trip later, what goes out leaves at a pace that all its
//! connections share.
//!
//! The whole round trip is on the way in, which a client can't tell from half of it each way. The one of TCP's handshake
//! comes before the first bytes. Neither slow start nor loss is modelled.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How much is sent at once: a record of TLS.
const CHUNK: usize = 16 * 1024;
/// How far the line may be behind its pace before that time is lost to it: threads wake up late.
const SLACK: Duration = Duration::from_millis(2);

/// A line; clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    bytes_per_second: f64,
    round_trip: Duration,
    /// When it has sent what was given to it.
    free: Arc<Mutex<Instant>>,
}

/// The far end of a connection over a line.
#[derive(Debug)]
pub(crate) struct Connected {
    stream: TcpStream,
    line: Line,
    incoming: Receiver<Arrival>,
    /// What arrived and was not read yet.
    rest: Vec<u8>,
}

#[derive(Debug)]
struct Arrival {
    due: Instant,
    bytes: Vec<u8>,
}

impl Line {
    pub(crate) fn new(bytes_per_second: f64, round_trip: Duration) -> Self {
        Self { bytes_per_second, round_trip, free: Arc::new(Mutex::new(Instant::now())) }
    }

    /// Puts the line between a client and the end of its connection.
    pub(crate) fn lay(&self, stream: TcpStream) -> io::Result<Connected> {
        let (sender, incoming) = channel();
        let (mut client, round_trip) = (stream.try_clone()?, self.round_trip);
        let shaken_hands = Instant::now() + round_trip;
        thread::spawn(move || {
            let mut chunk = [0; CHUNK];
            while let Ok(count @ 1..) = client.read(&mut chunk) {
                let due = Instant::now().max(shaken_hands) + round_trip;
                if sender.send(Arrival { due, bytes: chunk[..count].to_vec() }).is_err() {
                    break;
                }
            }
        });
        Ok(Connected { stream, line: self.clone(), incoming, rest: Vec::new() })
    }

    /// Waits until so many bytes have left.
    fn send(&self, bytes: usize) {
        let left = {
            let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
            let start = Instant::now().checked_sub(SLACK).map_or(*free, |behind| behind.max(*free));
            *free = start + Duration::from_secs_f64(bytes as f64 / self.bytes_per_second);
            *free
        };
        thread::sleep(left.saturating_duration_since(Instant::now()));
    }
}

impl Read for Connected {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.rest.is_empty() {
            // The sender is gone when the client is.
            let Ok(Arrival { due, bytes }) = self.incoming.recv() else { return Ok(0) };
            thread::sleep(due.saturating_duration_since(Instant::now()));
            self.rest = bytes;
        }
        let count = buffer.len().min(self.rest.len());
        buffer[..count].copy_from_slice(&self.rest[..count]);
        self.rest.drain(..count);
        Ok(count)
    }
}

impl Write for Connected {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let chunk = &bytes[..bytes.len().min(CHUNK)];
        self.line.send(chunk.len());
        self.stream.write_all(chunk)?;
        Ok(chunk.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
