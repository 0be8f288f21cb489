//! Why a hub gives nothing, in words, and what to do about it.

use anyhow::{Error, anyhow};
use ureq::http::StatusCode;

use super::address::Address;
use super::client::{Answer, Client};
use super::token;

/// How many revisions are named.
const SHOWN: usize = 8;

/// An answer that is a refusal.
pub(super) struct Refusal<'a> {
    pub(super) address: &'a Address,
    pub(super) client: &'a Client,
    pub(super) answer: &'a Answer,
}

impl Refusal<'_> {
    /// `refs` are the revisions that there are.
    pub(super) fn explain(&self, refs: impl FnOnce() -> Vec<String>) -> Error {
        let Self { address, client, answer } = self;
        let endpoint = client.endpoint();
        let code = answer.header("x-error-code").unwrap_or_default();
        let said: String = answer.header("x-error-message").unwrap_or_default().chars().take(300).collect();
        let repository = format!("hf://{}", address.repository());
        let page = endpoint.join(address.repository());
        let gated = code == "GatedRepo" || said.contains("gated");
        match (answer.status(), code) {
            (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _) if gated => match client.token() {
                None => anyhow!(
                    "{repository} is gated: accept its licence at {page}, make a token at {}, and put that into {}",
                    endpoint.join("settings/tokens"),
                    token::VARIABLE
                ),
                Some(token) => anyhow!(
                    "{repository} is gated, and the token in {} does not open it: accept its licence at {page} with the \
                     account that the token is of, and see that the token may read gated repositories",
                    token.origin()
                ),
            },
            (StatusCode::UNAUTHORIZED, _) => match client.token() {
                None => anyhow!(
                    "{endpoint} shows no repository {repository}: check its name; if it is private, put a token of somebody \
                     who may see it into {}",
                    token::VARIABLE
                ),
                Some(token) => anyhow!(
                    "{endpoint} does not accept the token in {} for {repository}: check the name, and that the token is still \
                     one at {}",
                    token.origin(),
                    endpoint.join("settings/tokens")
                ),
            },
            (StatusCode::FORBIDDEN, _) => anyhow!("{endpoint} forbids to read {repository}{}", told(&said)),
            (StatusCode::NOT_FOUND, "RevisionNotFound") => {
                let known = revisions(address.revision(), refs());
                anyhow!("{repository} has no revision {}{known}", address.revision())
            }
            (StatusCode::NOT_FOUND, "EntryNotFound") => {
                anyhow!("{repository} lists a file that it does not have{}: try again", told(&said))
            }
            (StatusCode::NOT_FOUND, _) => anyhow!(
                "there is no repository {repository}: look for it at {}",
                endpoint.join(&format!("models?search={}", address.name()))
            ),
            (status, _) => anyhow!("{endpoint} answers {} for {repository}{}", status.as_u16(), told(&said)),
        }
    }
}

fn told(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(": {said}") }
}

/// The revisions that there are, those that are spelled like the wanted one first.
fn revisions(wanted: &str, mut refs: Vec<String>) -> String {
    if refs.is_empty() {
        return ": leave it out for main".to_owned();
    }
    refs.sort_by(|a, b| strsim::jaro_winkler(b, wanted).total_cmp(&strsim::jaro_winkler(a, wanted)));
    let more = if refs.len() > SHOWN { ", …" } else { "" };
    refs.truncate(SHOWN);
    format!(": it has {}{more}", refs.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revisions_that_are_spelled_alike_come_first() {
        let refs = ["main", "v2.0", "v1.0"].map(str::to_owned).to_vec();
        assert_eq!(revisions("v1.1", refs), ": it has v1.0, v2.0, main");
        assert_eq!(revisions("v1.1", Vec::new()), ": leave it out for main");
        let many = (0..20).map(|number| format!("r{number}")).collect();
        assert!(revisions("x", many).ends_with(", …"));
    }
}
