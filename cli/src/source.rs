//! What a path holds that the user names: the wrong thing is refused with what to do instead.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use emberlite::model::{Package, PackageBytes};

use crate::pull::Address;
use crate::trust;

/// The extension of packages.
const PACKAGE: &str = "ember";
/// What tells a file's kind lies within so many bytes.
const HEAD: usize = 64;
/// How much of a name has to be as it is spelled, for another one to be meant.
const ALIKE: f64 = 0.8;

const TORCH: &str = "a PyTorch file, which is a program and is not read: export the model with torch.onnx.export, or save it as a \
                     Hugging Face folder with save_pretrained";
const PICKLE: &str =
    "a pickled Python object, which is a program and is not read: export the model to ONNX with skl2onnx";
const TENSORFLOW: &str = "a TensorFlow or Keras file: convert the model to ONNX with tf2onnx";
const WEIGHTS: &str = "a file of weights without a graph: name its folder, if that has the config.json too";

/// Extensions of what is no model that can be read, and what to do with it.
const OTHERS: [(&str, &str); 14] = [
    ("pt", TORCH),
    ("pth", TORCH),
    ("bin", TORCH),
    ("ckpt", TORCH),
    ("pkl", PICKLE),
    ("pickle", PICKLE),
    ("joblib", PICKLE),
    ("h5", TENSORFLOW),
    ("keras", TENSORFLOW),
    ("pb", TENSORFLOW),
    ("tflite", TENSORFLOW),
    ("safetensors", WEIGHTS),
    ("zip", "an archive: unpack it, and name the model in it"),
    ("json", "a file of settings: name the folder it is in"),
];

/// Opens a package, once its every byte has been checked; an encrypted one by the keys that the environment names.
///
/// # Errors
/// What is no intact package, or what there is no key for.
pub fn package(path: &Path) -> Result<Package> {
    let gate = trust::gate(&trust::requirements(&[], None)?);
    Ok(trust::wait(trust::open(path, &gate))?.package)
}

/// The bytes of what should be a package.
///
/// # Errors
/// What is none by its name, its place or its first bytes.
pub fn bytes_of_package(path: &Path) -> Result<PackageBytes> {
    exists(path)?;
    let told = path.display();
    if path.is_dir() {
        if let Some(package) = package_within(path) {
            bail!("{told} is a folder: name the package in it, {}", package.display());
        }
        bail!("{told} is a folder and no package: make one with `emberlite pack {told}`");
    }
    broken(path)?;
    let is_model = ["onnx", "gguf", "toml"].contains(&extension(path).as_str());
    ensure!(!is_model, "{told} is no package: make one with `emberlite pack {told}`");
    PackageBytes::map(path).with_context(|| format!("can't read {told}"))
}

/// Looks whether a path may be a model.
///
/// # Errors
/// What can be none.
pub fn check_model(path: &Path) -> Result<()> {
    exists(path)?;
    if path.is_dir() {
        return Ok(());
    }
    let told = path.display();
    let extension = extension(path);
    ensure!(
        extension != PACKAGE,
        "{told} is a package already: look into it with `emberlite inspect {told}`, or try it with `emberlite serve {told}`"
    );
    if let Some((_, what)) = OTHERS.iter().find(|(other, _)| *other == extension) {
        bail!("{told} is {what}");
    }
    broken(path)
}

fn exists(path: &Path) -> Result<()> {
    let told = path.to_string_lossy();
    if Address::is_meant(&told) {
        bail!("{told} is in a hub: fetch it with `emberlite pull {told}` first");
    }
    if told.contains("://") {
        bail!("{told} is an address, and a file or folder is expected: download it first");
    }
    if path.exists() {
        return Ok(());
    }
    match spelled_alike(path) {
        Some(other) => bail!("there is no file or folder {told}: is {} meant?", other.display()),
        None => bail!("there is no file or folder {told}"),
    }
}

/// Something beside a path whose name is nearly the same.
fn spelled_alike(path: &Path) -> Option<PathBuf> {
    let wanted = path.file_name()?.to_string_lossy().into_owned();
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let entries = fs::read_dir(folder.unwrap_or(Path::new("."))).ok()?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let scored = names.map(|name| (strsim::normalized_damerau_levenshtein(&name, &wanted), name));
    let (_, best) = scored.filter(|(alike, _)| *alike >= ALIKE).max_by(|a, b| a.0.total_cmp(&b.0))?;
    Some(folder.map_or_else(|| PathBuf::from(&best), |folder| folder.join(&best)))
}

/// Refuses what stands in the place of a file.
fn broken(path: &Path) -> Result<()> {
    let mut head = Vec::new();
    let told = path.display();
    let file = File::open(path).with_context(|| format!("can't read {told}"))?;
    file.take(HEAD as u64).read_to_end(&mut head).with_context(|| format!("can't read {told}"))?;
    match stands_in(&head) {
        Some(what) => bail!("{told} is {what}"),
        None => Ok(()),
    }
}

/// What is in the place of a file that begins with these bytes, and what to do about it.
pub(crate) fn stands_in(head: &[u8]) -> Option<&'static str> {
    let text = String::from_utf8_lossy(&head[..head.len().min(HEAD)]).trim_start().to_ascii_lowercase();
    if head.is_empty() {
        return Some("empty");
    }
    if text.starts_with("version https://git-lfs") {
        return Some(
            "not the file itself but Git LFS's note of it: fetch it with `git lfs pull`, or with `emberlite pull`",
        );
    }
    let page = text.starts_with("<!doctype") || text.starts_with("<html");
    page.then_some("a web page: what should be there was not downloaded")
}

fn package_within(folder: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    entries.filter(|path| extension(path) == PACKAGE).min()
}

fn extension(path: &Path) -> String {
    path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase()
}

/// Looks whether a file can be written where it is to be, before the work that makes it.
///
/// # Errors
/// A place in a folder that is not there, or one that is a folder.
pub fn check_place(path: &Path) -> Result<()> {
    ensure!(!path.is_dir(), "{} is a folder: name the file, {}", path.display(), path.join("NAME.ember").display());
    match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) if !folder.is_dir() => bail!("there is no folder {}: make it first", folder.display()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(name: &str, content: &[u8]) -> [String; 2] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        [package(&path).map(drop), check_model(&path)].map(|result| format!("{:#}", result.unwrap_err()))
    }

    #[test]
    fn what_stands_in_the_place_of_a_file_is_told() {
        for (content, word) in [
            (&b""[..], "is empty"),
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
            (b"\n<!DOCTYPE html><html>", "web page"),
        ] {
            let [package, _] = refused("m.ember", content);
            for told in refused("m.onnx", content).into_iter().chain([package]) {
                assert!(told.contains(word), "{told}");
            }
        }
    }

    #[test]
    fn a_name_that_is_nearly_right_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.onnx");
        fs::write(&path, b"onnx").unwrap();
        let told = |name: &str| check_model(&folder.path().join(name)).unwrap_err().to_string();
        assert!(told("modle.onnx").ends_with(&format!("is {} meant?", path.display())));
        assert!(told("other.bin").ends_with("other.bin"));
    }
}
