//! The task `generate`: a prompt or a chat in, text out, token by token.
//!
//! A [`Generator`] belongs to one loaded model. Its worker thread owns the sequences of every request and computes for all
//! of them together; who asked gets [`Event`]s as they come, and ends the work by dropping the receiver.

mod choice;
mod grammar;
mod logprobs;
mod lookup;
mod prefix;
mod random;
mod sampling;
mod template;
mod text;
mod worker;

use std::sync::{Arc, OnceLock, mpsc};
use std::thread::JoinHandle;
use std::time::Instant;

use serde_json::{Map, Value};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

pub use grammar::Constraint;
use grammar::Grammars;
pub use logprobs::TokenLogprob;
pub use sampling::Sampling;
pub use template::{ChatTemplate, TemplateError};
use worker::Job;

use crate::engine::CacheFormat;
use crate::model::{GenerateSpec, Model};
use crate::tokenizer::{EncodeError, Prompt, TokenBytes, Tokenizer, TokenizerError};

/// How generation is set up, whatever the model.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The longest sequence, where that is less than the model's own.
    pub context_tokens: Option<usize>,
    /// The memory for keys and values: of running requests, and of what is kept for those to come.
    pub cache_bytes: usize,
    /// How keys and values are kept.
    pub cache_format: CacheFormat,
    /// Whether tokens are drafted from what came before.
    pub speculate: bool,
}

impl Settings {
    /// The longest sequence of a model: its own limit, or a shorter one.
    pub fn context_tokens(&self, spec: &GenerateSpec) -> usize {
        self.context_tokens.map_or(spec.context_tokens, |own| own.min(spec.context_tokens))
    }
}

/// What a client wants written.
#[derive(Clone, Debug)]
pub struct Request {
    /// The tokens to go on from; at least one.
    pub prompt: Vec<u32>,
    /// Whether the text goes on from the prompt, or is one of its own.
    pub continues: bool,
    /// The number of the first text; those of one call have numbers of their own.
    pub first_choice: usize,
    /// How many texts.
    pub choices: usize,
    /// The most tokens of a text.
    pub max_tokens: usize,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Texts that end a text, and are no part of it.
    pub stop: Vec<String>,
    /// Whether the log probabilities of tokens are told, and of how many others at each place.
    pub logprobs: Option<usize>,
    /// Whether the model's end of a text is passed over.
    pub ignore_end: bool,
    /// What the text has to follow.
    pub constraint: Option<Constraint>,
    /// When to end, with what is there.
    pub deadline: Option<Instant>,
}

/// What happens to a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The prompt was read; of so many of its tokens the keys and values were there already.
    Started {
        /// How many.
        cached_tokens: usize,
    },
    /// A text goes on.
    Piece {
        /// Which of the texts.
        choice: usize,
        /// What is added, in whole characters; may be empty.
        text: String,
        /// The tokens that became text with this, where their log probabilities are wanted.
        tokens: Vec<TokenLogprob>,
    },
    /// A text has ended.
    Finished {
        /// Which of the texts.
        choice: usize,
        /// Why.
        reason: FinishReason,
        /// How many tokens were made, what ended the text included.
        tokens: usize,
    },
    /// The request has failed; nothing follows.
    Failed(String),
}

/// Why a text has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinishReason {
    /// The model ended it, or a stop came.
    Stop,
    /// There may be no more tokens, or time is up.
    Length,
}

