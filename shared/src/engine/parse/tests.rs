use proptest::prelude::*;

use super::*;

const GRAPH: &str = r#"version 1.0;

extension tract_registry emberlite;
extension tract_symbol N;

fragment tract_core_properties(
) -> (properties: (string, tensor<scalar>)[])
{
  properties = [("tract_nnef_ser_version", "0.23.9"), ("tract_nnef_format_version", "beta1")];
}

graph network(tokens, i"odd.name") -> (logits) {
  tokens = tract_core_external(shape = [1, N], datum_type = "I64");
  w = variable<scalar>(label = "w'0", shape = [1, 30]);
  a, b = split(tokens, axis = -1, ratios = [1, 2]);
  [c, d] = unstack(w, axis = 0);
  e = [[0.0, -1.5e-3], [2., 1E+10]];
  f = conv(a, border = 'constant', padding = [(1, 1), (0, 0)], fused = true, other = false);
  g = f;
  logits = emberlite_linear([a, i"odd.name"], terms = "a \" quote", epsilon = 1e-12, activation = "");
}
"#;

#[test]
fn what_the_packer_writes_is_read_as_tract_reads_it() {
    let text = GRAPH.replace("w'0", "w0");
    assert_eq!(quick(&text).unwrap(), parse_document(&text).unwrap());
}

#[test]
fn the_graphs_of_the_demo_models_are_read_as_tract_reads_them() {
    let models = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../models");
    let files = std::fs::read_dir(models).unwrap().flatten().flat_map(|folder| std::fs::read_dir(folder.path()));
    let packages = files.flatten().flatten().map(|file| file.path());
    let mut read = 0;
    for path in packages.filter(|path| path.extension().is_some_and(|extension| extension == "ember")) {
        let package = crate::model::Package::open(crate::model::PackageBytes::map(&path).unwrap()).unwrap();
        let text = package.graph().unwrap();
        assert_eq!(quick(text), Some(parse_document(text).unwrap()), "{}", path.display());
        read += 1;
    }
    assert!(read >= 5, "{read} packages");
}

#[test]
fn what_is_not_known_here_is_left_to_tract() {
    for right in ["a + 1", "[for i in a yield i]", "-a", "a[0]", "1 if a else 2", "infinite", "# comment\n a"] {
        let text = format!("version 1.0;\n\ngraph g(a) -> (b) {{\n  b = {right};\n}}\n");
        assert_eq!(quick(&text), None, "{right}");
        assert_eq!(document(&text).ok(), parse_document(&text).ok(), "{right}");
    }
}

#[test]
fn what_is_no_graph_is_an_error() {
    for text in [
        "",
        "graph",
        "version 1.0;\ngraph g(a) -> (b) {",
        "version 1.0;\ngraph g(a) -> (b) { b = ; }",
        "x\ngraph g() -> () {}",
    ] {
        assert!(document(text).is_err(), "{text:?}");
    }
    let deep = format!("version 1.0;\ngraph g() -> (b) {{ b = {}; }}", "[".repeat(100_000));
    assert_eq!(quick(&deep), None);
    assert!(document(&deep).is_err());
}

proptest! {
    /// Whatever is cut out of a graph's text or put into it: what is read is what tract reads.
    #[test]
    fn damaged_text_is_read_as_tract_reads_it(place in 170usize..900, length in 0usize..4, inserted in "[a-z0-9=(){}<>.,;\" -]{0,3}") {
        let text = GRAPH.replace("w'0", "w0");
        let start = place.min(text.len());
        let end = (start + length).min(text.len());
        let damaged = format!("{}{inserted}{}", &text[..start], &text[end..]);
        if let Some(read) = quick(&damaged) {
            prop_assert_eq!(Some(read), parse_document(&damaged).ok(), "{}", damaged);
        }
    }
}
