//! Reading a package: every byte is checked before any of it is used.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Deserialize;
use tract_core::prelude::Tensor;

use super::layout::{self, GRAPH, TOKENIZER};
use super::manifest::{NEWEST_FORMAT, Section};
use super::{Digest, Dtype, Hashed, Manifest, PackageBytes, Sparse, aligned, hashed};
use crate::engine::tensor;
use crate::trust::{Signature, SigningKey};

/// More signatures than anybody needs, few enough to be checked in a millisecond.
const MOST_SIGNATURES: usize = 16;
const TOO_MANY: &str = "it has more than 16 signatures";

/// A package whose every byte has been checked against its digests.
#[derive(Debug)]
pub struct Package {
    manifest: Manifest,
    digest: Digest,
    /// What is signed.
    manifest_digest: Digest,
    /// Each is of this manifest; by ascending keys.
    signatures: Vec<Signature>,
    bytes: PackageBytes,
    /// Where each section of the manifest is in the file.
    ranges: BTreeMap<String, Range<usize>>,
}

/// A section of a package.
#[derive(Clone, Copy, Debug)]
pub struct SectionView<'a> {
    /// Its name.
    pub name: &'a str,
    /// The type of its elements.
    pub dtype: safetensors::Dtype,
    /// Its shape.
    pub shape: &'a [usize],
    /// The shape of a tensor of texts, whose elements `data` holds as a JSON list.
    pub texts: Option<&'a [usize]>,
    /// What a tensor is whose elements `data` holds without the zeros.
    pub sparse: Option<&'a Sparse>,
    /// The digest its bytes must have.
    pub digest: &'a Digest,
    /// Its bytes.
    pub data: &'a [u8],
}

impl SectionView<'_> {
    /// The section as a tensor of the graph.
    ///
    /// # Errors
    /// A reason, where the bytes are none of its type.
    pub(super) fn to_tensor(self) -> Result<Tensor, String> {
        if let Some(shape) = self.texts {
            let texts: Vec<String> = serde_json::from_slice(self.data).map_err(|error| error.to_string())?;
            return tensor::from_vec(shape, texts);
        }
        let (stored, shape) = self.elements();
        let dtype = Dtype::from_safetensors(stored).ok_or_else(|| format!("no tensor has the type {stored:?}"))?;
        let expanded = self.sparse.map(|sparse| sparse.decode(self.data, aligned)).transpose();
        let expanded = expanded.map_err(|error| error.to_string())?;
        tensor::from_bytes(dtype.datum_type(), shape, expanded.as_deref().unwrap_or(self.data))
    }

    /// The type and shape of the tensor, which are those of the section unless that is without its zeros.
    pub fn elements(&self) -> (safetensors::Dtype, &[usize]) {
        self.sparse.map_or((self.dtype, self.shape), |sparse| (sparse.dtype, &sparse.shape))
    }

    /// The share of zeros, where the section is without them.
    pub fn zeros(&self) -> Option<f64> {
        self.sparse?.zeros(self.data.len()).ok()
    }
}

/// Why some bytes are not a package that this build can use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum PackageError {
    #[error("not an Emberlite package, or a truncated one: {0}")]
    NotAPackage(String),
    #[error("the package's header is damaged: {0}")]
    Header(&'static str),
    #[error("the package's manifest is damaged: expected digest {expected}, got {got}")]
    ManifestDigest { expected: String, got: Digest },
    #[error("the package's manifest can't be read: {0}")]
    Manifest(String),
    #[error(
        "the package has format {found}; this build reads formats up to {NEWEST_FORMAT}: update Emberlite or pack the model again"
    )]
    Unsupported { found: u32 },
    #[error("section {name:?} of the package is damaged: expected digest {expected}, got {got}")]
    Section { name: String, expected: Digest, got: Digest },
    #[error("the package has no section {0:?}")]
    MissingSection(String),
    #[error("the padding before byte {0} of the package is damaged")]
    Padding(usize),
    #[error("the signature by {0} is not of this package: it is damaged, or another package's")]
    Signature(String),
    #[error("the package is not the one asked for: expected digest {expected}, got {got}")]
    Digest { expected: Digest, got: Digest },
}

impl Package {
    /// Opens a package and checks each section against its digest in the manifest.
    ///
    /// # Errors
    /// The first damage found, with the section it is in.
    pub fn open(bytes: PackageBytes) -> Result<Self, PackageError> {
        let digest = Digest::of(&bytes);
        let package = Self::parse(bytes, digest)?;
        package.check_sections()?;
        Ok(package)
    }

