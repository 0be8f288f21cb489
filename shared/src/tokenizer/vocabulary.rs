//! The model inside a tokenizer: our WordPiece, or any of the crate's.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use tokenizers::models::{ModelWrapper, TrainerWrapper};
use tokenizers::{Model, Result, Token};

use super::wordpiece::WordPiece;

/// The model that splits words into tokens.
#[derive(Clone, Debug)]
pub(super) enum Vocabulary {
    WordPiece(WordPiece),
    Other(ModelWrapper),
}

impl Vocabulary {
    pub(super) fn has(&self, id: u32) -> bool {
        match self {
            Self::WordPiece(model) => model.has(id),
            Self::Other(model) => model.id_to_token(id).is_some(),
        }
    }
}

impl Model for Vocabulary {
    type Trainer = TrainerWrapper;

    fn tokenize(&self, word: &str) -> Result<Vec<Token>> {
        match self {
            Self::WordPiece(model) => Ok(model.split(word)?),
            Self::Other(model) => model.tokenize(word),
        }
    }

    fn token_to_id(&self, token: &str) -> Option<u32> {
        match self {
            Self::WordPiece(model) => model.id(token),
            Self::Other(model) => model.token_to_id(token),
        }
    }

    fn id_to_token(&self, id: u32) -> Option<String> {
        match self {
            Self::WordPiece(model) => model.tokens().find(|(_, known)| *known == id).map(|(token, _)| token.to_owned()),
            Self::Other(model) => model.id_to_token(id),
        }
    }

    fn get_vocab(&self) -> HashMap<String, u32> {
        match self {
            Self::WordPiece(model) => model.tokens().map(|(token, id)| (token.to_owned(), id)).collect(),
            Self::Other(model) => model.get_vocab(),
        }
    }

    fn get_vocab_size(&self) -> usize {
        match self {
            Self::WordPiece(model) => model.tokens().len(),
            Self::Other(model) => model.get_vocab_size(),
        }
    }

    fn save(&self, folder: &Path, prefix: Option<&str>) -> Result<Vec<PathBuf>> {
        match self {
            Self::WordPiece(_) => Err("this vocabulary is only read".into()),
            Self::Other(model) => model.save(folder, prefix),
        }
    }

    fn get_trainer(&self) -> TrainerWrapper {
        match self {
            Self::WordPiece(_) => ModelWrapper::WordPiece(Default::default()).get_trainer(),
            Self::Other(model) => model.get_trainer(),
        }
    }
}
