//! What fused operators are called: after the layer they come from, which exporters spell in its pieces' names.

/// The pieces' own names, as exporters and tract append them to the layer's.
const PIECES: [&str; 24] = [
    "MatMul",
    "Gemm",
    "Add",
    "Mul",
    "Sub",
    "Div",
    "Gather",
    "Softmax",
    "Where",
    "Erf",
    "Transpose",
    "Reshape",
    "LayerNormalization",
    "ReduceMean",
    "weight",
    "ab",
    "y_internal",
    "normalized_scaled",
    "rms_norm",
    "sum",
    "gelu_exact",
    "output_quantized",
    "output",
    "quant_output_scale_mul",
];

/// The layer's name within a piece's: `n__encoder_layer_0_output_LayerNorm_Add_1` is a piece of
/// `encoder_layer_0_output_LayerNorm`.
pub(super) fn clean(piece: &str) -> String {
    let mut name = piece.strip_prefix("n__").unwrap_or(piece);
    let numbered = |name: &str| name.rfind('_').is_some_and(|at| name[at + 1..].bytes().all(|b| b.is_ascii_digit()));
    loop {
        let unnumbered = if numbered(name) { name.rfind('_').map_or(name, |at| &name[..at]) } else { name };
        let layer = PIECES.iter().find_map(|piece| unnumbered.strip_suffix(piece)?.strip_suffix('_'));
        match layer.filter(|layer| !layer.is_empty() && *layer != "node") {
            Some(layer) => name = layer,
            None => break,
        }
    }
    let literal = ["inf", "true", "false"].iter().any(|literal| name.starts_with(literal));
    if literal || !name.starts_with(|c: char| c.is_ascii_alphabetic()) { format!("n_{name}") } else { name.to_owned() }
}

/// A name that is not taken, as near to `name` as it can be.
pub(super) fn fresh(name: &str, taken: impl Fn(&String) -> bool) -> String {
    let numbered = (1..).map(|count: usize| format!("{name}_{count}"));
    std::iter::once(name.to_owned()).chain(numbered).find(|name| !taken(name)).unwrap_or_default()
}

/// What several layers together are called: what their names begin with alike, and `word`.
pub(super) fn joined(names: &[&str], word: &str) -> String {
    let Some((first, others)) = names.split_first() else { return word.to_owned() };
    let alike = |other: &&str| first.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
    let shared = others.iter().map(alike).min().unwrap_or(first.len());
    let stem = first.get(..shared).unwrap_or_default();
    let whole = if others.iter().all(|other| other.len() == shared || other.as_bytes().get(shared) == Some(&b'_')) {
        stem
    } else {
        stem.rfind('_').map_or("", |at| &stem[..at])
    };
    let stem = whole.trim_end_matches('_');
    if stem.is_empty() { format!("{first}_{word}") } else { format!("{stem}_{word}") }
}

#[cfg(test)]
mod tests {
    use super::{clean, fresh, joined};

    #[test]
    fn a_layer_is_called_as_the_file_calls_it() {
        assert_eq!(clean("n__model_layer_0_attention_self_query_MatMul"), "model_layer_0_attention_self_query");
        assert_eq!(clean("n__model_layer_0_output_LayerNorm_Add_1"), "model_layer_0_output_LayerNorm");
        assert_eq!(clean("n__model_classifier_Gemm_ab"), "model_classifier");
        assert_eq!(clean("node_layer_norm_1_y_internal"), "node_layer_norm_1");
        assert_eq!(clean("node_MatMul_84"), "node_MatMul_84");
        assert_eq!(clean("n__0_auto_model_dense_MatMul"), "n_0_auto_model_dense");
    }

    #[test]
    fn a_taken_name_gets_a_number() {
        assert_eq!(fresh("a", |name| ["a", "a_1"].contains(&name.as_str())), "a_2");
    }

    #[test]
    fn layers_that_become_one_keep_what_their_names_share() {
        assert_eq!(joined(&["self_query", "self_key", "self_value"], "qkv"), "self_qkv");
        assert_eq!(joined(&["node_linear", "node_linear_1", "node_linear_2"], "qkv"), "node_linear_qkv");
        assert_eq!(joined(&["q", "k", "v"], "qkv"), "q_qkv");
    }
}
