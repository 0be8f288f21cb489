//! Keys of objects as S3's notifications write them: a space is a `+`, other characters are percent-encoded.

/// The key itself; `None` where the text is none.
pub(super) fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'+' => bytes.push(b' '),
            b'%' => {
                let (digits, after) = after.split_at_checked(2)?;
                let digits = std::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?;
                bytes.push(u8::from_str_radix(digits, 16).ok()?);
                rest = after;
            }
            other => bytes.push(other),
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_s3_writes_it() {
        assert_eq!(decode("in/a+b%2Bc/%C3%A9.png"), Some("in/a b+c/é.png".to_owned()));
        for text in ["%", "%2", "%zz", "%ff", "%+1"] {
            assert_eq!(decode(text), None, "{text:?}");
        }
    }
}
