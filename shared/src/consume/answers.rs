//! From messages to results: what can run together does, and nothing fails for another's sake.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::object::{Format, Source};
use super::result::{Origin, Outcome};
use super::{Asked, Consumer, Limit, Request};
use crate::api::ApiError;
use crate::api::jobs::{Content, Done, Group, Job};
use crate::events::{Message, contents};

/// What was made of a message.
#[derive(Debug, Default)]
pub(super) struct Answered {
    pub(super) outcomes: Vec<Outcome>,
    /// Why there are not as many results as it asks for.
    pub(super) trouble: Option<Trouble>,
}

impl Answered {
    /// What may come right another time counts for more than what never will: the message is then tried again as a whole.
    fn add(&mut self, trouble: Trouble) {
        if matches!(self.trouble, None | Some(Trouble::Refused(_))) {
            self.trouble = Some(trouble);
        }
    }
}

/// Why there is no result.
#[derive(Clone, Debug)]
pub(super) enum Trouble {
    /// There will never be one.
    Refused(ApiError),
    /// There may be one another time.
    Failed(ApiError),
    OutOfTime,
}

impl From<ApiError> for Trouble {
    fn from(error: ApiError) -> Self {
        if error.is_final() { Self::Refused(error) } else { Self::Failed(error) }
    }
}

/// A request that is one for a model, and what its result is named by.
struct Prepared {
    place: usize,
    id: Option<String>,
    origin: Origin,
    job: Job,
}

type Places<T> = Vec<(usize, Result<T, Trouble>)>;

impl Consumer {
    /// What is made of each message.
    pub(super) async fn answer_messages(self: &Arc<Self>, messages: &[Message], limit: &Limit) -> Vec<Answered> {
        let mut answered: Vec<_> = messages.iter().map(|_| Answered::default()).collect();
        let (mut owners, mut requests) = (Vec::new(), Vec::new());
        for (owner, message) in messages.iter().enumerate() {
            let read = contents(&message.body).map_err(ApiError::from);
            match read.and_then(|contents| contents.into_iter().map(Request::read).collect::<Result<Vec<_>, _>>()) {
                Ok(read) => {
                    owners.extend(read.iter().map(|_| owner));
                    requests.extend(read);
                }
                Err(error) => answered[owner].trouble = Some(Trouble::Refused(error)),
            }
        }
        for (owner, outcome) in owners.into_iter().zip(self.answer_requests(requests, limit).await) {
            match outcome {
                Ok(outcome) => answered[owner].outcomes.push(outcome),
                Err(trouble) => answered[owner].add(trouble),
            }
        }
        answered
    }

    /// The result of each request. All that can be run together is: those for the same of one model.
    pub(super) async fn answer_requests(
        self: &Arc<Self>,
        requests: Vec<Request>,
        limit: &Limit,
    ) -> Vec<Result<Outcome, Trouble>> {
        let mut outcomes: Vec<Option<Result<Outcome, Trouble>>> = requests.iter().map(|_| None).collect();
        let mut prepared = Vec::new();
        let mut reading = JoinSet::new();
        let mut running = JoinSet::new();
        for (place, request) in requests.into_iter().enumerate() {
            let (consumer, limit) = (Arc::clone(self), limit.clone());
            match request.asked {
                Asked::Fields(fields) => {
                    let job =
                        Job { task: request.task, model: request.model, content: Content::Fields(fields.clone()) };
                    prepared.push(Prepared { place, id: request.id, origin: Origin::Fields(fields), job });
                }
                Asked::Object { ref bucket, ref key } => match self.source(bucket, key, request.model.as_deref()) {
                    Err(error) => outcomes[place] = Some(Err(error.into())),
                    Ok(source) if source.format == Format::Image => {
                        reading.spawn(async move {
                            let image = limit.keep(consumer.image(place, &request, source)).await;
                            image.unwrap_or_else(|| (place, Err(Trouble::OutOfTime)))
                        });
                    }
                    Ok(source) => {
                        running.spawn(async move {
                            let outcome = limit.keep(consumer.answer_file(&request, source)).await;
                            vec![(place, outcome.unwrap_or(Err(Trouble::OutOfTime)))]
                        });
                    }
                },
            }
        }
        while let Some(ended) = reading.join_next().await {
            match ended {
                Ok((_, Ok(image))) => prepared.push(image),
                Ok((place, Err(trouble))) => outcomes[place] = Some(Err(trouble)),
                // It panicked: what is left without an outcome was interrupted.
                Err(_) => {}
            }
        }
        for (group, named) in groups(prepared) {
            running.spawn(run(Arc::clone(&self.api), group, named, limit.clone()));
        }
        while let Some(ended) = running.join_next().await {
            for (place, outcome) in ended.unwrap_or_default() {
                outcomes[place] = Some(outcome);
            }
        }
        let interrupted = || Err(Trouble::Failed(ApiError::internal("answering was interrupted")));
        outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(interrupted)).collect()
    }

    /// A picture in a bucket, as a request like any other.
    async fn image(&self, place: usize, request: &Request, source: Source) -> (usize, Result<Prepared, Trouble>) {
        let image = match self.read(&source).await {
            Ok(image) => image,
            Err(error) => return (place, Err(error.into())),
        };
        let job =
            Job { task: request.task, model: Some(source.model.to_string()), content: Content::Image(image.clone()) };
        let origin = Origin::Object { url: source.url, name: source.name, content: image };
        (place, Ok(Prepared { place, id: request.id.clone(), origin, job }))
    }
}

/// What a result needs beside its answer.
type Named = (usize, Option<String>, Origin);

/// The groups of what was asked, each with what its results are named by.
fn groups(prepared: Vec<Prepared>) -> Vec<(Group, Vec<Named>)> {
    let (mut jobs, mut named) = (Vec::new(), Vec::new());
    for Prepared { place, id, origin, job } in prepared {
        jobs.push(job);
        named.push(Some((place, id, origin)));
    }
    let of = |group: Group| {
        let of_group = group.places().into_iter().filter_map(|place| named.get_mut(place)?.take()).collect();
        (group, of_group)
    };
    Group::of(jobs).into_iter().map(of).collect()
}

async fn run(api: Arc<crate::api::Api>, group: Group, named: Vec<Named>, limit: Limit) -> Places<Outcome> {
    let Some(answers) = limit.keep(group.answer(api)).await else {
        return named.into_iter().map(|(place, ..)| (place, Err(Trouble::OutOfTime))).collect();
    };
    let outcome = |((place, id, origin), answer): (Named, Result<Done, ApiError>)| {
        let outcome = answer.and_then(|done| Outcome::of(id, origin, done));
        (place, outcome.map_err(Trouble::from))
    };
    named.into_iter().zip(answers).map(outcome).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_of_which_a_part_may_come_right_is_not_refused() {
        let refused = || Trouble::from(ApiError::bad_request("never"));
        let mut answered = Answered::default();
        for trouble in [refused(), Trouble::OutOfTime, refused()] {
            answered.add(trouble);
        }
        assert!(matches!(answered.trouble, Some(Trouble::OutOfTime)));
    }
}
