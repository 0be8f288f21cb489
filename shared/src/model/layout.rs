//! The layout of a package file: a valid safetensors file, every section on a multiple of 64 bytes.
//!
//! safetensors allows no holes between sections, so what pads a section to the next multiple of 64 is an entry of its
//! own, `__pad__.N`. The header follows from the manifest and its signatures alone: a reader writes it again and compares,
//! so that no byte of it can change unnoticed.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::ops::Range;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use tract_core::prelude::{DatumType, Tensor};

use super::manifest::{NEWEST_FORMAT, Section};
use super::{Digest, Dtype, Manifest, Sparse};
use crate::trust::Signature;

/// Where every section starts, in bytes.
const ALIGNMENT: usize = 64;
/// The entry that holds the graph as tract-OPL text.
pub(super) const GRAPH: &str = "graph.nnef";
/// The entry that holds the tokenizer as JSON.
pub(super) const TOKENIZER: &str = "tokenizer.json";
/// Names that start so are the format's own.
const RESERVED: &str = "__";
const PADDING: &str = "__pad__.";

/// One section to be written.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// Its name: the label that the graph gives the tensor.
    pub name: String,
    /// The type of its elements.
    pub dtype: safetensors::Dtype,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its elements, little-endian, in row-major order.
    pub data: Cow<'a, [u8]>,
    /// The shape of a tensor of texts, whose elements `data` holds as a JSON list.
    pub texts: Option<Vec<usize>>,
    /// What a tensor is whose elements `data` holds without the zeros.
    pub sparse: Option<Sparse>,
}

impl<'a> Entry<'a> {
    /// The graph as tract-OPL text.
    pub fn graph(text: &'a str) -> Self {
        Self::bytes(GRAPH, text.as_bytes().into())
    }

    /// The tokenizer, as the JSON of the crate `tokenizers`.
    pub fn tokenizer(json: &'a [u8]) -> Self {
        Self::bytes(TOKENIZER, json.into())
    }

    fn section(&self) -> Section {
        Section {
            dtype: self.dtype,
            shape: self.shape.clone(),
            digest: Digest::of(&self.data),
            texts: self.texts.clone(),
            sparse: self.sparse.clone(),
        }
    }

    /// A section of plain bytes.
    pub fn bytes(name: impl Into<String>, data: Cow<'a, [u8]>) -> Self {
        let shape = vec![data.len()];
        Self { name: name.into(), dtype: safetensors::Dtype::U8, shape, data, texts: None, sparse: None }
    }

    /// A weight of the graph, without its zeros where there are many.
    ///
    /// # Errors
    /// [`LayoutError::Unstorable`] where its elements have no form in a package.
    pub fn weight(name: impl Into<String>, tensor: &'a Tensor) -> Result<Self, LayoutError> {
        let name = name.into();
        let shape = tensor.shape().to_vec();
        if let Ok(texts) = tensor.to_plain_array_view::<String>() {
            let json = serde_json::to_vec(&texts.iter().collect::<Vec<_>>())?;
            return Ok(Self { texts: Some(shape), ..Self::bytes(name, json.into()) });
        }
        let dtype = Dtype::from_datum_type(tensor.datum_type()).and_then(Dtype::safetensors);
        match dtype {
            Some(dtype) if tensor.is_plain_ram() && tensor.datum_type() != DatumType::TDim => {
                Ok(Self::elements(name, Sparse { dtype, shape }, tensor.as_bytes()))
            }
            _ => Err(LayoutError::Unstorable { name, dtype: format!("{:?}", tensor.datum_type()) }),
        }
    }

    fn elements(name: String, sparse: Sparse, data: &'a [u8]) -> Self {
        if let Some(stored) = sparse.without_zeros(data) {
            return Self { sparse: Some(sparse), ..Self::bytes(name, stored.into()) };
        }
        let Sparse { dtype, shape } = sparse;
        Self { name, dtype, shape, data: data.into(), texts: None, sparse: None }
    }
}

