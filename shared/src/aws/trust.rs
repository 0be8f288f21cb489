//! The root certificates that a server's are checked against: one bundle file, read once.
//!
//! A system's certificates lie in a bundle and, one by one, in a folder: reading the bundle alone takes less than half
//! the time.

use std::env;
use std::path::{Path, PathBuf};

use aws_smithy_http_client::tls::{TlsContext, TrustStore};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// Variables that name a bundle, the first before the second; AWS's own tools and OpenSSL read them.
const VARIABLES: [&str; 2] = ["AWS_CA_BUNDLE", "SSL_CERT_FILE"];
/// A folder of certificates, where one is set, is for the system's own way of reading them.
const FOLDER_VARIABLE: &str = "SSL_CERT_DIR";
/// Where systems keep their bundle: Amazon Linux, Fedora; Debian, Alpine; SUSE.
const BUNDLES: [&str; 3] =
    ["/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/ca-bundle.pem"];

/// The certificates to trust.
///
/// # Errors
/// A bundle that a variable names and that can't be used, in words.
pub(super) fn context() -> Result<TlsContext, String> {
    let store = roots()?.map(|pem| TrustStore::empty().with_pem_certificate(pem));
    let builder = TlsContext::builder().with_trust_store(store.unwrap_or_default());
    builder.build().map_err(|error| error.to_string())
}

/// The root certificates that are trusted, in PEM: those of the bundle that `AWS_CA_BUNDLE` or `SSL_CERT_FILE` names, else the
/// system's. None where they lie in a folder, which `SSL_CERT_DIR` may name.
///
/// # Errors
/// A bundle that a variable names and that can't be used, in words.
pub fn roots() -> Result<Option<Vec<u8>>, String> {
    let named = VARIABLES.iter().find_map(|name| Some((name, env::var_os(name).filter(|path| !path.is_empty())?)));
    match named {
        Some((name, path)) => {
            let path = PathBuf::from(path);
            bundle(&path).map(Some).map_err(|reason| format!("{name}={}: {reason}", path.display()))
        }
        None if env::var_os(FOLDER_VARIABLE).is_some() => Ok(None),
        None => Ok(BUNDLES.iter().find_map(|path| bundle(Path::new(path)).ok())),
    }
}

/// The certificates of a bundle file. Those that can't be used for checking are left out, as system bundles may have
/// some; a file with no other is refused.
fn bundle(path: &Path) -> Result<Vec<u8>, String> {
    usable(&std::fs::read(path).map_err(|error| error.to_string())?)
}

/// The certificates in PEM that can be used for checking: the TLS client panics at any other.
fn usable(pem: &[u8]) -> Result<Vec<u8>, String> {
    let (mut known, mut kept, mut left_out) = (RootCertStore::empty(), String::new(), 0);
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| format!("expected certificates in PEM: {error}"))?;
        if known.add(certificate.clone()).is_err() {
            left_out += 1;
            continue;
        }
        let text = STANDARD.encode(&certificate);
        kept.extend(["-----BEGIN CERTIFICATE-----\n", &text, "\n-----END CERTIFICATE-----\n"]);
    }
    if known.is_empty() {
        return Err(format!("expected certificates in PEM, found {left_out}, none of which can be used"));
    }
    Ok(kept.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CERTIFICATE: &str = include_str!("trust/certificate.pem");

    fn count(pem: &[u8]) -> usize {
        let mut store = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            store.add(certificate.unwrap()).unwrap();
        }
        store.len()
    }

    #[test]
    fn certificates_that_cannot_be_used_are_left_out() {
        let junk = "-----BEGIN CERTIFICATE-----\nZW1iZXI=\n-----END CERTIFICATE-----\n";
        let usable = usable(format!("# a comment\n{junk}{CERTIFICATE}{junk}{CERTIFICATE}").as_bytes()).unwrap();
        assert_eq!(count(&usable), 2);
    }

    #[test]
    fn a_file_without_a_usable_certificate_is_refused() {
        let junk = "-----BEGIN CERTIFICATE-----\nZW1iZXI=\n-----END CERTIFICATE-----\n";
        for text in ["", "no certificate", junk, "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"] {
            assert!(usable(text.as_bytes()).is_err(), "{text:?}");
        }
        assert!(bundle(Path::new("/nowhere/ca.pem")).is_err());
    }
}
