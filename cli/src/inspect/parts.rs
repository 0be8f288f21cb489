//! What the bytes of a package are spent on.

use std::fmt;

use anyhow::Result;
use emberlite::engine;
use emberlite::model::Package;
use serde::Serialize;

/// The size of each part in the file, in bytes. Together they are the whole file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Parts {
    graph: usize,
    tokenizer: usize,
    /// The tables of `emberlite_embedding`.
    embeddings: usize,
    /// The weights of `emberlite_linear`.
    linears: usize,
    /// Every other weight, the header and the padding.
    rest: usize,
}

impl Parts {
    /// Those of a package; what a layer and a table share is the layer's.
    ///
    /// # Errors
    /// A package whose graph is no text of one.
    pub(crate) fn of(package: &Package) -> Result<Self> {
        let text = package.graph()?;
        let of_linears = engine::labels(text, "emberlite_linear")?;
        let of_embeddings = engine::labels(text, "emberlite_embedding")?;
        let (mut embeddings, mut linears) = (0, 0);
        for section in package.weights() {
            if of_linears.contains(section.name) {
                linears += section.data.len();
            } else if of_embeddings.contains(section.name) {
                embeddings += section.data.len();
            }
        }
        let tokenizer = package.tokenizer().map_or(0, <[u8]>::len);
        let rest = package.size_bytes().saturating_sub(text.len() + tokenizer + embeddings + linears);
        Ok(Self { graph: text.len(), tokenizer, embeddings, linears, rest })
    }

    /// The parts that take room, by what they are called.
    pub(crate) fn named(self) -> impl Iterator<Item = (&'static str, usize)> {
        let Self { graph, tokenizer, embeddings, linears, rest } = self;
        let parts = [
            ("graph", graph),
            ("tokenizer", tokenizer),
            ("embeddings", embeddings),
            ("linear layers", linears),
            ("everything else", rest),
        ];
        parts.into_iter().filter(|(_, bytes)| *bytes > 0)
    }
}

impl fmt::Display for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.named().try_for_each(|(name, bytes)| writeln!(f, "  {name:<36} {bytes:>31} bytes"))
    }
}