    /// Whether each section is the one that the manifest, and so a signature, says. A package that was opened by its own
    /// digest need not be so.
    ///
    /// # Errors
    /// The first section that is another.
    pub fn check_sections(&self) -> Result<(), PackageError> {
        for section in self.sections() {
            let got = hashed::digest(section.data);
            if *section.digest != got {
                return Err(PackageError::Section { name: section.name.to_owned(), expected: *section.digest, got });
            }
        }
        Ok(())
    }

    /// Opens the package with this digest: one pass over the bytes.
    ///
    /// # Errors
    /// As [`Package::open`]; another intact package is [`PackageError::Digest`].
    pub fn open_as(bytes: PackageBytes, expected: &Digest) -> Result<Self, PackageError> {
        Self::open_hashed(Hashed::of(bytes), expected)
    }

    /// Opens the package with this digest, of bytes that were hashed as they came.
    ///
    /// # Errors
    /// As [`Package::open_as`].
    pub fn open_hashed(hashed: Hashed, expected: &Digest) -> Result<Self, PackageError> {
        let got = *hashed.digest();
        if got != *expected {
            Self::open(hashed.into_bytes())?;
            return Err(PackageError::Digest { expected: *expected, got });
        }
        Self::parse(hashed.into_bytes(), got)
    }

    /// Opens a package that was decrypted, each of its bytes checked; `digest` is that of the encrypted file.
    pub(crate) fn open_decrypted(bytes: PackageBytes, digest: Digest) -> Result<Self, PackageError> {
        Self::parse(bytes, digest)
    }

    /// Reads header and manifest; the sections' bytes remain to be checked.
    fn parse(bytes: PackageBytes, digest: Digest) -> Result<Self, PackageError> {
        let (header_length, metadata) = safetensors::SafeTensors::read_metadata(&bytes)
            .map_err(|error| PackageError::NotAPackage(error.to_string()))?;
        let texts = metadata.metadata().as_ref();
        let text = |key| texts.and_then(|texts| texts.get(key));
        let manifest_text = text("manifest")
            .ok_or_else(|| PackageError::NotAPackage("a safetensors file without a manifest".into()))?;
        let manifest_digest = check_manifest_digest(manifest_text, text("manifest_blake3").map_or("", String::as_str))?;
        let manifest = read_manifest(manifest_text)?;
        let signatures = text("signatures").map_or(Ok(Vec::new()), |text| read_signatures(text, &manifest_digest))?;

        let slots = layout::slots(&manifest.sections).ok_or(PackageError::Header("its sizes overflow"))?;
        let start = header_length + 8;
        if layout::header(manifest_text, &signatures, &slots).ok().as_deref() != bytes.get(..start) {
            return Err(PackageError::Header("it is not the one that follows from the manifest and its signatures"));
        }
        let mut ranges = BTreeMap::new();
        for slot in slots {
            let range = start + slot.range().start..start + slot.range().end;
            if manifest.sections.contains_key(&*slot.name) {
                ranges.insert(slot.name.into_owned(), range);
            } else if bytes[range.clone()].iter().any(|&byte| byte != 0) {
                return Err(PackageError::Padding(range.end));
            }
        }
        Ok(Self { manifest, digest, manifest_digest, signatures, bytes, ranges })
    }

    /// What the package says about its model.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The digest of the whole file.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The digest of the manifest's text: what is signed, since every byte of the package follows from it.
    pub fn manifest_digest(&self) -> &Digest {
        &self.manifest_digest
    }

    /// The signatures, each checked with its own key; whose key that is, is another question.
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// The file with a signature more, or with the same bytes where this key has signed it before.
    ///
    /// # Errors
    /// As [`Package::check_sections`], for what does not hold is not signed; or too many signatures.
    pub fn signed(&self, key: &SigningKey) -> Result<Vec<u8>, PackageError> {
        self.check_sections()?;
        let signature = key.sign(&self.manifest_digest);
        let mut signatures = self.signatures.clone();
        signatures.retain(|other| other.key != signature.key);
        signatures.push(signature);
        signatures.sort_by_key(|signature| signature.key);
        if signatures.len() > MOST_SIGNATURES {
            return Err(PackageError::Header(TOO_MANY));
        }
        let (start, metadata) = safetensors::SafeTensors::read_metadata(&self.bytes)
            .map_err(|error| PackageError::NotAPackage(error.to_string()))?;
        let manifest = metadata.metadata().as_ref().and_then(|texts| texts.get("manifest")).map_or("", String::as_str);
        let slots = layout::slots(&self.manifest.sections).ok_or(PackageError::Header("its sizes overflow"))?;
        let mut file =
            layout::header(manifest, &signatures, &slots).map_err(|error| PackageError::Manifest(error.to_string()))?;
        file.extend_from_slice(&self.bytes[start + 8..]);
        Ok(file)
    }

