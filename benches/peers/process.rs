//! A server process: started, measured, and ended whatever happens.

use std::fs;
use std::io::{BufRead as _, BufReader, ErrorKind};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::http::Connection;

const START_TIMEOUT: Duration = Duration::from_secs(60);
const SHORTEST_POLL: Duration = Duration::from_micros(100);
/// A poll is this part of the time that has passed, so that it neither blurs a fast start nor burdens a slow one.
const POLL_PART: u32 = 200;

/// A running process, killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    /// What it prints, where that is read.
    printed: Option<BufReader<ChildStdout>>,
    name: String,
    /// The moment before it was started.
    pub(crate) begun: Instant,
}

impl Process {
    /// Starts a process. What it logs is thrown away, what it complains about is not.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        Self::spawn(command.stdout(Stdio::null()))
    }

    /// Starts a process to read what it prints.
    pub(crate) fn start_heard(command: &mut Command) -> Result<Self> {
        Self::spawn(command.stdout(Stdio::piped()))
    }

    fn spawn(command: &mut Command) -> Result<Self> {
        command.stdin(Stdio::null()).stderr(Stdio::inherit());
        let name = command.get_program().to_string_lossy().into_owned();
        let begun = Instant::now();
        let mut child = command.spawn().with_context(|| format!("can't start {name}"))?;
        let printed = child.stdout.take().map(BufReader::new);
        Ok(Self { child, printed, name, begun })
    }

    /// The next line that it prints.
    pub(crate) fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        let printed = self.printed.as_mut().context("what it prints is not read")?;
        if printed.read_line(&mut line)? == 0 {
            bail!("{} ended without a word", self.name);
        }
        Ok(line)
    }

    /// Connects as soon as the process listens.
    pub(crate) fn connect(&mut self, port: u16) -> Result<Connection> {
        loop {
            match Connection::open(port) {
                Ok(connection) => return Ok(connection),
                Err(error) if error.kind() != ErrorKind::ConnectionRefused => return Err(error.into()),
                Err(_) => {}
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended before it listened ({status})", self.name);
            }
            let passed = self.begun.elapsed();
            if passed > START_TIMEOUT {
                bail!("{} did not listen within {} s", self.name, START_TIMEOUT.as_secs());
            }
            thread::sleep(SHORTEST_POLL.max(passed / POLL_PART));
        }
    }

    /// The memory in bytes that is resident now, and the most that ever was.
    pub(crate) fn memory(&self) -> Result<Memory> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let field = |name: &str| {
            let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            let kibibytes = value.and_then(|value| value.trim().strip_suffix(" kB")?.parse::<f64>().ok());
            kibibytes.map(|kibibytes| kibibytes * 1024.0).with_context(|| format!("/proc does not tell {name}"))
        };
        Ok(Memory { resident: field("VmRSS")?, peak: field("VmHWM")? })
    }
}

/// A process's memory in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    pub(crate) resident: f64,
    pub(crate) peak: f64,
}

impl Drop for Process {
    fn drop(&mut self) {
        // Either fails only where the process has already ended.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A port that nobody listens on, below those that the kernel gives to clients.
pub(crate) fn free_port() -> Result<u16> {
    const FIRST: u16 = 20_000;
    const COUNT: u16 = 10_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let offset = (std::process::id() % u32::from(COUNT)) as u16;
    for _ in 0..COUNT {
        let number = (NEXT.fetch_add(1, Ordering::Relaxed) % COUNT + offset) % COUNT;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, FIRST + number)).is_ok() {
            return Ok(FIRST + number);
        }
    }
    bail!("no port is free between {FIRST} and {}", FIRST + COUNT)
}

/// A command in an environment that is the same on every machine.
pub(crate) fn clean(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    command.envs([
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ]);
    command
}
