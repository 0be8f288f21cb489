//! `emberlite_embedding`: rows of embedding tables, added up.

mod table;

use emberlite_kernels::{Isa, add_row};
pub use table::Table;
use tract_nnef::ast::Literal;
use tract_nnef::internal::*;
use tract_nnef::ser::array;

use super::output::{filled, ids};

const NAME: &str = "emberlite_embedding";

/// Which row of a table a token gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lookup {
    /// The one that an input of ids says.
    Input(usize),
    /// The token's place in its text, counted from `offset`.
    Sequential {
        /// The first token's row.
        offset: usize,
    },
    /// The token's place among those of input 0 that are no padding, counted from `padding_id + 1`; padding gets
    /// `padding_id`. As RoBERTa numbers its positions.
    NonPadding {
        /// The id that pads a text.
        padding_id: i64,
    },
    /// Always this one.
    Row(usize),
}

/// The sum of rows of tables, one of each table for every token, times a factor.
///
/// Inputs: ids, `i64` `[batch, tokens]`, as many as the lookups name. Output: `f32` `[batch, tokens, width]`. An id
/// without a row is an error.
#[derive(Clone, Debug, PartialEq)]
pub struct Embedding {
    tables: Vec<(Table, Lookup)>,
    factor: f32,
}

impl Eq for Embedding {}

impl Embedding {
    /// The sum of these tables' rows.
    ///
    /// # Errors
    /// No table, or tables whose widths differ.
    pub fn new(tables: Vec<(Table, Lookup)>) -> Result<Self, String> {
        let width = tables.first().map(|(table, _)| table.width()).ok_or("an embedding without a table")?;
        match tables.iter().find(|(table, _)| table.width() != width) {
            Some((other, _)) => Err(format!("a table is {width} wide, another {}", other.width())),
            None => Ok(Self { tables, factor: 1.0 }),
        }
    }

    /// The same embedding, its sums multiplied with a factor.
    pub fn with_factor(self, factor: f32) -> Self {
        Self { factor, ..self }
    }

    /// What the sums are multiplied with.
    pub fn factor(&self) -> f32 {
        self.factor
    }

    /// The tables, each with its lookup.
    pub fn tables(&self) -> &[(Table, Lookup)] {
        &self.tables
    }

    /// How many inputs there are.
    pub fn inputs(&self) -> usize {
        let named = self.tables.iter().map(|(_, lookup)| match lookup {
            Lookup::Input(input) => input + 1,
            _ => 1,
        });
        named.max().unwrap_or(1)
    }

    /// How long a row is.
    pub fn width(&self) -> usize {
        self.tables.first().map_or(0, |(table, _)| table.width())
    }
}

/// The row of every token, as a lookup says.
fn rows(lookup: Lookup, inputs: &[&[i64]], tokens: usize) -> Vec<i64> {
    let count = inputs[0].len();
    match lookup {
        Lookup::Input(input) => inputs[input].to_vec(),
        Lookup::Sequential { offset } => (0..count).map(|i| (i % tokens + offset) as i64).collect(),
        Lookup::Row(row) => vec![row as i64; count],
        Lookup::NonPadding { padding_id } => {
            let text = |ids: &[i64]| {
                let mut place = padding_id;
                let row = |id: &i64| {
                    if *id == padding_id {
                        return padding_id;
                    }
                    place += 1;
                    place
                };
                ids.iter().map(row).collect::<Vec<_>>()
            };
            inputs[0].chunks(tokens).flat_map(text).collect()
        }
    }
}

impl Op for Embedding {
    fn name(&self) -> StaticName {
        "Embedding".into()
    }

    op_as_typed_op!();
}

impl EvalOp for Embedding {
    op_out_of_plan!();

    fn eval(&self, _ctx: &EvalContext<'_>, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        ensure!(inputs.len() == self.inputs(), "expected {} inputs, got {}", self.inputs(), inputs.len());
        let shape = inputs[0].shape();
        let &[batch, tokens] = shape else { bail!("expected ids [batch, tokens], got {shape:?}") };
        ensure!(inputs.iter().all(|input| input.shape() == shape), "ids of several shapes: {inputs:?}");
        let given: Vec<&[i64]> = inputs.iter().map(|input| ids(input)).collect::<TractResult<_>>()?;
        let mut chosen = Vec::with_capacity(self.tables.len());
        for (table, lookup) in &self.tables {
            let rows = rows(*lookup, &given, tokens);
            let known = 0..table.rows() as i64;
            if let Some(stranger) = rows.iter().find(|row| !known.contains(row)) {
                bail!("an embedding table has {} rows, and {lookup:?} asks for row {stranger}", table.rows());
            }
            chosen.push((table.kernel(), rows));
        }
        let width = self.width();
        filled(&[batch, tokens, width], |out| {
            for (token, out) in out.chunks_exact_mut(width).enumerate() {
                for (table, (kernel, rows)) in chosen.iter().enumerate() {
                    add_row(Isa::current(), kernel, rows[token] as usize, table == 0, out);
                }
                if self.factor != 1.0 {
                    out.iter_mut().for_each(|x| *x *= self.factor);
                }
            }
        })
    }
}

