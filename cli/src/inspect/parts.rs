//! What the bytes of a package are spent on.

use std::fmt;

use emberlite::model::Package;
use emberlite::ops::{Embedding, Linear};
use serde::Serialize;
use tract_core::prelude::TypedModel;

/// The size of each part, in bytes. Together they are the whole file.
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
    pub(crate) fn of(package: &Package, graph: &TypedModel) -> Self {
        let (mut embeddings, mut linears) = (0, 0);
        for node in graph.nodes() {
            linears += node.op_as::<Linear>().map_or(0, Linear::size_bytes);
            let tables = node.op_as::<Embedding>().map_or(&[][..], Embedding::tables);
            embeddings += tables.iter().map(|(table, _)| table.size_bytes()).sum::<usize>();
        }
        let tokenizer = package.tokenizer().map_or(0, <[u8]>::len);
        let graph = package.graph().map_or(0, str::len);
        let rest = package.size_bytes().saturating_sub(graph + tokenizer + embeddings + linears);
        Self { graph, tokenizer, embeddings, linears, rest }
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
