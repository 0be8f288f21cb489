//! The weights of a folder: safetensors, in one file or several.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use safetensors::tensor::{Metadata, SafeTensors};
use safetensors::{Dtype, tensor::TensorInfo};
use serde_json::Value;

use super::error::FolderError;
use super::settings::json;
use crate::source::stands_in;

/// Weights in one file.
pub(in crate::import) const FILE: &str = "model.safetensors";
/// Which file holds which tensor, where there are several.
const INDEX: &str = "model.safetensors.index.json";

/// The tensors of a folder by name. It notes which were read.
#[derive(Debug)]
pub(in crate::import) struct Checkpoint {
    files: Vec<File>,
    read: RefCell<BTreeSet<String>>,
}

#[derive(Debug)]
struct File {
    path: PathBuf,
    bytes: Vec<u8>,
    start: usize,
    metadata: Metadata,
}

/// Whether a folder has weights that [`Checkpoint::open`] reads.
pub(in crate::import) fn is_there(folder: &Path) -> bool {
    folder.join(FILE).is_file() || folder.join(INDEX).is_file()
}

impl Checkpoint {
    /// Reads the weights of a folder.
    ///
    /// # Errors
    /// No weights in safetensors, or broken ones.
    pub(in crate::import) fn open(folder: &Path) -> Result<Self, FolderError> {
        let files = shards(folder)?.into_iter().map(File::open).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { files, read: RefCell::default() })
    }

    /// The files the weights were read from.
    pub(in crate::import) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|file| file.path.as_path())
    }

    fn find(&self, name: &str) -> Option<(&File, &TensorInfo)> {
        self.files.iter().find_map(|file| file.metadata.info(name).map(|info| (file, info)))
    }

    pub(in crate::import) fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// Whether a tensor's name begins so.
    pub(in crate::import) fn has_any(&self, prefix: &str) -> bool {
        self.names().any(|name| name.starts_with(prefix))
    }

    fn names(&self) -> impl Iterator<Item = String> {
        self.files.iter().flat_map(|file| file.metadata.offset_keys())
    }

    /// The tensors that nobody has read, in the order of their names.
    pub(in crate::import) fn unread(&self) -> Vec<String> {
        let read = self.read.borrow();
        let unread: BTreeSet<String> = self.names().filter(|name| !read.contains(name)).collect();
        unread.into_iter().collect()
    }

    /// The shape of a tensor.
    pub(in crate::import) fn shape(&self, name: &str) -> Result<&[usize], FolderError> {
        let found = self.find(name).map(|(_, info)| info.shape.as_slice());
        found.ok_or_else(|| FolderError::MissingTensor { name: name.to_owned() })
    }

    /// The numbers of a tensor in row-major order, in single precision.
    ///
    /// # Errors
    /// No tensor of that name, of another shape, or of a type that holds no floats.
    pub(in crate::import) fn tensor(&self, name: &str, expected: &[usize]) -> Result<Vec<f32>, FolderError> {
        let missing = || FolderError::MissingTensor { name: name.to_owned() };
        let (file, info) = self.find(name).ok_or_else(missing)?;
        if info.shape != expected {
            let (expected, got) = (expected.to_vec(), info.shape.clone());
            return Err(FolderError::TensorShape { name: name.to_owned(), expected, got });
        }
        let (start, end) = info.data_offsets;
        let bytes = file.bytes.get(file.start + start..file.start + end).unwrap_or_default();
        self.read.borrow_mut().insert(name.to_owned());
        widened(info.dtype, bytes)
            .ok_or_else(|| FolderError::TensorType { name: name.to_owned(), got: format!("{:?}", info.dtype) })
    }
}

/// Little-endian floats in single precision; none for a type that is no float here.
fn widened(dtype: Dtype, bytes: &[u8]) -> Option<Vec<f32>> {
    let halves = |widen: fn([u8; 2]) -> f32| bytes.as_chunks().0.iter().map(|half| widen(*half)).collect();
    Some(match dtype {
        Dtype::F32 => bytes.as_chunks().0.iter().map(|word| f32::from_le_bytes(*word)).collect(),
        Dtype::F16 => halves(|half| half::f16::from_le_bytes(half).to_f32()),
        Dtype::BF16 => halves(|half| half::bf16::from_le_bytes(half).to_f32()),
        _ => return None,
    })
}

/// The files that hold a folder's weights.
fn shards(folder: &Path) -> Result<Vec<PathBuf>, FolderError> {
    let whole = folder.join(FILE);
    if whole.is_file() {
        return Ok(vec![whole]);
    }
    let index = folder.join(INDEX);
    let Some(value) = json(&index)? else { return Err(missing(folder)) };
    let broken = |reason: &str| FolderError::Broken { path: index.clone(), reason: reason.to_owned() };
    let map = value.get("weight_map").and_then(Value::as_object).ok_or_else(|| broken("it has no weight_map"))?;
    let name = |file: &Value| file.as_str().filter(|file| !file.contains(['/', '\\'])).map(str::to_owned);
    let names: Option<BTreeMap<String, ()>> = map.values().map(|file| Some((name(file)?, ()))).collect();
    let names = names.ok_or_else(|| broken("its weight_map names no files of this folder"))?;
    Ok(names.into_keys().map(|name| folder.join(name)).collect())
}

fn missing(folder: &Path) -> FolderError {
    let pickled = ["pytorch_model.bin", "pytorch_model.bin.index.json"].iter().any(|name| folder.join(name).is_file());
    let remedy = if pickled {
        "its weights are pickled, which can run code. Load the model with transformers and save it with \
         save_pretrained(FOLDER, safe_serialization=True)"
    } else {
        "save the model with save_pretrained(FOLDER), or export it to ONNX"
    };
    FolderError::Missing { folder: folder.to_owned(), file: FILE.to_owned(), remedy }
}

impl File {
    fn open(path: PathBuf) -> Result<Self, FolderError> {
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(source) => return Err(FolderError::Unreadable { path, source }),
        };
        match SafeTensors::read_metadata(&bytes) {
            Ok((header, metadata)) => Ok(Self { path, bytes, start: header + size_of::<u64>(), metadata }),
            Err(error) => {
                let reason = stands_in(&bytes).map_or_else(|| error.to_string(), |what| format!("it is {what}"));
                Err(FolderError::Broken { path, reason })
            }
        }
    }
}
