//! Cold starts: from spawning a process to its first answer, the contenders in turn.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::contender::{Contender, Programs, Source};
use super::lambda::Runtime;
use super::limits::Limits;
use super::work::{Answer, MANY, Work};
use crate::process::{Memory, Process, free_port};
use crate::s3::Endpoint;
use crate::table::{Row, Unit};

/// What cold starts of one model need.
#[derive(Debug)]
pub(crate) struct ColdStarts<'a> {
    pub(crate) programs: &'a Programs,
    pub(crate) s3: &'a Endpoint,
    pub(crate) runtime: &'a Runtime,
    pub(crate) work: &'a Work,
    pub(crate) limits: Limits,
}

/// One cold start.
#[derive(Debug)]
struct Start {
    answered: Duration,
    /// The part of it between the first connection to S3 and the last byte from there.
    fetching: Option<Duration>,
    memory: Memory,
}

impl ColdStarts<'_> {
    /// Measures this model's cold starts.
    pub(crate) fn measure(&self) -> Result<Vec<Row>> {
        let expected = self.compare_answers()?;
        let [folder, memory, _] = self.pairs(Source::Folder, &expected)?;
        let [s3, _, [fetching, _]] = self.pairs(Source::S3(&self.s3.url), &expected)?;
        let row = |what, unit, [ours, peer]: [Vec<f64>; 2]| Row::new(what, &self.work.model, unit, ours, peer);
        Ok(vec![
            row("start to first answer, model in a folder", Unit::Milliseconds, folder),
            row("start to first answer, model in S3", Unit::Milliseconds, s3),
            row("of which its two GETs, on the side of S3", Unit::Milliseconds, [fetching, vec![]]),
            row(
                "start to response on the Lambda interface, folder",
                Unit::Milliseconds,
                [self.lambda(&expected)?, vec![]],
            ),
            row("memory after the first answer", Unit::Megabytes, memory),
        ])
    }

    /// Has both answer both requests, so that nothing is compared that is not the same work, and files are in memory.
    fn compare_answers(&self) -> Result<Answer> {
        let [ours, peer] = Contender::BOTH.map(|contender| self.answers(contender));
        let ((one, many), (peer_one, peer_many)) = (ours?, peer?);
        one.agree(&peer_one)?;
        many.agree(&peer_many)?;
        ensure!((one.rows(), many.rows()) == (1, MANY), "an answer lacks rows");
        Ok(one)
    }

    fn answers(&self, contender: Contender) -> Result<(Answer, Answer)> {
        let port = free_port()?;
        let mut process = Process::start(&mut self.programs.serve(contender, Source::Folder, self.work, port))?;
        let mut connection = process.connect(port)?;
        let one = Answer::parse(connection.exchange(&self.work.one)?)?;
        Ok((one, Answer::parse(connection.exchange(&self.work.many)?)?))
    }

    /// Starts in turn; answers milliseconds to the answer, memory, and milliseconds of fetching, each of both contenders.
    fn pairs(&self, source: Source<'_>, expected: &Answer) -> Result<[[Vec<f64>; 2]; 3]> {
        let mut measured: [[Vec<f64>; 2]; 3] = Default::default();
        let begun = Instant::now();
        for pair in 0..self.limits.cold_pairs {
            if self.limits.stage_is_over(pair, begun) {
                break;
            }
            for (index, contender) in Contender::BOTH.into_iter().enumerate() {
                let start = self.start(contender, source, expected)?;
                measured[0][index].push(milliseconds(start.answered));
                measured[1][index].push(start.memory.resident);
                measured[2][index].extend(start.fetching.map(milliseconds));
            }
        }
        Ok(measured)
    }

    fn start(&self, contender: Contender, source: Source<'_>, expected: &Answer) -> Result<Start> {
        let port = free_port()?;
        let mut command = self.programs.serve(contender, source, self.work, port);
        let mut process = Process::start(&mut command)?;
        let mut connection = process.connect(port)?;
        let answer = connection.exchange(&self.work.one).with_context(|| format!("{contender:?} did not answer"))?;
        let answered = process.begun.elapsed();
        Answer::parse(answer)?.agree(expected)?;
        Ok(Start { answered, fetching: self.s3.take_span(), memory: process.memory()? })
    }

    fn lambda(&self, expected: &Answer) -> Result<Vec<f64>> {
        let start = |number| {
            let invocation = self.runtime.offer(number, &self.work.event);
            let process = Process::start(&mut self.programs.on_lambda(&invocation.address, self.work))?;
            let (at, body) = invocation.wait()?;
            Answer::parse(body.as_bytes())?.agree(expected)?;
            Ok(milliseconds(at - process.begun))
        };
        (0..self.limits.cold_pairs).map(start).collect()
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
