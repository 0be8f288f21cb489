//! JSON Lines: a request on each line in, its answer on a line out, in order, while the body still comes.

use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, header};

use super::stream::{Line, Lines, channel};
use super::{Endpoint, evaluate};
use crate::api::body::refuse_encoding;
use crate::api::dialect::{Dialect, Refusal};
use crate::api::{Api, ApiError, models, timing};
use crate::model::Model;

/// Answers a stream. What goes wrong before the first line can be answered is a refusal like any other; after that an
/// error is the answer of its line.
pub(super) async fn respond<E: Endpoint>(
    api: &Arc<Api>,
    named: Option<String>,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    refuse_encoding(headers).map_err(|error| E::DIALECT.refusal(error))?;
    let mut lines = Lines::new(body, api.max_body_bytes);
    let first: Vec<_> = lines.next().await.into_iter().map(Request::<E>::read).collect();
    let told = first.iter().filter_map(|line| line.request.as_ref().ok()).find_map(|request| request.model());
    let dialect =
        first.iter().find_map(|line| line.request.as_ref().ok()).map_or(E::DIALECT, |request| request.dialect());
    let model = async {
        let name = models::choose(api, named.as_deref(), told.filter(|_| named.is_none())).await?;
        models::load(api, &name).await
    };
    let model = model.await.map_err(|error| dialect.refusal(error))?;

    let (sender, answers) = channel();
    let (api, worker) = (Arc::clone(api), Arc::clone(&model));
    tokio::spawn(async move {
        let mut requests = first;
        while !requests.is_empty() {
            let model = Arc::clone(&worker);
            let answers = api.compute.run(move || answer_lines(&model, requests)).await;
            let chunk = answers.unwrap_or_else(|error| line(&E::DIALECT.body(&error).1));
            if sender.send(chunk.into()).await.is_err() {
                return;
            }
            requests = lines.next().await.into_iter().map(Request::read).collect();
        }
    });
    let content_type = headers.get(header::CONTENT_TYPE).cloned();
    let content_type = content_type.unwrap_or(HeaderValue::from_static("application/jsonl"));
    let mut response = ([(header::CONTENT_TYPE, content_type)], answers).into_response();
    timing::add(&mut response, &model, &[]);
    Ok(response)
}

/// What a line asks for, or why it asks for nothing.
struct Request<E> {
    number: usize,
    request: Result<E, Refusal>,
}

impl<E: Endpoint> Request<E> {
    fn read(line: Line) -> Self {
        let request = match line.content {
            Ok(content) => E::read(&content),
            Err(error) => Err(E::DIALECT.refusal(error)),
        };
        Self { number: line.number, request }
    }
}

/// The lines that answer these requests.
fn answer_lines<E: Endpoint>(model: &Model, lines: Vec<Request<E>>) -> Vec<u8> {
    let mut requests = Vec::with_capacity(lines.len());
    let mut asked: Vec<(usize, Dialect, Option<ApiError>)> = Vec::with_capacity(lines.len());
    let name = model.manifest().name.as_str();
    for Request { number, request } in lines {
        match request {
            Ok(request) => match request.model() {
                Some(other) if other != name => {
                    let error = ApiError::bad_request(format!("this stream is for model {name:?}, got {other:?}"));
                    asked.push((number, request.dialect(), Some(error)));
                }
                _ => {
                    asked.push((number, request.dialect(), None));
                    requests.push(request);
                }
            },
            Err(Refusal { dialect, error }) => asked.push((number, dialect, Some(error))),
        }
    }
    let (answers, ..) = evaluate(model, requests);
    let mut answers = answers.into_iter();
    let mut out = Vec::new();
    for (number, dialect, error) in asked {
        let answer = match error {
            Some(error) => Err(error),
            None => answers.next().unwrap_or_else(|| Err(ApiError::internal("there is no answer"))),
        };
        match answer {
            Ok(answer) => out.extend(line(&answer)),
            Err(error) => {
                error.log();
                let (_, mut body) = dialect.body(&error);
                body["line"] = number.into();
                out.extend(line(&body));
            }
        }
    }
    out
}

fn line(body: &impl serde::Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(body).unwrap_or_default();
    line.push(b'\n');
    line
}
