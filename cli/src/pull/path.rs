//! Names of files as a hub tells them: nothing outside the folder they are for, and no surprise within.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};

/// The longest name of a file, and of a folder on the way to it.
const LONGEST: usize = 200;

/// A file's path within a repository, `1_Pooling/config.json`: it leads nowhere else on any system.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FilePath(String);

impl FilePath {
    /// None for a path that a well-meaning repository does not have.
    pub(super) fn new(text: &str) -> Option<Self> {
        let parts = text.split('/');
        let fine = |part: &str| {
            (1..=LONGEST).contains(&part.len())
                && part != "."
                && part != ".."
                && !part.ends_with(['.', ' '])
                && !part.chars().any(|letter| letter.is_control() || "\\:*?\"<>|".contains(letter))
        };
        parts.into_iter().all(fine).then(|| Self(text.to_owned()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Its last part.
    pub(super) fn file(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// The folder it is in, empty for the repository's own.
    pub(super) fn folder(&self) -> &str {
        self.0.rsplit_once('/').map_or("", |(folder, _)| folder)
    }

    /// Where it is in a folder of this machine.
    pub(super) fn within(&self, folder: &Path) -> PathBuf {
        self.0.split('/').fold(folder.to_owned(), |path, part| path.join(part))
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for FilePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_path_has_a_folder_and_a_file() {
        let path = FilePath::new("1_Pooling/config.json").unwrap();
        assert_eq!((path.folder(), path.file()), ("1_Pooling", "config.json"));
        assert_eq!(path.within(Path::new("m")), Path::new("m").join("1_Pooling").join("config.json"));
        assert_eq!(FilePath::new("config.json").unwrap().folder(), "");
    }

    #[test]
    fn what_leads_elsewhere_is_none() {
        for text in [
            "",
            "/etc/passwd",
            "../x",
            "a/../../x",
            "a//b",
            "./x",
            "a/",
            "C:\\x",
            "a\\..\\b",
            "a\nb",
            "x ",
            "x.",
            "nul:",
        ] {
            assert_eq!(FilePath::new(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn every_path_stays_in_its_folder(text in "[a./\\\\:~ -]{0,12}") {
            if let Some(path) = FilePath::new(&text) {
                let within = path.within(Path::new("/folder"));
                prop_assert!(within.starts_with("/folder"));
                prop_assert!(within.components().all(|part| part != std::path::Component::ParentDir));
                prop_assert_eq!(within.strip_prefix("/folder").unwrap().to_str().unwrap(), text);
            }
        }
    }
}