/// Why nothing is generated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum GenerateError {
    #[error("this model does not write")]
    NotGenerative,
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    #[error(transparent)]
    Encode(#[from] EncodeError),
    #[error("this model has no chat template: POST /v1/completions goes on from a text")]
    NoTemplate,
    #[error(transparent)]
    Template(#[from] TemplateError),
    #[error("the JSON Schema can't be followed: {0}")]
    Schema(String),
    #[error("generating failed: {0}")]
    Failed(String),
}

/// What generates with one loaded model.
#[derive(Debug)]
pub struct Generator {
    model: Arc<Model>,
    context_tokens: usize,
    table: Arc<TokenBytes>,
    template: OnceLock<Option<Result<ChatTemplate, TemplateError>>>,
    grammars: OnceLock<Result<Grammars, String>>,
    jobs: mpsc::Sender<Job>,
    worker: JoinHandle<()>,
}

impl Generator {
    /// Starts the worker of a model. It ends with the generator, or with the last request that is under way then.
    ///
    /// # Errors
    /// A model that does not write, or a tokenizer without a way back to text.
    pub fn new(model: Arc<Model>, settings: Settings) -> Result<Self, GenerateError> {
        let (Some(decoder), Some(tokenizer), Some(spec)) =
            (model.decoder(), model.tokenizer(), &model.manifest().generate)
        else {
            return Err(GenerateError::NotGenerative);
        };
        let table = Arc::new(tokenizer.token_bytes()?);
        let context_tokens = settings.context_tokens(spec);
        let told = Arc::clone(&model);
        let ran = move |start| told.ran(start);
        let (jobs, worker) = worker::start(decoder.clone(), Arc::clone(&table), spec.end_tokens.clone(), settings, ran)
            .map_err(|error| GenerateError::Failed(error.to_string()))?;
        Ok(Self { context_tokens, table, template: OnceLock::new(), grammars: OnceLock::new(), jobs, worker, model })
    }

    /// The model that generates.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// The longest sequence, prompt and text together.
    pub fn context_tokens(&self) -> usize {
        self.context_tokens
    }

    /// Whether the worker still works.
    pub fn is_alive(&self) -> bool {
        !self.worker.is_finished()
    }

    /// The bytes of every token.
    pub fn token_bytes(&self) -> &Arc<TokenBytes> {
        &self.table
    }

    /// What the manifest says of generation.
    ///
    /// # Errors
    /// A model that does not write.
    pub fn spec(&self) -> Result<&GenerateSpec, GenerateError> {
        self.model.manifest().generate.as_ref().ok_or(GenerateError::NotGenerative)
    }

    fn tokenizer(&self) -> Result<&Tokenizer, GenerateError> {
        self.model.tokenizer().ok_or(GenerateError::NotGenerative)
    }

    /// The tokens of a text that is to be gone on from.
    ///
    /// # Errors
    /// A text that can't be tokenized, or is longer than the context.
    pub fn read_text(&self, text: &str) -> Result<Vec<u32>, GenerateError> {
        let prompt = Prompt { text, framed: true, guard: None };
        let mut tokens = self.tokenizer()?.prompt(prompt, self.context_tokens)?;
        if let Some(begin) = self.spec()?.begin_token
            && tokens.first() != Some(&begin)
        {
            tokens.insert(0, begin);
        }
        Ok(tokens)
    }

    /// Tokens that a client gives in the place of a text.
    ///
    /// # Errors
    /// A token that the vocabulary lacks.
    pub fn read_tokens(&self, ids: &[u32]) -> Result<Vec<u32>, GenerateError> {
        let tokenizer = self.tokenizer()?;
        let vocabulary = self.spec()?.vocabulary;
        match ids.iter().find(|id| **id as usize >= vocabulary || !tokenizer.has_token(**id)) {
            Some(&id) => Err(EncodeError::UnknownId(id).into()),
            None => Ok(ids.to_vec()),
        }
    }

    /// The tokens of a chat, as the model's template writes it. `variables` are what the template sees, but for the special
    /// tokens; texts of special tokens that stand in a message of a user or of a tool are read as any other text.
    ///
    /// # Errors
    /// A model without a template, messages that it refuses, or a chat that is longer than the context.
    pub fn read_chat(&self, mut variables: Map<String, Value>) -> Result<Vec<u32>, GenerateError> {
        let spec = self.spec()?;
        let source = spec.chat_template.as_deref();
        let template = self.template.get_or_init(|| source.map(ChatTemplate::new)).as_ref();
        let template = template.ok_or(GenerateError::NoTemplate)?.as_ref().map_err(Clone::clone)?;
        let guard = self.guard(&mut variables)?;
        for (name, text) in &spec.special {
            variables.entry(name.as_str()).or_insert_with(|| Value::from(text.as_str()));
        }
        let text = template.render(&variables)?;
        let prompt = Prompt { text: &text, framed: false, guard };
        let mut tokens = self.tokenizer()?.prompt(prompt, self.context_tokens)?;
        // A model reads something before it writes.
        tokens.extend(spec.begin_token.filter(|_| tokens.is_empty()));
        Ok(tokens)
    }

    /// Puts a guard into the texts of special tokens that stand in messages not of the assistant. `None` where there are
    /// none.
    fn guard(&self, variables: &mut Map<String, Value>) -> Result<Option<char>, GenerateError> {
        let special: Vec<&str> = self.tokenizer()?.special_texts().collect();
        let all = Value::Object(variables.clone()).to_string();
        // None of these is ever a character of a text.
        let Some(guard) = ('\u{fdd0}'..='\u{fdef}').find(|guard| !all.contains(*guard)) else { return Ok(None) };
        let messages = variables.get_mut("messages").and_then(Value::as_array_mut);
        let mut guarded = false;
        for message in messages.into_iter().flatten().filter(|message| message["role"] != "assistant") {
            if let Some(Value::String(content)) = message.get_mut("content") {
                guarded |= guard_special(content, &special, guard);
            }
        }
        Ok(guarded.then_some(guard))
    }

    /// A constraint to JSON that follows a schema.
    ///
    /// # Errors
    /// A schema that can't be followed.
    pub fn constraint(&self, schema: &Value) -> Result<Constraint, GenerateError> {
        let ends = &self.spec()?.end_tokens;
        let grammars = self.grammars.get_or_init(|| Grammars::new(&self.table, ends));
        let grammars = grammars.as_ref().map_err(|error| GenerateError::Failed(error.clone()))?;
        grammars.constraint(schema).map_err(GenerateError::Schema)
    }

    /// Starts requests. Their events come until every text has finished; dropping the receiver ends them all.
    ///
    /// # Errors
    /// A worker that has ended.
    pub fn start(&self, requests: Vec<Request>) -> Result<UnboundedReceiver<Event>, GenerateError> {
        let (events, receiver) = unbounded_channel();
        let gone = || GenerateError::Failed("the model's worker has ended".to_owned());
        for request in requests {
            self.jobs.send(Job { request, events: events.clone() }).map_err(|_| gone())?;
        }
        Ok(receiver)
    }
}

/// A number that nobody can guess, for the names of answers.
pub(crate) fn any_number() -> u64 {
    random::Random::any_seed()
}

/// Puts a guard behind the first character of every text of a special token; answers whether there was one.
fn guard_special(content: &mut String, special: &[&str], guard: char) -> bool {
    let mut guarded = false;
    for text in special.iter().filter(|text| !text.is_empty()) {
        if content.contains(text) {
            let first = text.chars().next().map_or(0, char::len_utf8);
            *content = content.replace(text, &format!("{}{guard}{}", &text[..first], &text[first..]));
            guarded = true;
        }
    }
    guarded
}
