//! Where a hub is, and which addresses are its own.

use std::fmt;
use std::str::FromStr;

use ureq::http::Uri;

/// The variable that names another hub than the usual one.
pub(super) const VARIABLE: &str = "HF_ENDPOINT";
const USUAL: &str = "https://huggingface.co";

/// A hub's address: `https://huggingface.co`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    uri: Uri,
    text: String,
}

impl Endpoint {
    /// The one that the environment names, else the usual one.
    ///
    /// # Errors
    /// What is no address, in words.
    pub(super) fn find() -> Result<Self, String> {
        match std::env::var(VARIABLE) {
            Ok(text) if !text.trim().is_empty() => {
                text.trim().parse().map_err(|expected| format!("{VARIABLE}={text:?} is wrong: {expected}"))
            }
            _ => USUAL.parse(),
        }
    }

    /// A page or a file of the hub.
    pub(super) fn join(&self, path: &str) -> String {
        format!("{}/{path}", self.text)
    }

    /// Whether an address is the hub's own, so that it may see the token.
    pub(super) fn owns(&self, uri: &Uri) -> bool {
        origin(uri) == origin(&self.uri)
    }

    /// Whether nobody on the way can read what is sent.
    pub(super) fn is_private(&self) -> bool {
        let host = self.uri.host().unwrap_or_default();
        is_encrypted(&self.uri) || ["localhost", "127.0.0.1", "[::1]"].contains(&host)
    }
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || "expected an address as https://huggingface.co".to_owned();
        let text = text.trim_end_matches('/');
        let uri: Uri = text.parse().map_err(|_| expected())?;
        let known = uri.scheme_str().is_some_and(|scheme| ["http", "https"].contains(&scheme));
        let plain = uri.query().is_none() && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
        if known && plain { Ok(Self { uri, text: text.to_owned() }) } else { Err(expected()) }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Where an answer at `from` sends on to.
///
/// # Errors
/// An address that is none, or one that would be read in clear after one that was not, in words.
pub(super) fn redirected(from: &Uri, location: &str) -> Result<Uri, String> {
    let absolute = match location.strip_prefix('/') {
        Some(rest) if !rest.starts_with('/') => {
            format!(
                "{}://{}{location}",
                from.scheme_str().unwrap_or("https"),
                from.authority().map_or("", |a| a.as_str())
            )
        }
        _ => location.to_owned(),
    };
    let uri: Uri = absolute.parse().map_err(|_| format!("it sends on to {location:?}, which is no address"))?;
    if uri.host().is_none() || !["http", "https"].contains(&uri.scheme_str().unwrap_or_default()) {
        return Err(format!("it sends on to {location:?}, which is no address"));
    }
    if is_encrypted(from) && !is_encrypted(&uri) {
        return Err(format!("it sends on from https to {}, which anybody on the way could change", told(&uri)));
    }
    Ok(uri)
}

/// An address without what signs it.
pub(super) fn told(uri: &Uri) -> String {
    format!("{}://{}", uri.scheme_str().unwrap_or_default(), uri.authority().map_or("", |authority| authority.as_str()))
}

fn is_encrypted(uri: &Uri) -> bool {
    uri.scheme_str() == Some("https")
}

fn origin(uri: &Uri) -> (bool, String, u16) {
    let usual = if is_encrypted(uri) { 443 } else { 80 };
    let host = uri.host().unwrap_or_default().to_ascii_lowercase();
    (is_encrypted(uri), host, uri.port_u16().unwrap_or(usual))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owns(endpoint: &str, other: &str) -> bool {
        endpoint.parse::<Endpoint>().unwrap().owns(&other.parse().unwrap())
    }

    #[test]
    fn a_hub_owns_what_has_its_scheme_host_and_port() {
        assert!(owns("https://hub.test/", "https://HUB.test:443/a/b?c=d"));
        assert!(owns("http://hub.test:8080/mirror", "http://hub.test:8080/x"));
        for other in
            ["http://hub.test/a", "https://cdn.hub.test/a", "https://hub.test:8443/a", "https://hub.test.evil/a"]
        {
            assert!(!owns("https://hub.test", other), "{other}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in ["", "hub.test", "ftp://hub.test", "https://user:pass@hub.test", "https://hub.test?x=1", "https://"]
        {
            assert!(text.parse::<Endpoint>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_answer_sends_on_within_a_hub_or_to_another_but_never_from_https_to_http() {
        let from: Uri = "https://hub.test/a/b".parse().unwrap();
        let to = |location| redirected(&from, location).map(|uri| uri.to_string());
        assert_eq!(to("/c/d?e=1").unwrap(), "https://hub.test/c/d?e=1");
        assert_eq!(to("https://cdn.test/x?sig=1").unwrap(), "https://cdn.test/x?sig=1");
        for wrong in ["http://cdn.test/x", "//cdn.test/x", "c/d", "file:///etc/passwd", ""] {
            assert!(to(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_this_machine_may_be_spoken_to_in_clear() {
        let is_private = |text: &str| text.parse::<Endpoint>().unwrap().is_private();
        assert!(is_private("https://hub.test") && is_private("http://127.0.0.1:80") && is_private("http://[::1]:80"));
        assert!(!is_private("http://hub.test") && !is_private("http://127.0.0.1.test"));
    }
}
