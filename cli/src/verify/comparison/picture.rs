//! The picture that a model was shown, for the report.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use emberlite::task::Payload;
use serde_json::Value;

use crate::data::Input;

/// The largest file that is shown, in bytes: twenty of them make no report unwieldy.
const LARGEST: usize = 64 * 1024;
/// What PNG and JPEG files begin with, as bytes and in base64.
const KINDS: [(&str, &[u8], &str); 2] =
    [("image/png", b"\x89PNG", "iVBORw0KGgo"), ("image/jpeg", b"\xff\xd8\xff", "/9j/")];

/// A picture as a `data:` URL; none of what is no picture, or a large one.
pub(super) fn of(input: &Input) -> Option<String> {
    match input {
        Input::Payload(Payload::Image(bytes)) => {
            let (kind, ..) = KINDS.iter().find(|(_, head, _)| bytes.starts_with(head))?;
            (bytes.len() <= LARGEST).then(|| format!("data:{kind};base64,{}", STANDARD.encode(bytes)))
        }
        Input::Payload(Payload::Json(Value::String(text))) => {
            let (kind, ..) = KINDS.iter().find(|(_, _, head)| text.starts_with(head))?;
            let is_base64 = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte));
            (is_base64 && text.len() <= LARGEST).then(|| format!("data:{kind};base64,{text}"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_become_urls_and_nothing_else_does() {
        let image = |bytes: &[u8]| of(&Input::Payload(Payload::Image(bytes.to_vec().into())));
        assert_eq!(image(b"\x89PNG").as_deref(), Some("data:image/png;base64,iVBORw=="));
        assert_eq!(image(b"GIF89a"), None);
        assert_eq!(image(&[b"\x89PNG".as_slice(), &vec![0; LARGEST]].concat()), None);
        let text = |text: &str| of(&Input::Payload(Payload::Json(text.into())));
        assert_eq!(text("/9j/4AAQ").as_deref(), Some("data:image/jpeg;base64,/9j/4AAQ"));
        assert_eq!(text("/9j/\" onerror=\"alert(1)"), None);
        assert_eq!(of(&Input::Text("iVBORw0KGgo".to_owned())), None);
    }
}
