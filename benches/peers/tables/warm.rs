//! Warm processes: latency over one connection, throughput over several, and the memory it took.

use std::io;
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};

use super::contender::{Contender, Programs, Source};
use super::limits::Limits;
use super::work::{Answer, Work};
use crate::http::{Connection, Request};
use crate::process::{Process, free_port};
use crate::statistics::Sample;
use crate::table::{Row, Unit};

const CLIENTS: usize = 4;
const WARM_UP_REQUESTS: usize = 200;

/// Values of both contenders, taken in turn.
type Pairs = [Vec<f64>; 2];

/// Everything that is measured on warm processes.
#[derive(Debug, Default)]
struct Measured {
    one_p50: Pairs,
    one_p99: Pairs,
    many_p50: Pairs,
    many_p99: Pairs,
    per_second: Pairs,
    resident: Pairs,
    peak: Pairs,
}

/// A contender that serves.
#[derive(Debug)]
struct Server {
    process: Process,
    connection: Connection,
    port: u16,
}

/// Measures one model on warm processes that have it in a folder.
pub(crate) fn measure(programs: &Programs, work: &Work, limits: Limits) -> Result<Vec<Row>> {
    let mut measured = Measured::default();
    for _ in 0..limits.rounds {
        let [ours, peer] = Contender::BOTH.map(|contender| Server::start(programs, contender, work));
        round(&mut [ours?, peer?], work, limits, &mut measured)?;
    }
    let row = |what, unit, [ours, peer]: Pairs| Row::new(what, &work.model, unit, ours, peer);
    Ok(vec![
        row("warm answer, 1 row, median", Unit::Milliseconds, measured.one_p50),
        row("warm answer, 1 row, 99th percentile", Unit::Milliseconds, measured.one_p99),
        row("warm answer, 64 rows, median", Unit::Milliseconds, measured.many_p50),
        row("warm answer, 64 rows, 99th percentile", Unit::Milliseconds, measured.many_p99),
        row("answers a second, 4 clients, 1 row", Unit::PerSecond, measured.per_second),
        row("memory after these", Unit::Megabytes, measured.resident),
        row("memory at most", Unit::Megabytes, measured.peak),
    ])
}

/// One round on fresh processes.
fn round(servers: &mut [Server; 2], work: &Work, limits: Limits, measured: &mut Measured) -> Result<()> {
    for server in servers.iter_mut() {
        latencies(&mut server.connection, &work.one, WARM_UP_REQUESTS)?;
    }
    for _ in 0..limits.blocks {
        for (index, server) in servers.iter_mut().enumerate() {
            let latencies = latencies(&mut server.connection, &work.one, limits.one_row_requests)?;
            measured.one_p50[index].push(latencies.median());
            measured.one_p99[index].push(latencies.quantile(0.99));
        }
    }
    for _ in 0..limits.blocks {
        for (index, server) in servers.iter_mut().enumerate() {
            let latencies = latencies(&mut server.connection, &work.many, limits.many_row_requests)?;
            measured.many_p50[index].push(latencies.median());
            measured.many_p99[index].push(latencies.quantile(0.99));
        }
    }
    for _ in 0..limits.blocks {
        for (index, server) in servers.iter().enumerate() {
            measured.per_second[index].push(throughput(server.port, &work.one, limits)?);
        }
    }
    for (index, server) in servers.iter().enumerate() {
        let memory = server.process.memory()?;
        measured.resident[index].push(memory.resident);
        measured.peak[index].push(memory.peak);
    }
    Ok(())
}

impl Server {
    fn start(programs: &Programs, contender: Contender, work: &Work) -> Result<Self> {
        let port = free_port()?;
        let mut process = Process::start(&mut programs.serve(contender, Source::Folder, work, port))?;
        let connection = process.connect(port)?;
        Ok(Self { process, connection, port })
    }
}

/// The milliseconds of each of `count` requests, one after the other; every answer must be the same.
fn latencies(connection: &mut Connection, request: &Request, count: usize) -> Result<Sample> {
    let first = connection.exchange(request)?.to_vec();
    Answer::parse(&first)?;
    let mut measured = Vec::with_capacity(count);
    for _ in 0..count {
        let begun = Instant::now();
        let answer = connection.exchange(request)?;
        measured.push(begun.elapsed().as_secs_f64() * 1000.0);
        ensure!(answer == first, "two answers to one request differ");
    }
    Sample::new(measured).context("nothing was measured")
}

/// How many answers a second several clients get between them.
fn throughput(port: u16, request: &Request, limits: Limits) -> Result<f64> {
    let begun = Instant::now();
    let ask = || -> io::Result<usize> {
        let mut connection = Connection::open(port)?;
        let mut answers = 0;
        while begun.elapsed() < limits.throughput_time {
            connection.exchange(request)?;
            answers += 1;
        }
        Ok(answers)
    };
    let answers = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(ask)).collect();
        let answers =
            clients.into_iter().map(|client| client.join().map_err(|_| io::Error::other("a client failed"))?);
        answers.sum::<io::Result<usize>>()
    })?;
    Ok(answers as f64 / begun.elapsed().as_secs_f64())
}
