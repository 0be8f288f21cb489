//! Whom a package is from, who may read it, and whether it is trusted, with the reason.

use std::fmt;

use emberlite::model::{Digest, Source};
use emberlite::trust::{KeyName, Opened, PublicKey, Requirements, Standing};
use serde::Serialize;

/// What is known of a package's origin.
#[derive(Debug, Serialize)]
pub(super) struct TrustPart {
    verdict: Verdict,
    why: String,
    /// What is signed.
    manifest_digest: Digest,
    signatures: Vec<Signed>,
    /// The key that an encrypted package is encrypted with.
    encrypted_with: Option<KeyName>,
    tool: Option<String>,
    source: Source,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Trusted,
    NotTrusted,
    /// There is nothing to judge by.
    NotJudged,
}

#[derive(Debug, Serialize)]
struct Signed {
    key: PublicKey,
    /// What who trusts it calls it.
    name: Option<String>,
    trusted: bool,
}

impl TrustPart {
    /// Judges a package, each section of which was checked.
    pub(super) fn of(opened: &Opened, requirements: &Requirements) -> Self {
        let package = &opened.package;
        let signed = |key: PublicKey| {
            let trusted = requirements.trusted.find(&key);
            Signed { key, name: trusted.and_then(|trusted| trusted.name.clone()), trusted: trusted.is_some() }
        };
        let (verdict, why) = judge(opened, requirements);
        Self {
            verdict,
            why,
            manifest_digest: *package.manifest_digest(),
            signatures: package.signatures().iter().map(|signature| signed(signature.key)).collect(),
            encrypted_with: opened.container.as_ref().map(|container| container.key().clone()),
            tool: package.manifest().tool.clone(),
            source: package.manifest().source.clone(),
        }
    }
}

fn judge(opened: &Opened, requirements: &Requirements) -> (Verdict, String) {
    let Requirements { trusted, encryption, .. } = requirements;
    if *encryption && opened.container.is_none() {
        return (Verdict::NotTrusted, "it is not encrypted, and EMBER_REQUIRE_ENCRYPTION wants it to be".to_owned());
    }
    match requirements.standing(&opened.package) {
        Standing::Trusted(key) => {
            let why = format!(
                "{key}, a trusted key, signed its manifest, and every byte of the package is as the manifest says"
            );
            (Verdict::Trusted, why)
        }
        _ if trusted.0.is_empty() => {
            let why = "no key to trust is named: --trust KEY.pub or EMBER_TRUSTED_KEYS does. Its bytes are as its \
                       manifest says; whose manifest that is, nobody vouches for";
            (Verdict::NotJudged, why.to_owned())
        }
        Standing::Unsigned => (Verdict::NotTrusted, format!("nobody signed it: expected a signature by {trusted}")),
        Standing::Unknown(_) => {
            (Verdict::NotTrusted, format!("no trusted key signed it: expected a signature by {trusted}"))
        }
    }
}

impl fmt::Display for TrustPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { verdict, why, manifest_digest, signatures, encrypted_with, tool, source } = self;
        let verdict = match verdict {
            Verdict::Trusted => "trusted",
            Verdict::NotTrusted => "not trusted",
            Verdict::NotJudged => "not judged",
        };
        writeln!(f, "  {verdict}: {why}")?;
        writeln!(f, "  manifest   {manifest_digest}")?;
        if signatures.is_empty() {
            writeln!(f, "  signature  none")?;
        }
        for Signed { key, name, trusted } in signatures {
            let standing = if *trusted { "trusted" } else { "unknown" };
            let name = name.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
            writeln!(f, "  signature  {key} ({standing}{name})")?;
        }
        match encrypted_with {
            Some(key) => writeln!(f, "  encrypted  with {key}")?,
            None => writeln!(f, "  encrypted  no")?,
        }
        writeln!(f, "  packed by  {}", tool.as_deref().unwrap_or("a version that did not say so"))?;
        if source.files.is_empty() {
            writeln!(f, "  source     {} {}", source.digest, source.file)?;
        }
        source.files.iter().try_for_each(|file| writeln!(f, "  source     {} {}", file.digest, file.name))
    }
}
