//! `emberlite keygen`: keys to sign packages with, and keys to encrypt them with.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use clap::Args;
use emberlite::trust::{PackageKey, PublicKey, SigningKey};
use serde::Serialize;

/// Which key to make
#[derive(Clone, Debug, Args)]
pub struct Request {
    /// What the key is called: NAME.key is written, and NAME.pub for a signing key [default: signing, or package]
    name: Option<PathBuf>,
    /// Make a key that packages are encrypted with
    #[arg(long)]
    encryption: bool,
}

/// The files that were written, and what others may know.
#[derive(Debug, Serialize)]
pub struct Keygen {
    /// The secret key.
    key_file: PathBuf,
    #[serde(flatten)]
    made: Made,
}

#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Made {
    Signing { name: String, public_key: PublicKey, public_file: PathBuf },
    Encryption { key_id: String },
}

/// Makes a key and writes it where nothing is yet.
///
/// # Errors
/// A file that is there already, a name that can't be one, or a folder that can't be written to.
pub fn keygen(request: &Request) -> Result<Keygen> {
    let usual = if request.encryption { "package" } else { "signing" };
    let path = request.name.as_deref().unwrap_or(Path::new(usual));
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
    ensure!(
        !name.is_empty() && name.chars().all(|letter| letter.is_ascii_alphanumeric() || "._-".contains(letter)),
        "{} is no name of a key: expected letters, digits, '.', '_' and '-'",
        path.display()
    );
    let file = |extension: &str| path.with_file_name(format!("{name}.{extension}"));
    let key_file = file("key");
    if request.encryption {
        let key = PackageKey::generate()?;
        let about =
            format!("# A key that packages of Emberlite are encrypted with, key {}. Keep it secret.\n", key.id());
        write_new(&key_file, &[about.as_bytes(), key.to_text().as_bytes()], 0o600)?;
        return Ok(Keygen { key_file, made: Made::Encryption { key_id: key.id() } });
    }
    let (key, public_file) = (SigningKey::generate()?, file("pub"));
    let public_key = key.public()?;
    let about = format!(
        "# A key that packages of Emberlite are signed with. Keep it secret; what others trust is\n# {name}={public_key}\n"
    );
    write_new(&public_file, &[format!("{name}={public_key}\n").as_bytes()], 0o644)?;
    if let Err(error) = write_new(&key_file, &[about.as_bytes(), key.to_text().as_bytes()], 0o600) {
        drop(fs::remove_file(&public_file));
        return Err(error);
    }
    Ok(Keygen { key_file, made: Made::Signing { name, public_key, public_file } })
}

/// Writes a file that only some may read from the moment it is there; what was there before stays.
fn write_new(path: &Path, parts: &[&[u8]], mode: u32) -> Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    #[cfg(not(unix))]
    let _ = mode;
    let mut file = match options.open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            bail!("{} is there already, and no key is overwritten: name another, or move it away", path.display())
        }
        Err(error) => return Err(anyhow!(error).context(format!("can't write {}", path.display()))),
    };
    let written = parts.iter().try_for_each(|part| file.write_all(part)).and_then(|()| file.sync_all());
    written.inspect_err(|_| drop(fs::remove_file(path))).with_context(|| format!("can't write {}", path.display()))
}

impl fmt::Display for Keygen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key_file = self.key_file.display();
        match &self.made {
            Made::Signing { name, public_key, public_file } => {
                writeln!(f, "{key_file}: the key that signs; keep it secret")?;
                writeln!(f, "{}: {name}={public_key}", public_file.display())?;
                writeln!(f, "\nSign with      emberlite pack MODEL --sign {key_file}")?;
                write!(f, "Functions      EMBER_TRUSTED_KEYS={name}={public_key}")
            }
            Made::Encryption { key_id } => {
                writeln!(f, "{key_file}: the key {key_id}; keep it secret")?;
                writeln!(f, "\nEncrypt with   emberlite pack MODEL --encrypt {key_file}")?;
                write!(f, "Functions      EMBER_PACKAGE_KEY={key_file}, or the base64 in it")
            }
        }
    }
}
