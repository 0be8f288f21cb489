//! The variables that say which packages are trusted, and what decrypts them.

use std::fs;

use super::{ConfigError, Reader, Variable, variable};
use crate::trust::{KeySource, Requirements, TrustedKeys};

pub(super) const TRUSTED: Variable = variable(
    "EMBER_TRUSTED_KEYS",
    "public keys as `emberlite keygen` prints them, NAME=KEY or KEY, separated by commas",
    "none: signatures say nothing",
    "whose signatures count; with it only packages that one of them signed are taken",
);
pub(super) const REQUIRE_SIGNATURE: Variable = variable(
    "EMBER_REQUIRE_SIGNATURE",
    "1 or 0",
    "1 with EMBER_TRUSTED_KEYS",
    "whether only packages are taken that a trusted key signed",
);
pub(super) const REQUIRE_ENCRYPTION: Variable =
    variable("EMBER_REQUIRE_ENCRYPTION", "1 or 0", "0", "whether only packages are taken that are encrypted");
pub(super) const KEY: Variable = variable(
    "EMBER_PACKAGE_KEY",
    "32 bytes in base64, the path of a key's file, or kms:KEY; several separated by commas",
    "none: no encrypted package can be read",
    "what packages are decrypted with; a key of AWS KMS by its id, ARN or alias",
);
pub(super) const KMS_ENDPOINT: Variable = variable(
    "EMBER_KMS_ENDPOINT",
    "an http:// or https:// URL",
    "AWS_ENDPOINT_URL_KMS, or AWS",
    "the endpoint of KMS where it is not AWS's own",
);

/// What the SDKs of AWS call the endpoint of KMS, and that of all services.
const AWS_ENDPOINTS: [&str; 2] = ["AWS_ENDPOINT_URL_KMS", "AWS_ENDPOINT_URL"];
const SWITCH: [(&str, bool); 4] = [("1", true), ("0", false), ("true", true), ("false", false)];

pub(super) fn read<F: Fn(&str) -> Option<String>>(reader: &Reader<F>) -> Result<Requirements, ConfigError> {
    let trusted: TrustedKeys = reader.parsed(&TRUSTED)?.unwrap_or_default();
    let signature = match reader.text(&REQUIRE_SIGNATURE) {
        None => !trusted.0.is_empty(),
        Some(_) => reader.one_of(&REQUIRE_SIGNATURE, &SWITCH)?,
    };
    let encryption = reader.text(&REQUIRE_ENCRYPTION).is_some() && reader.one_of(&REQUIRE_ENCRYPTION, &SWITCH)?;
    let keys = keys(reader)?;
    if signature && trusted.0.is_empty() {
        return Err(ConfigError::Needs { name: REQUIRE_SIGNATURE.name, needed: TRUSTED.name });
    }
    if encryption && keys.is_empty() {
        return Err(ConfigError::Needs { name: REQUIRE_ENCRYPTION.name, needed: KEY.name });
    }
    let kms_endpoint = match reader.endpoint(&KMS_ENDPOINT)? {
        Some(url) => Some(url),
        None => AWS_ENDPOINTS.iter().find_map(|name| (reader.0)(name)),
    };
    Ok(Requirements { trusted, signature, encryption, keys, kms_endpoint })
}

/// The keys, of which no message may tell more than what is wrong with them.
fn keys<F: Fn(&str) -> Option<String>>(reader: &Reader<F>) -> Result<Vec<KeySource>, ConfigError> {
    let text = zeroize::Zeroizing::new(reader.text(&KEY).unwrap_or_default());
    let wrong = |reason| ConfigError::Secret { name: KEY.name, expected: KEY.expected, reason };
    let key = |text: &str| {
        let unfit = match text.parse() {
            Ok(key) => return Ok(key),
            Err(error) => error,
        };
        match fs::read_to_string(text).map(zeroize::Zeroizing::new) {
            Ok(file) => file.parse().map_err(|error| wrong(format!("the file it names has no key: {error}"))),
            Err(error) => Err(wrong(format!("it is no key ({unfit}), and as a file it can't be read ({error})"))),
        }
    };
    text.split(',').map(str::trim).filter(|text| !text.is_empty()).map(key).collect()
}
