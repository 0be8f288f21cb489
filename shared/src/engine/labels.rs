//! Which weights the operators of a graph name, without the weights.

use std::collections::HashSet;

use tract_nnef::ast::{Literal, RValue};

use super::{EngineError, guarded, parse};

/// The texts that a graph gives its operators of this name, the labels of their weights among them.
///
/// # Errors
/// [`EngineError::Read`] for text that is no tract-OPL.
pub fn labels(text: &str, operator: &str) -> Result<HashSet<String>, EngineError> {
    let document = guarded(|| parse::document(text)).map_err(EngineError::Read)?;
    let mut labels = HashSet::new();
    for assignment in &document.graph_def.body {
        if let RValue::Invocation(invocation) = &assignment.right
            && invocation.id.0 == operator
        {
            invocation.arguments.iter().for_each(|argument| collect(&argument.rvalue, &mut labels));
        }
    }
    Ok(labels)
}

/// The texts of a value and of what lies in it; how deep that is, the parser has bounded.
fn collect(value: &RValue, labels: &mut HashSet<String>) {
    match value {
        RValue::Literal(literal) => collect_literal(literal, labels),
        RValue::Array(values) | RValue::Tuple(values) => values.iter().for_each(|value| collect(value, labels)),
        _ => {}
    }
}

fn collect_literal(literal: &Literal, labels: &mut HashSet<String>) {
    match literal {
        Literal::String(text) => drop(labels.insert(text.clone())),
        Literal::Array(literals) | Literal::Tuple(literals) => {
            literals.iter().for_each(|literal| collect_literal(literal, labels));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_those_of_the_operator_alone() {
        let text = "version 1.0;\n\ngraph network(x) -> (z) {\n\
                    y = emberlite_linear([x], weights = \"a; b(\", terms = \"a.terms\", to = 3);\n\
                    w = emberlite_embedding([y], tables = [\"t\", \"u\"]);\n\
                    z = emberlite_linear([w], weights = \"c\", terms = \"a.terms\", to = 3);\n}\n";
        let found = |operator| {
            let mut labels: Vec<_> = labels(text, operator).unwrap().into_iter().collect();
            labels.sort();
            labels
        };
        assert_eq!(found("emberlite_linear"), ["a.terms", "a; b(", "c"]);
        assert_eq!(found("emberlite_embedding"), ["t", "u"]);
        assert!(found("emberlite_norm").is_empty());
        assert!(labels("no graph", "emberlite_linear").is_err());
    }
}
