//! What is trusted: packages signed with a known key, and packages that only who has their key can read.
//!
//! A package is signed first and encrypted then. [`Gate`] is the way from the bytes in a store to a [`Package`]: it
//! decrypts what is encrypted, and refuses what is not as [`Requirements`] want it.
//!
//! [`Package`]: crate::model::Package

mod cipher;
mod container;
mod error;
mod gate;
mod kms;
mod package_key;
mod requirements;
mod secret;
mod signature;
mod trusted_key;

pub use container::{Container, Keeper, KeyName};
pub(crate) use container::{Sealed, is_container};
pub use error::TrustError;
pub use gate::{Gate, OpenError, Opened, Unlocked};
pub use package_key::{KeySource, PackageKey};
pub use requirements::{Requirements, Standing};
pub use secret::KeyError;
pub use signature::{PublicKey, Signature, SignatureError, SigningKey};
pub use trusted_key::{TrustedKey, TrustedKeys};
