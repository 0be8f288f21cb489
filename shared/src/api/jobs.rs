//! Requests without HTTP around them, many at once: those for the same of one model run as one batch.

mod together;

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};
use tokio::task::JoinSet;

use super::predict::{self, Predictions};
use super::text::{self, Endpoint};
use super::{Api, ApiError, classify, models, open_ai, rerank};
use crate::model::{Digest, Model, ModelName, Task};
use crate::task::{self, InputError, Payload};
use together::together;

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    /// What is asked of the model; by default what it is for.
    pub(crate) task: Option<Task>,
    /// By default the one that answers where none is named.
    pub(crate) model: Option<String>,
    pub(crate) content: Content,
}

/// What a request carries.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// The fields of a body, as the task's path takes them.
    Fields(Map<String, Value>),
    /// A PNG or JPEG file.
    Image(Bytes),
    /// A row of a table.
    Row(task::Row),
}

/// The answer to a request.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) task: Task,
    pub(crate) model: ModelName,
    /// The digest of the package that answered.
    pub(crate) package: Digest,
    /// The body that the task's path answers with.
    pub(crate) answer: Box<RawValue>,
}

/// Requests for the same of one model.
#[derive(Debug)]
pub(crate) struct Group {
    task: Option<Task>,
    model: Option<String>,
    /// With their places among all requests.
    jobs: Vec<(usize, Content)>,
}

type Answers = Vec<Result<Box<RawValue>, ApiError>>;

/// Whether a model can be asked; it is loaded if need be.
///
/// # Errors
/// A model that is not there, or can't be loaded.
pub(crate) async fn check(api: &Api, model: Option<&str>) -> Result<(), ApiError> {
    let name = models::choose(api, None, model).await?;
    models::load(api, &name).await.map(drop)
}

impl Group {
    /// The groups of these requests.
    pub(crate) fn of(jobs: impl IntoIterator<Item = Job>) -> Vec<Self> {
        let mut groups: Vec<Self> = Vec::new();
        for (place, Job { task, model, content }) in jobs.into_iter().enumerate() {
            match groups.iter_mut().find(|group| group.task == task && group.model == model) {
                Some(group) => group.jobs.push((place, content)),
                None => groups.push(Self { task, model, jobs: vec![(place, content)] }),
            }
        }
        groups
    }

    /// The places of its requests.
    pub(crate) fn places(&self) -> Vec<usize> {
        self.jobs.iter().map(|(place, _)| *place).collect()
    }

    /// The answers to its requests, in their order.
    pub(crate) async fn answer(self, api: Arc<Api>) -> Vec<Result<Done, ApiError>> {
        let contents: Vec<_> = self.jobs.into_iter().map(|(_, content)| content).collect();
        let count = contents.len();
        let load = async {
            let name = models::choose(&api, None, self.model.as_deref()).await?;
            models::load(&api, &name).await
        };
        let model = match load.await {
            Ok(model) => model,
            Err(error) => return (0..count).map(|_| Err(error.clone())).collect(),
        };
        let task = self.task.unwrap_or(model.manifest().task);
        let answers = answer(&api, &model, task, contents).await;
        tracing::debug!(model = %model.manifest().name, %task, jobs = count, "jobs answered");
        api.models.keep_downloaded();
        let done = |answer| Done { task, model: model.manifest().name.clone(), package: *model.digest(), answer };
        answers.into_iter().map(|answer| answer.map(done)).collect()
    }
}

/// Answers requests as the task's path does.
async fn answer(api: &Arc<Api>, model: &Arc<Model>, task: Task, contents: Vec<Content>) -> Answers {
    let takes_texts = model.manifest().text.is_some();
    match task {
        Task::Predict if model.manifest().task == Task::Generate => {
            vec![Err(ApiError::wrong_task(model.manifest())); contents.len()]
        }
        Task::Predict if !takes_texts => rows(api, model, contents).await,
        Task::Predict | Task::Classify => texts::<classify::Request>(api, model, contents).await,
        Task::Embed => texts::<open_ai::Embeddings>(api, model, contents).await,
        Task::Rerank => texts::<rerank::Request>(api, model, contents).await,
        Task::Generate => generate(api, model, contents).await,
    }
}

