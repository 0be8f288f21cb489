//! Where the tensors of a language model come from, whatever the format of its file.

use emberlite::ops::Q4Blocks;

use crate::import::FolderError;
use crate::import::folder::Checkpoint;

/// The tensors of a language model, by the names that transformers gives them.
pub(in crate::import) trait Weights {
    /// Whether there is a tensor of this name.
    fn has(&self, name: &str) -> bool;

    /// The numbers of a tensor in row-major order, in single precision.
    ///
    /// # Errors
    /// No tensor of that name, of another shape, or of a type that is not read.
    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, FolderError>;

    /// A matrix `[outputs, inputs]` as it is written in blocks of 4 bits; `None` where it is written otherwise.
    fn q4(&self, _name: &str, _outputs: usize, _inputs: usize) -> Option<Q4Blocks> {
        None
    }

    /// The tensors that nobody has read, in the order of their names.
    fn unread(&self) -> Vec<String>;
}

impl Weights for Checkpoint {
    fn has(&self, name: &str) -> bool {
        self.has(name)
    }

    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, FolderError> {
        self.tensor(name, shape)
    }

    fn unread(&self) -> Vec<String> {
        self.unread()
    }
}