/// Why a package can't be written.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum LayoutError {
    #[error("the section name {0:?} is reserved: names may not start with \"__\"")]
    ReservedName(String),
    #[error("two sections are called {0:?}")]
    DuplicateName(String),
    #[error("tensor {name:?} has the type {dtype}, which a package can't hold")]
    Unstorable { name: String, dtype: String },
    #[error("the sections are larger than memory")]
    TooLarge,
    #[error("the manifest can't be written as JSON")]
    Json(#[from] serde_json::Error),
    #[error("writing the package failed")]
    Io(#[from] io::Error),
}

/// Writes a package and returns the digest of the whole file.
///
/// The graph comes first, then the other sections by name, so that equal contents make equal files. The manifest's
/// sections are filled in from `entries`, and its format is the newest where one of them is without its zeros.
///
/// # Errors
/// A reserved or repeated name, or a failure of `out`.
pub fn write(manifest: &Manifest, mut entries: Vec<Entry<'_>>, out: &mut impl Write) -> Result<Digest, LayoutError> {
    entries.sort_by(|a, b| order(&a.name).cmp(&order(&b.name)));
    for pair in entries.windows(2) {
        if pair[0].name == pair[1].name {
            return Err(LayoutError::DuplicateName(pair[0].name.clone()));
        }
    }
    if let Some(entry) = entries.iter().find(|entry| entry.name.starts_with(RESERVED)) {
        return Err(LayoutError::ReservedName(entry.name.clone()));
    }

    let mut manifest = manifest.clone();
    manifest.sections = entries.iter().map(|entry| (entry.name.clone(), entry.section())).collect();
    if entries.iter().any(|entry| entry.sparse.is_some()) {
        manifest.format = manifest.format.max(NEWEST_FORMAT);
    }
    let text = serde_json::to_string(&manifest)?;
    let header = header(&text, &[], &slots(&manifest.sections).ok_or(LayoutError::TooLarge)?)?;
    let mut out = Hashed { out, hasher: blake3::Hasher::new() };
    out.write_all(&header)?;
    for entry in &entries {
        out.write_all(&entry.data)?;
        out.write_all(&vec![0; padding(entry.data.len())])?;
    }
    out.flush()?;
    Ok(out.hasher.finalize().into())
}

/// The graph first, then by name.
fn order(name: &str) -> (bool, &str) {
    (name != GRAPH, name)
}

/// How many bytes are missing to the next section's start.
fn padding(length: usize) -> usize {
    length.next_multiple_of(ALIGNMENT) - length
}

/// Passes bytes on and hashes them.
struct Hashed<'a, W> {
    out: &'a mut W,
    hasher: blake3::Hasher,
}

impl<W: Write> Write for Hashed<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// One entry of the safetensors header: a section, or what pads it.
#[derive(Debug, Serialize)]
pub(super) struct Slot<'a> {
    #[serde(skip)]
    pub(super) name: Cow<'a, str>,
    dtype: safetensors::Dtype,
    shape: Cow<'a, [usize]>,
    data_offsets: (usize, usize),
}

impl Slot<'_> {
    /// Where it is in the data that follows the header.
    pub(super) fn range(&self) -> Range<usize> {
        self.data_offsets.0..self.data_offsets.1
    }
}

/// The entries for a manifest's sections, in the file's order; `None` where their sizes overflow.
pub(super) fn slots(sections: &BTreeMap<String, Section>) -> Option<Vec<Slot<'_>>> {
    let mut names: Vec<_> = sections.iter().collect();
    names.sort_by_key(|(name, _)| order(name));
    let mut slots = Vec::with_capacity(2 * names.len());
    let mut start = 0usize;
    for (index, (name, section)) in names.into_iter().enumerate() {
        let volume = section.shape.iter().try_fold(1usize, |volume, &size| volume.checked_mul(size))?;
        let end = start.checked_add(volume.checked_mul(section.dtype.bitsize() / 8)?)?;
        let next = end.checked_next_multiple_of(ALIGNMENT)?;
        slots.push(Slot {
            name: name.into(),
            dtype: section.dtype,
            shape: section.shape.as_slice().into(),
            data_offsets: (start, end),
        });
        if next > end {
            slots.push(Slot {
                name: format!("{PADDING}{index}").into(),
                dtype: safetensors::Dtype::U8,
                shape: vec![next - end].into(),
                data_offsets: (end, next),
            });
        }
        start = next;
    }
    Some(slots)
}

/// The header's bytes: its length, its JSON, and spaces up to the first section.
pub(super) fn header(
    manifest: &str,
    signatures: &[Signature],
    slots: &[Slot<'_>],
) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = vec![0; 8];
    serde_json::to_writer(&mut bytes, &Header { manifest, signatures, slots })?;
    bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), b' ');
    let length = (bytes.len() - 8) as u64;
    bytes[..8].copy_from_slice(&length.to_le_bytes());
    Ok(bytes)
}

struct Header<'a> {
    manifest: &'a str,
    signatures: &'a [Signature],
    slots: &'a [Slot<'a>],
}

impl Serialize for Header<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.slots.len() + 1))?;
        let texts = (!self.signatures.is_empty()).then(|| serde_json::to_string(self.signatures));
        map.serialize_entry(
            "__metadata__",
            &Metadata {
                format: "emberlite",
                manifest: self.manifest,
                manifest_blake3: Digest::of(self.manifest.as_bytes()),
                signatures: texts.transpose().map_err(serde::ser::Error::custom)?,
            },
        )?;
        for slot in self.slots {
            map.serialize_entry(&slot.name, slot)?;
        }
        map.end()
    }
}

#[derive(Serialize)]
struct Metadata<'a> {
    format: &'static str,
    manifest: &'a str,
    manifest_blake3: Digest,
    /// A JSON list, since safetensors has only texts there.
    #[serde(skip_serializing_if = "Option::is_none")]
    signatures: Option<String>,
}
