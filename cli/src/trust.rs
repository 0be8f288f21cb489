//! Keys as the command line names them, and packages opened with them.

mod seal;

use std::path::Path;

use anyhow::{Context as _, Result, anyhow, bail};
use emberlite::config::Config;
use emberlite::model::{Hashed, PackageBytes};
use emberlite::telemetry::cold_start::Timeline;
use emberlite::trust::{Container, Gate, KeyName, KeySource, OpenError, Opened, Requirements, SigningKey, TrustError};
use zeroize::Zeroizing;

use crate::source;

pub use seal::Seal;

/// What the environment says of packages, with what flags say beside it.
///
/// `trusted` are keys to trust, files of them or their texts; `key` decrypts packages.
///
/// # Errors
/// A variable or a key that is wrong.
pub fn requirements(trusted: &[String], key: Option<&str>) -> Result<Requirements> {
    let mut requirements = Config::trust(|name| std::env::var(name).ok())?;
    for text in trusted {
        let keys = match std::fs::read_to_string(text) {
            Ok(file) => file.parse().with_context(|| format!("{text} is no file of public keys")),
            Err(_) => text.parse().context("--trust: expected a .pub file, NAME=KEY, or a public key"),
        };
        let keys: emberlite::trust::TrustedKeys = keys?;
        requirements.trusted.0.extend(keys.0);
    }
    if let Some(key) = key {
        requirements.keys.insert(0, package_key(key)?);
    }
    Ok(requirements)
}

/// The key that a package is encrypted or decrypted with: a key's file, `env:NAME`, or `kms:KEY`.
///
/// # Errors
/// A file, a variable or a key that is not there or not one.
pub fn package_key(named: &str) -> Result<KeySource> {
    if let Some(key) = named.strip_prefix("kms:") {
        return if key.is_empty() { bail!("kms: names no key") } else { Ok(KeySource::Kms(key.to_owned())) };
    }
    let key = secret(named)?.parse().with_context(|| format!("{named} holds no package key"));
    key.context("make one with `emberlite keygen --encryption`")
}

/// The key that a package is signed with: a key's file, or `env:NAME`.
///
/// # Errors
/// As [`package_key`]; keys of KMS only encrypt.
pub fn signing_key(named: &str) -> Result<SigningKey> {
    if named.starts_with("kms:") {
        bail!("keys of KMS only encrypt: sign with a key's file or env:NAME");
    }
    let key = SigningKey::parse(&secret(named)?).with_context(|| format!("{named} holds no signing key"));
    key.context("make one with `emberlite keygen`")
}

fn secret(named: &str) -> Result<Zeroizing<String>> {
    let text = match named.strip_prefix("env:") {
        Some(name) => std::env::var(name).map_err(|_| anyhow!("the variable {name} is not set")),
        None => std::fs::read_to_string(named).with_context(|| format!("can't read the key {named}")),
    };
    text.map(Zeroizing::new)
}

/// The way through which packages are opened to be looked at: nothing is refused that can be read.
pub fn gate(requirements: &Requirements) -> Gate {
    Gate::new(Requirements { signature: false, encryption: false, ..requirements.clone() })
}

/// Opens a package file, decrypted if need be, and checks each section.
///
/// # Errors
/// A file that is no intact package, or that there is no key for.
pub async fn open(file: &Path, gate: &Gate) -> Result<Opened> {
    let bytes = source::bytes_of_package(file)?;
    let opened = open_bytes(bytes, gate).await.map_err(|error| {
        let lacks_key = matches!(error, OpenError::Trust(TrustError::NoKey { .. }));
        let error = anyhow!(error);
        if lacks_key { error.context("name its key with --key FILE, --key env:NAME or --key kms:KEY") } else { error }
    });
    opened.with_context(|| file.display().to_string())
}

/// Whether there is a key that should decrypt a package.
pub fn has_key_for(container: &Container, requirements: &Requirements) -> bool {
    requirements.keys.iter().any(|source| match (source, container.key()) {
        (KeySource::Own(key), KeyName::Own(id)) => key.id() == *id,
        (KeySource::Kms(_), KeyName::Kms(_)) => true,
        _ => false,
    })
}

async fn open_bytes(bytes: PackageBytes, gate: &Gate) -> Result<Opened, OpenError> {
    let file = Hashed::of(bytes);
    let digest = *file.digest();
    let unlocked = gate.unlock(&file, &digest).await?;
    let opened = gate.open(file, &digest, unlocked, &Timeline::default())?;
    opened.package.check_sections()?;
    Ok(opened)
}

/// Waits for what may have to ask KMS, where nothing else is going on.
///
/// # Errors
/// That of `work`, or a runtime that can't start.
pub fn wait<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("the runtime can't start")?.block_on(work)
}
