//! `--sign` and `--encrypt`: what becomes of a package before it is written.

use anyhow::{Context as _, Result};
use clap::Args;
use emberlite::model::{Digest, ModelName, Package};
use emberlite::trust::{Gate, Requirements, SigningKey};

use super::{package_key, requirements, signing_key, wait};
use crate::pack::Packed;

/// Who may trust a package, and who may read it
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Trust")]
pub struct Seal {
    /// Sign the package: a file of `emberlite keygen`, or env:NAME
    #[arg(long, value_name = "KEY")]
    sign: Option<String>,
    /// Encrypt the package: a file of `emberlite keygen --encryption`, env:NAME, or kms:KEY with the id, ARN or alias of a
    /// key of AWS KMS
    #[arg(long, value_name = "KEY")]
    encrypt: Option<String>,
}

impl Seal {
    /// Reads the keys as far as they are here, so that none is found missing when the work is done.
    ///
    /// # Errors
    /// A key that can't be had.
    pub fn check(&self) -> Result<()> {
        self.sign.as_deref().map(signing_key).transpose().context("--sign")?;
        self.encrypt.as_deref().map(package_key).transpose().context("--encrypt")?;
        Ok(())
    }

    /// The package, signed and then encrypted, as far as that is wanted.
    ///
    /// # Errors
    /// A key that can't be had, or a KMS that refuses.
    pub fn apply(&self, packed: Packed) -> Result<Packed> {
        if self.sign.is_none() && self.encrypt.is_none() {
            return Ok(packed);
        }
        let mut packed = packed;
        if let Some(key) = &self.sign {
            packed.bytes = signed(packed.bytes, &signing_key(key)?)?;
        }
        if let Some(key) = &self.encrypt {
            packed.bytes = encrypted(&packed.manifest.name, &packed.bytes, key).context("--encrypt")?;
        }
        packed.digest = Digest::of(&packed.bytes);
        Ok(packed)
    }
}

fn signed(package: Vec<u8>, key: &SigningKey) -> Result<Vec<u8>> {
    Ok(Package::open(package.into())?.signed(key)?)
}

fn encrypted(model: &ModelName, package: &[u8], key: &str) -> Result<Vec<u8>> {
    let source = package_key(key)?;
    let gate = Gate::new(Requirements { keys: Vec::new(), ..requirements(&[], None)? });
    wait(async { Ok(gate.new_key(&source, model).await?.seal(model, package)?) })
}
