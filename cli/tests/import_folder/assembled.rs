//! Folders that the tests put together from the committed ones.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::reference::path;

/// A copy of a committed folder.
pub(crate) fn copy(name: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy_into(&path(name), folder.path());
    folder
}

fn copy_into(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_into(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A copy of a committed folder whose weights are those of a committed ONNX file, at `place` within it.
pub(crate) fn with_onnx(name: &str, export: &str, place: &str) -> TempDir {
    let folder = copy(name);
    fs::remove_file(folder.path().join("model.safetensors")).unwrap();
    let exports = path("../onnx");
    let target = folder.path().join(place);
    fs::create_dir_all(target.parent().unwrap()).unwrap();
    fs::copy(exports.join(format!("{export}.onnx")), &target).unwrap();
    fs::copy(exports.join("weights.bin"), target.with_file_name("weights.bin")).unwrap();
    folder
}

/// Changes a JSON file of a folder.
pub(crate) fn edit(folder: &Path, file: &str, change: impl FnOnce(&mut Value)) {
    let file = folder.join(file);
    let mut value: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    change(&mut value);
    fs::write(&file, serde_json::to_vec(&value).unwrap()).unwrap();
}

/// A tensor's type, shape and bytes.
pub(crate) type Stored = (Dtype, Vec<usize>, Vec<u8>);

/// Writes a folder's weights again: each goes into the file that `place` says, as it says; several get an index.
pub(crate) fn rewrite(folder: &Path, place: impl Fn(usize, Stored) -> (&'static str, Stored)) {
    let whole = folder.join("model.safetensors");
    let bytes = fs::read(&whole).unwrap();
    fs::remove_file(&whole).unwrap();
    let mut files: BTreeMap<&str, HashMap<String, Stored>> = BTreeMap::new();
    for (index, (name, view)) in SafeTensors::deserialize(&bytes).unwrap().tensors().into_iter().enumerate() {
        let (file, stored) = place(index, (view.dtype(), view.shape().to_vec(), view.data().to_vec()));
        files.entry(file).or_default().insert(name, stored);
    }
    let mut index = serde_json::Map::new();
    for (file, tensors) in &files {
        index.extend(tensors.keys().map(|name| (name.clone(), json!(file))));
        let views = tensors
            .iter()
            .map(|(name, (dtype, shape, data))| (name.clone(), TensorView::new(*dtype, shape.clone(), data).unwrap()));
        safetensors::serialize_to_file(views, None, &folder.join(file)).unwrap();
    }
    if files.len() > 1 {
        let value = json!({"metadata": {}, "weight_map": index});
        fs::write(folder.join("model.safetensors.index.json"), value.to_string()).unwrap();
    }
}

/// An f32 tensor in half precision.
pub(crate) fn narrowed((_, shape, data): Stored, dtype: Dtype) -> Stored {
    let floats = data.as_chunks().0.iter().map(|word| f32::from_le_bytes(*word));
    let bits = floats.flat_map(|value| match dtype {
        Dtype::F16 => half::f16::from_f32(value).to_le_bytes(),
        _ => half::bf16::from_f32(value).to_le_bytes(),
    });
    (dtype, shape, bits.collect())
}
