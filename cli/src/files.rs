//! Files that appear whole or not at all.

use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};

/// Writes a file beside its place and moves it there, so that no half of one is ever seen. Whoever may read the files that
/// the user makes may read it.
///
/// # Errors
/// A folder that can't be written to.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let failed = || format!("can't write {}", path.display());
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder).with_context(failed)?;
    file.write_all(bytes).with_context(failed)?;
    file.persist(path).with_context(failed)?;
    Ok(())
}
