//! Lists of strings inside a package: a JSON array in a tensor of bytes.
//!
//! tract-OPL has string literals, but cannot read back every string it writes, and safetensors has no strings.

use tract_nnef::internal::*;

/// The strings as UTF-8 JSON, in a tensor of `U8`.
pub(super) fn to_tensor(strings: &[String]) -> TractResult<Arc<Tensor>> {
    Ok(rctensor1(&serde_json::to_vec(strings)?))
}

/// Reads what [`to_tensor`] made.
pub(super) fn from_tensor(tensor: &Tensor) -> TractResult<Vec<String>> {
    let view = tensor.try_as_plain_ram()?;
    serde_json::from_slice(view.as_slice::<u8>()?).context("a list of strings is no JSON array of strings")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_string_survives() -> TractResult<()> {
        let strings = ["", "Alzheimer's", "a \"b\" \\ \n\t", "größe", "日本", "\u{1}"].map(String::from);
        assert_eq!(from_tensor(&*to_tensor(&strings)?)?, strings);
        Ok(())
    }
}
