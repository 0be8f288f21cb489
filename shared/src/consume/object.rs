//! Objects of a bucket that hold what is asked: requests as JSON Lines, a table as CSV, a picture.

mod lines;
mod table;

use std::sync::Arc;

use bytes::Bytes;

use super::answers::Trouble;
use super::result::{Outcome, Summary, digest};
use super::{Consumer, Request};
use crate::api::ApiError;
use crate::api::jobs::{self, Group, Job};
use crate::model::{ModelName, Task};

/// How many lines of an object run together.
const LINES_AT_ONCE: usize = 512;

/// How an object says what is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// A request on each line.
    Lines,
    /// A row on each line, the names of the columns on the first.
    Csv,
    Image,
}

impl Format {
    const EXPECTED: &'static str = ".jsonl, .ndjson, .csv, .png, .jpg or .jpeg";

    /// By the end of an object's key.
    fn of(key: &str) -> Option<Self> {
        let extension = key.rsplit_once('.')?.1.to_ascii_lowercase();
        match extension.as_str() {
            "jsonl" | "ndjson" => Some(Self::Lines),
            "csv" => Some(Self::Csv),
            "png" | "jpg" | "jpeg" => Some(Self::Image),
            _ => None,
        }
    }
}

/// An object that may be read, and whom it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) format: Format,
    pub(super) model: ModelName,
    pub(super) url: String,
    /// What its result is called by: its key without what says where it lies and for which model.
    pub(super) name: String,
    /// Relative to the place for objects.
    key: String,
}

/// A line of an object: what it asks, or why it asks nothing.
struct Line {
    /// The first has the number 1.
    number: usize,
    content: Result<jobs::Content, ApiError>,
}

impl Consumer {
    /// An object that a request or an event names. Its model is the one that is named, else the first folder of its key.
    pub(super) fn source(&self, bucket: &str, key: &str, model: Option<&str>) -> Result<Source, ApiError> {
        let url = format!("s3://{bucket}/{key}");
        let not_allowed = |expected: &str| ApiError::object_not_allowed(&url, expected);
        let place = self.inputs.as_ref().map(|inputs| inputs.location());
        let place = place.ok_or_else(|| not_allowed("the place that EMBER_INPUTS names, and it is not set"))?;
        if self.results.is_none() {
            return Err(not_allowed("a function that knows where results go: EMBER_RESULTS is not set"));
        }
        let key = place.relative(bucket, key).ok_or_else(|| not_allowed(&place.to_string()))?;
        let format = Format::of(key).ok_or_else(|| ApiError::unsupported_media_type(Format::EXPECTED, &url))?;
        let (folder, rest) = key.split_once('/').unwrap_or(("", key));
        let unknown = |error| ApiError::unknown_model(format!("{url} names no model by its first folder: {error}"));
        let (model, name) = match model {
            Some(model) => (model.parse().map_err(unknown)?, key),
            None => (folder.parse().map_err(unknown)?, rest),
        };
        Ok(Source { format, model, name: name.to_owned(), key: key.to_owned(), url })
    }

    /// The bytes of an object. A picture is no larger than one that comes over HTTP.
    pub(super) async fn read(&self, source: &Source) -> Result<Bytes, ApiError> {
        let longest = match source.format {
            Format::Image => self.max_image_bytes,
            Format::Lines | Format::Csv => self.settings.max_object_bytes,
        };
        let inputs = self.inputs.as_ref().ok_or_else(|| ApiError::object_not_allowed(&source.url, "EMBER_INPUTS"))?;
        Ok(inputs.read(&source.key, longest).await?.into())
    }

    /// Answers each line of an object with a line. An error that is the line's own is its answer, as over HTTP; any other is
    /// the object's.
    pub(super) async fn answer_file(&self, request: &Request, source: Source) -> Result<Outcome, Trouble> {
        let _permit = self.files.acquire().await.map_err(|_| ApiError::internal("the function is shutting down"))?;
        let bytes = self.read(&source).await?;
        jobs::check(&self.api, Some(source.model.as_str())).await?;
        let mut lines: Box<dyn Iterator<Item = Line> + Send + '_> = match source.format {
            Format::Csv => Box::new(table::rows(&bytes)?),
            Format::Lines | Format::Image => Box::new(lines::requests(&bytes, &source.model)),
        };
        let mut answers = Vec::new();
        loop {
            // Read no sooner than they are answered: as values they take many times the memory.
            let some: Vec<_> = lines.by_ref().take(LINES_AT_ONCE).collect();
            if some.is_empty() {
                break;
            }
            self.answer_lines(request.task, &source.model, some, &mut answers).await?;
        }
        drop(lines);
        let digest = digest(request.id.as_deref(), request.task, &source.model, &bytes);
        Ok(Outcome {
            digest,
            key: format!("{}/{}/{digest}.jsonl", source.model, source.name),
            lines: answers.into(),
            summary: Summary {
                id: request.id.clone(),
                task: request.task,
                model: source.model,
                package: None,
                object: Some(source.url),
            },
        })
    }

    /// Adds the answers to some lines, in their order.
    async fn answer_lines(
        &self,
        task: Option<Task>,
        model: &ModelName,
        lines: Vec<Line>,
        answers: &mut Vec<u8>,
    ) -> Result<(), ApiError> {
        let (mut jobs, mut asked) = (Vec::new(), Vec::new());
        for Line { number, content } in lines {
            let job = |content| jobs.push(Job { task, model: Some(model.to_string()), content });
            asked.push((number, content.map(job)));
        }
        let mut done = Vec::new();
        for group in Group::of(jobs) {
            done.extend(group.answer(Arc::clone(&self.api)).await);
        }
        let mut done = done.into_iter();
        let missing = || Err(ApiError::internal("there is no answer"));
        for (number, asked) in asked {
            match asked.and_then(|()| done.next().unwrap_or_else(missing)) {
                Ok(done) => answers.extend(done.answer.get().as_bytes()),
                Err(error) if error.is_final() => answers.extend(error.of_line(number)),
                Err(error) => return Err(error),
            }
            answers.push(b'\n');
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_key_tells_the_format() {
        for (key, format) in [
            ("a.jsonl", Some(Format::Lines)),
            ("a.b/c.CSV", Some(Format::Csv)),
            ("a/seven.JPEG", Some(Format::Image)),
            ("a.txt", None),
            ("png", None),
        ] {
            assert_eq!(Format::of(key), format, "{key}");
        }
    }
}