impl TypedOp for Embedding {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        ensure!(inputs.len() == self.inputs(), "expected {} inputs, got {}", self.inputs(), inputs.len());
        for input in inputs {
            let fits = input.datum_type == i64::datum_type() && input.rank() == 2;
            ensure!(fits, "expected ids [batch, tokens], got {input:?}");
        }
        let shape = &inputs[0].shape;
        Ok(tvec!(f32::fact([shape[0].clone(), shape[1].clone(), self.width().to_dim()])))
    }

    as_op!();
}

pub(super) fn register(registry: &mut Registry) {
    registry.register_dumper(dump);
    registry.register_primitive(
        NAME,
        &[
            TypeName::Scalar.tensor().array().named("inputs").doc("ids"),
            TypeName::String.array().named("tables").doc("the labels of the tables"),
            TypeName::String.array().named("scales").doc("the labels of their rows' scales, empty for none"),
            TypeName::String
                .array()
                .named("lookups")
                .doc("input:N, sequential:N, non_padding:N or row:N for each table"),
            TypeName::String
                .array()
                .named("panels")
                .default(Literal::Array(Vec::new()))
                .doc("for each table FORMAT:ROWSxWIDTH if it is a linear layer's panels, else empty"),
            TypeName::Scalar.named("factor").default(1.0).doc("multiplies the sums"),
        ],
        &[("output", TypeName::Scalar.tensor())],
        load,
    );
}

fn dump(ast: &mut IntoAst<'_>, node: &TypedNode, op: &Embedding) -> TractResult<Option<Arc<RValue>>> {
    let inputs: Vec<RValue> = node.inputs.iter().map(|input| (*ast.mapping[input]).clone()).collect();
    let (mut tables, mut scales, mut lookups, mut panels) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (index, (table, lookup)) in op.tables.iter().enumerate() {
        let [values, terms] = table.dump(ast, &node.name, index)?;
        tables.push(values);
        scales.push(terms);
        panels.push(string(table.panels()));
        lookups.push(string(match lookup {
            Lookup::Input(input) => format!("input:{input}"),
            Lookup::Sequential { offset } => format!("sequential:{offset}"),
            Lookup::NonPadding { padding_id } => format!("non_padding:{padding_id}"),
            Lookup::Row(row) => format!("row:{row}"),
        }));
    }
    let mut named = vec![("tables", array(tables)), ("scales", array(scales)), ("lookups", array(lookups))];
    if op.tables.iter().any(|(table, _)| !table.panels().is_empty()) {
        named.push(("panels", array(panels)));
    }
    if op.factor != 1.0 {
        named.push(("factor", numeric(op.factor)));
    }
    Ok(Some(invocation(NAME, &[array(inputs).into()], &named)))
}

fn load(builder: &mut ModelBuilder<'_>, invocation: &ResolvedInvocation<'_>) -> TractResult<Value> {
    let inputs: TVec<OutletId> = invocation.named_arg_as(builder, "inputs")?;
    let labels: TVec<String> = invocation.named_arg_as(builder, "tables")?;
    let scales: TVec<String> = invocation.named_arg_as(builder, "scales")?;
    let lookups: TVec<String> = invocation.named_arg_as(builder, "lookups")?;
    let panels: TVec<String> = invocation.named_arg_as(builder, "panels")?;
    ensure!(labels.len() == scales.len() && labels.len() == lookups.len(), "as many tables as scales and lookups");
    let mut tables = Vec::with_capacity(labels.len());
    for (index, (label, lookup)) in labels.iter().zip(&lookups).enumerate() {
        let table = Table::load(builder, label, &scales[index], panels.get(index).map_or("", String::as_str))?;
        tables.push((table, parse(lookup).with_context(|| format!("{lookup:?} is no lookup"))?));
    }
    let op = Embedding::new(tables).map_err(|reason| format_err!("{reason}"))?;
    let factor: f32 = invocation.named_arg_as(builder, "factor")?;
    builder.wire(op.with_factor(factor), &inputs)
}

fn parse(lookup: &str) -> Option<Lookup> {
    let (kind, number) = lookup.split_once(':')?;
    Some(match kind {
        "input" => Lookup::Input(number.parse().ok().filter(|input| *input < 16)?),
        "sequential" => Lookup::Sequential { offset: number.parse().ok().filter(|offset| *offset < 1 << 32)? },
        "non_padding" => Lookup::NonPadding { padding_id: number.parse().ok()? },
        "row" => Lookup::Row(number.parse().ok()?),
        _ => return None,
    })
}