/// Rows, tables, images and tensors.
async fn rows(api: &Arc<Api>, model: &Arc<Model>, contents: Vec<Content>) -> Answers {
    let payload = |content| match content {
        Content::Fields(fields) => predict::input_of(fields),
        Content::Image(image) => Ok(Payload::Image(image)),
        Content::Row(row) => Ok(Payload::Row(row)),
    };
    let payloads = contents.into_iter().map(payload).collect();
    let model = Arc::clone(model);
    together(&api.compute, payloads, move |payloads: Vec<Payload>| {
        let answers = task::predict_all(&model, &payloads).into_iter();
        answers.map(|answer| write(&Predictions { model: &model, answer: &answer? })).collect()
    })
    .await
}

/// What an endpoint for texts answers.
async fn texts<E: Endpoint>(api: &Arc<Api>, model: &Arc<Model>, contents: Vec<Content>) -> Answers {
    let bodies = contents.into_iter().map(body).collect();
    let model = Arc::clone(model);
    together(&api.compute, bodies, move |bodies: Vec<Bytes>| {
        let mut requests = Vec::with_capacity(bodies.len());
        let read: Vec<Result<(), ApiError>> = bodies
            .iter()
            .map(|body| E::read(body).map(|request| requests.push(request)).map_err(|refusal| refusal.error))
            .collect();
        let (answers, ..) = text::evaluate(&model, requests);
        let mut answers = answers.into_iter();
        let missing = || Err(ApiError::internal("there is no answer"));
        read.into_iter().map(|read| read.and_then(|()| write(&answers.next().unwrap_or_else(missing)?))).collect()
    })
    .await
}

/// The body of a request for texts.
fn body(content: Content) -> Result<Bytes, ApiError> {
    let fields = match content {
        Content::Fields(fields) => fields,
        Content::Row(row) => Map::from_iter([("input".to_owned(), row.text()?)]),
        Content::Image(_) => return Err(InputError::NotAnImageModel { expected: "texts".to_owned() }.into()),
    };
    Ok(Value::Object(fields).to_string().into())
}

/// Texts that are written share steps by themselves where they are asked for at once.
async fn generate(api: &Arc<Api>, model: &Arc<Model>, contents: Vec<Content>) -> Answers {
    let name = model.manifest().name.to_string();
    let mut answers: Answers = Vec::new();
    let mut running = JoinSet::new();
    for (place, content) in contents.into_iter().enumerate() {
        answers.push(Err(ApiError::internal("generating was interrupted")));
        let (api, name) = (Arc::clone(api), name.clone());
        let fields = match content {
            Content::Fields(fields) => Ok(fields),
            _ => Err(ApiError::bad_request("a model that writes is asked with messages or a prompt")),
        };
        running.spawn(async move {
            let answer = async { parse(&open_ai::generate(&api, &name, fields?).await?) };
            (place, answer.await)
        });
    }
    while let Some(ended) = running.join_next().await {
        if let Ok((place, answer)) = ended
            && let Some(slot) = answers.get_mut(place)
        {
            *slot = answer;
        }
    }
    answers
}

fn write(answer: &impl Serialize) -> Result<Box<RawValue>, ApiError> {
    to_raw_value(answer).map_err(|error| ApiError::internal(format!("the answer can't be written: {error}")))
}

fn parse(answer: &[u8]) -> Result<Box<RawValue>, ApiError> {
    serde_json::from_slice(answer).map_err(|error| ApiError::internal(format!("the answer is no JSON: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_for_the_same_of_one_model_are_one_group() {
        let job = |task, model: &str| Job { task, model: Some(model.to_owned()), content: Content::Fields(Map::new()) };
        let jobs = [job(None, "a"), job(Some(Task::Embed), "a"), job(None, "b"), job(None, "a")];
        let places: Vec<_> = Group::of(jobs).iter().map(Group::places).collect();
        assert_eq!(places, [vec![0, 3], vec![1], vec![2]]);
    }
}
