use std::time::{Duration, Instant};

use tract_nnef::ast::parse::parse_document;

use super::super::parse::document;
use super::*;

fn graph(right: &str) -> String {
    format!("version 1.0;\n\ngraph network(a) -> (b)\n{{\n  b = {right};\n}}\n")
}

/// Whether a text is refused for how it nests.
fn is_refused(text: &str) -> bool {
    let refusal = |reason: String| reason.contains("too deep") || reason.contains("calls itself");
    document(text).is_err_and(refusal)
}

#[test]
fn what_packers_write_and_more_lies_flat_enough() {
    for right in [
        "pad(a, padding = [(-1, -1), (0, 0)], value = -inf)",
        "conv(a, label = \"layers.0 [it's (odd)]\", bias = 0.0)",
        "a + a * a - a / a if a else [for i in [a, a] yield (i - 1)]",
        "[[[[[[[1.0]]]]]]]",
    ] {
        assert_eq!(check(&graph(right)), Ok(()), "{right}");
    }
    let long = format!("[{}]", vec!["-1.0e-5"; 10_000].join(", "));
    assert_eq!(check(&graph(&long)), Ok(()), "a comma begins anew");
}

#[test]
fn what_nests_too_deep_is_refused_before_tract_reads_it() {
    let deep = |piece: &str| graph(&piece.repeat(100_000));
    for piece in
        ["[", "(", "- ", "!", "-(", "f(", "f(x = ", "a[", "[for i in ", "1 if -", "[[", "(-", "a + -", "a^-", "\"\"["]
    {
        assert!(is_refused(&deep(piece)), "{piece}");
    }
    for chain in ["a + ", "1in", "a == ", "a < ", "a || ", "a * "] {
        assert!(is_refused(&deep(chain)), "{chain}");
    }
    for text in [
        format!("version 1.0;\ngraph network(a) -> (b) {{ {}b = a; }}", "[".repeat(100_000)),
        format!(
            "version 1.0;\nfragment f(a: {}integer) -> (b: integer);\ngraph n(a) -> (b) {{ b = a; }}",
            "(".repeat(100_000)
        ),
    ] {
        assert!(is_refused(&text), "{}", &text[..60]);
    }
}

#[test]
fn a_text_in_quotes_is_read_further_and_nests_no_deeper() {
    for (open, close) in [("(", ")"), ("min(", ")"), ("-", ""), ("-(", ")"), ("N/2*", "")] {
        let dimension = format!("{}N{}", open.repeat(100_000), close.repeat(100_000));
        let external = format!("tract_core_external(shape = [1, \"{dimension}\"], datum_type = \"I64\")");
        assert!(is_refused(&graph(&external)), "{open}");
        let assertion =
            format!("version 1.0;\nextension tract_assert {dimension} >= 0;\ngraph n(a) -> (b) {{ b = a; }}");
        assert!(is_refused(&assertion), "{open}");
    }
    assert!(is_flat(b"-1+(S+1)/4"));
    assert!(is_flat(b"/model/decoder/layers.11/self-attn/q-proj/MatMul_output_0 (fused) [2]"));
}

#[test]
fn nothing_hides_what_nests() {
    let brackets = "[".repeat(100_000);
    for text in [
        format!("version 1.0;\nextension x \";\ngraph n(a) -> (b) {{ b = {brackets}; }}"),
        format!("version 1.0;\n# \"\ngraph n(a) -> (b) {{ b = {brackets}; }}"),
        format!("version 1.0;\n# \"\rgraph n(a) -> (b) {{ b = {brackets}; }}"),
        graph(&format!("f(\"\\\"\", {brackets}")),
        graph(&format!("f(\"\\\\\", {brackets}")),
        graph(&format!("a; c = {brackets}")),
        graph(&format!("a; extension = {}", "[".repeat(20))),
        graph(&"[\"]]]]\", ".repeat(100_000)),
        graph(&"[\";\", ".repeat(100_000)),
    ] {
        assert!(is_refused(&text), "{}", &text[..80.min(text.len())]);
    }
}

#[test]
fn what_is_just_not_refused_is_read_soon() {
    let nested = |open: &str, close: &str| graph(&format!("{}a{}", open.repeat(DEEPEST), close.repeat(DEEPEST)));
    for (open, close) in
        [("[", "]"), ("(", ")"), ("f(", ")"), ("a[", "]"), ("-", ""), ("[", ""), ("a[", ""), ("f(x = ", "")]
    {
        let text = nested(open, close);
        assert_eq!(check(&text), Ok(()));
        let start = Instant::now();
        drop(parse_document(&text));
        assert!(start.elapsed() < Duration::from_secs(2), "{open}: {:?}", start.elapsed());
    }
}

#[test]
fn fragments_that_never_end_are_refused() {
    let fragment =
        |name: &str, body: &str| format!("fragment {name}(x: tensor<scalar>) -> (y: tensor<scalar>) {{ {body} }}\n");
    let calling = |fragments: &str| format!("version 1.0;\n{fragments}graph n(a) -> (b) {{ b = f0(a); }}");
    let row = |length: usize, last: &str| {
        let calls = (0..length).map(|at| fragment(&format!("f{at}"), &format!("y = f{}(x);", at + 1)));
        calls.chain([fragment(&format!("f{length}"), last)]).collect::<String>()
    };
    for fragments in [
        fragment("f0", "y = f0(x);"),
        fragment("f0", "y = [f0(x)[0]];"),
        fragment("f0", "y = tract_core_scan(body = \"f0\");"),
        fragment("f0", "y = f1(x);") + &fragment("f1", "y = f0(x);"),
        row(1000, "y = x;"),
    ] {
        let refused = document(&calling(&fragments)).unwrap_err();
        assert!(refused.contains("calls itself"), "{refused}");
    }
    let threefold = |at| format!("y = f{at}(f{at}(f{at}(x)));");
    let growing: String = (0..16).map(|at| fragment(&format!("f{at}"), &threefold(at + 1))).collect();
    let growing = growing + &fragment("f16", "y = x;");
    assert!(document(&calling(&growing)).unwrap_err().contains("assignments"));
    assert!(document(&calling(&row(10, "y = x;"))).is_ok());
}
