//! The model inside a tokenizer: our WordPiece or byte pair encoding, or any of the crate's.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use tokenizers::models::{ModelWrapper, TrainerWrapper};
use tokenizers::{Model, Result, Token};

use super::bpe::Bpe;
use super::index::Index;
use super::wordpiece::WordPiece;

/// The model that splits words into tokens.
#[derive(Clone, Debug)]
pub(super) enum Vocabulary {
    WordPiece(WordPiece),
    Bpe(Bpe),
    Other(ModelWrapper),
}

impl Vocabulary {
    /// The tokens of our models; else the crate's model.
    fn tokens(&self) -> std::result::Result<&Index, &ModelWrapper> {
        match self {
            Self::WordPiece(model) => Ok(model.tokens()),
            Self::Bpe(model) => Ok(model.tokens()),
            Self::Other(model) => Err(model),
        }
    }

    /// The tokens of our models.
    pub(super) fn index(&self) -> Option<&Index> {
        self.tokens().ok()
    }

    pub(super) fn has(&self, id: u32) -> bool {
        self.tokens().map_or_else(|model| model.id_to_token(id).is_some(), |tokens| tokens.has(id))
    }
}

impl Model for Vocabulary {
    type Trainer = TrainerWrapper;

    fn tokenize(&self, word: &str) -> Result<Vec<Token>> {
        match self {
            Self::WordPiece(model) => Ok(model.split(word)?),
            Self::Bpe(model) => Ok(model.split(word)?),
            Self::Other(model) => model.tokenize(word),
        }
    }

    fn token_to_id(&self, token: &str) -> Option<u32> {
        self.tokens().map_or_else(|model| model.token_to_id(token), |tokens| tokens.id(token))
    }

    fn id_to_token(&self, id: u32) -> Option<String> {
        self.tokens().map_or_else(|model| model.id_to_token(id), |tokens| tokens.text_of(id).map(str::to_owned))
    }

    fn get_vocab(&self) -> HashMap<String, u32> {
        let all = |tokens: &Index| tokens.tokens().map(|(token, id)| (token.to_owned(), id)).collect();
        self.tokens().map_or_else(Model::get_vocab, all)
    }

    fn get_vocab_size(&self) -> usize {
        self.tokens().map_or_else(Model::get_vocab_size, Index::len)
    }

    fn save(&self, folder: &Path, prefix: Option<&str>) -> Result<Vec<PathBuf>> {
        match self.tokens() {
            Ok(_) => Err("this vocabulary is only read".into()),
            Err(model) => model.save(folder, prefix),
        }
    }

    fn get_trainer(&self) -> TrainerWrapper {
        match self {
            Self::WordPiece(_) => ModelWrapper::WordPiece(Default::default()).get_trainer(),
            Self::Bpe(_) => ModelWrapper::BPE(Default::default()).get_trainer(),
            Self::Other(model) => model.get_trainer(),
        }
    }
}
