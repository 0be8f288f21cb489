//! The generators of the models that write, one for each package that is in use.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use http::StatusCode;

use super::ApiError;
use crate::model::{GenerateSpec, Model, ModelName};
use crate::task::generate::{GenerateError, Generator, Settings, TemplateError};
use crate::tokenizer::EncodeError;

/// The generators by the names of their models. One whose package was replaced goes with its last request.
#[derive(Debug)]
pub(super) struct Generators {
    settings: Settings,
    generators: Mutex<HashMap<ModelName, Arc<Generator>>>,
}

impl Generators {
    pub(super) fn new(settings: Settings) -> Self {
        Self { settings, generators: Mutex::default() }
    }

    /// The longest sequence of a model.
    pub(super) fn context_tokens(&self, spec: &GenerateSpec) -> usize {
        self.settings.context_tokens(spec)
    }

    /// The generator of a loaded model.
    ///
    /// # Errors
    /// A model that does not write, or can't be made to.
    pub(super) fn of(&self, model: Arc<Model>) -> Result<Arc<Generator>, ApiError> {
        let mut generators = self.generators.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = generators.get(&model.manifest().name)
            && Arc::ptr_eq(known.model(), &model)
            && known.is_alive()
        {
            return Ok(Arc::clone(known));
        }
        let name = model.manifest().name.clone();
        let generator =
            Generator::new(model, self.settings).map_err(|error| GenerateRefusal { error, field: "model" })?;
        let generator = Arc::new(generator);
        generators.insert(name, Arc::clone(&generator));
        Ok(generator)
    }
}

/// Why nothing is generated, and the field of the request that is to blame.
#[derive(Debug)]
pub(super) struct GenerateRefusal {
    pub(super) error: GenerateError,
    pub(super) field: &'static str,
}

impl From<GenerateRefusal> for ApiError {
    fn from(GenerateRefusal { error, field }: GenerateRefusal) -> Self {
        let message = error.to_string();
        match error {
            GenerateError::NotGenerative => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "wrong_task", message),
            GenerateError::NoTemplate => Self::parameter("no_chat_template", "model", message),
            GenerateError::Template(TemplateError::Unusable(_)) | GenerateError::Tokenizer(_) => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "package_unsupported", message)
            }
            GenerateError::Template(_) => Self::parameter("invalid_messages", field, message),
            GenerateError::Encode(EncodeError::TooLong { max_tokens, tokens, whole }) => {
                let least = if whole { "" } else { "more than " };
                let message = format!(
                    "This model's maximum context length is {max_tokens} tokens. However, your {field} resulted in \
                     {least}{tokens} tokens. Please reduce the length of the {field}."
                );
                Self::parameter("context_length_exceeded", field, message)
            }
            GenerateError::Encode(EncodeError::UnknownId(_)) => Self::parameter("unknown_token", field, message),
            GenerateError::Encode(EncodeError::Failed(_)) => Self::parameter("not_tokenized", field, message),
            GenerateError::Schema(reason) => {
                let message = format!("Invalid schema for 'response_format': {reason}");
                Self::parameter("invalid_json_schema", "response_format", message)
            }
            GenerateError::Failed(_) => Self::internal(message),
        }
    }
}
