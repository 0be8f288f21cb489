//! `emberlite sign`: a package gets a signature, beside those that it has.

use std::fmt;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Args;
use emberlite::model::{Digest, ModelName, Package};
use emberlite::store::write_whole;
use emberlite::trust::{Container, Gate, KeyName, KeySource, PublicKey};
use serde::Serialize;

use crate::trust;

/// What to sign, and with what
#[derive(Clone, Debug, Args)]
pub struct Request {
    /// A package (.ember)
    package: PathBuf,
    /// The key to sign with: a file of `emberlite keygen`, or env:NAME
    #[arg(long)]
    key: String,
    /// Where the signed package goes [default: the package's own place]
    #[arg(short, long)]
    output: Option<PathBuf>,
    /// What decrypts an encrypted package, which is encrypted with it again: a key's file, env:NAME or kms:KEY [default:
    /// EMBER_PACKAGE_KEY]
    #[arg(long, value_name = "KEY")]
    package_key: Option<String>,
    /// Print what was done as JSON
    #[arg(long)]
    pub json: bool,
}

/// What was signed.
#[derive(Debug, Serialize)]
pub struct Signed {
    file: PathBuf,
    model: ModelName,
    digest: Digest,
    /// The key whose signature was added.
    public_key: PublicKey,
    /// All keys that signed it.
    signed_by: Vec<PublicKey>,
    encrypted_with: Option<KeyName>,
}

/// Signs a package file; it appears whole or stays what it was.
///
/// # Errors
/// A file that is no intact package, a key that can't be had, or a folder that can't be written to.
pub fn sign(request: &Request) -> Result<Signed> {
    let key = trust::signing_key(&request.key)?;
    let requirements = trust::requirements(&[], request.package_key.as_deref())?;
    let gate = trust::gate(&requirements);
    let opened = trust::wait(trust::open(&request.package, &gate))?;
    let (model, signed) = (opened.package.manifest().name.clone(), opened.package.signed(&key)?);
    let signed_by = signers(&signed)?;
    let bytes = match &opened.container {
        None => signed,
        Some(container) => encrypt_again(&gate, container, &model, &signed)?,
    };
    let file = request.output.clone().unwrap_or_else(|| request.package.clone());
    write_whole(&file, &bytes).with_context(|| format!("can't write {}", file.display()))?;
    Ok(Signed {
        file,
        model,
        digest: Digest::of(&bytes),
        public_key: key.public()?,
        signed_by,
        encrypted_with: opened.container.map(|container| container.key().clone()),
    })
}

fn signers(package: &[u8]) -> Result<Vec<PublicKey>> {
    let package = Package::open(package.to_vec().into())?;
    Ok(package.signatures().iter().map(|signature| signature.key).collect())
}

/// Encrypts with the key that decrypted, the package's own key being a new one.
fn encrypt_again(gate: &Gate, container: &Container, model: &ModelName, package: &[u8]) -> Result<Vec<u8>> {
    let fits = |source: &&KeySource| match (source, container.key()) {
        (KeySource::Own(key), KeyName::Own(id)) => key.id() == *id,
        (KeySource::Kms(_), KeyName::Kms(_)) => true,
        _ => false,
    };
    let source = gate.requirements().keys.iter().find(fits).context("the key that decrypted it is gone")?;
    trust::wait(async { Ok(gate.new_key(source, model).await?.seal(model, package)?) })
}

impl fmt::Display for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, model, digest, public_key, signed_by, encrypted_with } = self;
        writeln!(f, "{model}: {}", file.display())?;
        writeln!(f, "  digest     {digest}")?;
        write!(f, "  signature  by {public_key}")?;
        if signed_by.len() > 1 {
            write!(f, ", beside {} more", signed_by.len() - 1)?;
        }
        encrypted_with.as_ref().map_or(Ok(()), |key| write!(f, "\n  encrypted  with {key}"))
    }
}