    /// The size of the whole file.
    pub fn size_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes of the whole file.
    pub fn bytes(&self) -> &PackageBytes {
        &self.bytes
    }

    /// The graph as tract-OPL text.
    ///
    /// # Errors
    /// A package without one.
    pub fn graph(&self) -> Result<&str, PackageError> {
        let range = self.ranges.get(GRAPH).ok_or_else(|| PackageError::MissingSection(GRAPH.to_owned()))?;
        std::str::from_utf8(&self.bytes[range.clone()])
            .map_err(|error| PackageError::Manifest(format!("{GRAPH} is not UTF-8: {error}")))
    }

    /// The tokenizer's JSON, where the package has one.
    pub fn tokenizer(&self) -> Option<&[u8]> {
        self.ranges.get(TOKENIZER).map(|range| &self.bytes[range.clone()])
    }

    /// Every section by name.
    pub fn sections(&self) -> impl Iterator<Item = SectionView<'_>> {
        self.manifest
            .sections
            .iter()
            .zip(self.ranges.values())
            .map(|((name, section), range)| self.view(name, section, range))
    }

    /// The section with this name.
    pub fn section(&self, name: &str) -> Option<SectionView<'_>> {
        let (name, section) = self.manifest.sections.get_key_value(name)?;
        Some(self.view(name, section, self.ranges.get(name)?))
    }

    /// Where a section is in the file.
    pub(super) fn range(&self, name: &str) -> Option<Range<usize>> {
        self.ranges.get(name).cloned()
    }

    fn view<'a>(&'a self, name: &'a str, section: &'a Section, range: &Range<usize>) -> SectionView<'a> {
        SectionView {
            name,
            dtype: section.dtype,
            shape: &section.shape,
            texts: section.texts.as_deref(),
            sparse: section.sparse.as_ref(),
            digest: &section.digest,
            data: &self.bytes[range.clone()],
        }
    }

    /// The sections that are weights of the graph.
    pub fn weights(&self) -> impl Iterator<Item = SectionView<'_>> {
        self.sections().filter(|section| section.name != GRAPH && section.name != TOKENIZER)
    }
}

fn check_manifest_digest(manifest: &str, expected: &str) -> Result<Digest, PackageError> {
    let got = Digest::of(manifest.as_bytes());
    if got.to_string() == expected {
        return Ok(got);
    }
    Err(PackageError::ManifestDigest { expected: expected.chars().take(64).collect(), got })
}

/// The signatures of a header, each of which has to be of the manifest with this digest.
fn read_signatures(text: &str, manifest: &Digest) -> Result<Vec<Signature>, PackageError> {
    let signatures: Vec<Signature> =
        serde_json::from_str(text).map_err(|_| PackageError::Header("its signatures can't be read"))?;
    if signatures.len() > MOST_SIGNATURES {
        return Err(PackageError::Header(TOO_MANY));
    }
    if !signatures.is_sorted_by(|one, next| one.key < next.key) {
        return Err(PackageError::Header("its signatures are not in order"));
    }
    match signatures.iter().find(|signature| !signature.is_of(manifest)) {
        Some(signature) => Err(PackageError::Signature(signature.key.to_string())),
        None => Ok(signatures),
    }
}

/// A manifest of a newer format may hold anything: its version is read first.
fn read_manifest(text: &str) -> Result<Manifest, PackageError> {
    #[derive(Deserialize)]
    struct Version {
        format: u32,
    }
    let unreadable = |error: serde_json::Error| PackageError::Manifest(error.to_string());
    let Version { format } = serde_json::from_str(text).map_err(unreadable)?;
    if format > NEWEST_FORMAT {
        return Err(PackageError::Unsupported { found: format });
    }
    serde_json::from_str(text).map_err(unreadable)
}

#[cfg(test)]
mod tests;
