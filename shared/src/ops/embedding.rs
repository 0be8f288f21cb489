//! `emberlite_embedding`: rows of embedding tables, added up.

use emberlite_kernels::linear::pack::quantize;
use emberlite_kernels::{Isa, Rows, Values, add_row};
use tract_nnef::internal::*;
use tract_nnef::ser::array;

use super::WeightFormat;
use super::output::{filled, ids};
use super::weights::Weights;

const NAME: &str = "emberlite_embedding";

/// A table of rows: `[rows, width]` as `f32`, `f16` or `int8`; for `int8` each row has a scale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    values: Weights,
    scales: Option<Weights>,
}

impl Table {
    /// A table in single precision, row after row.
    ///
    /// # Errors
    /// A length that is not what the sizes say.
    pub fn new(values: &[f32], rows: usize, width: usize) -> Result<Self, String> {
        if width == 0 || Some(values.len()) != rows.checked_mul(width) {
            return Err(format!("{} numbers are no table of {rows} rows of {width}", values.len()));
        }
        Ok(Self { values: Weights::owned(&[rows, width], values.to_vec()), scales: None })
    }

    /// The same table in another format, made from its present numbers.
    ///
    /// # Errors
    /// bfloat16, which no table has.
    pub fn with_format(&self, format: WeightFormat) -> Result<Self, String> {
        let (shape, dense) = ([self.rows(), self.width()], self.dense());
        let (values, scales) = match format {
            WeightFormat::F32 => (Weights::owned(&shape, dense), None),
            WeightFormat::F16 => {
                (Weights::halves(&shape, dense.into_iter().map(|x| f16::from_f32(x).to_bits()).collect()), None)
            }
            WeightFormat::Bf16 => return Err("a table has no form in bf16: expected f32, f16 or int8".to_owned()),
            WeightFormat::Int8 => {
                let rows: Vec<_> = dense.chunks_exact(self.width()).map(quantize).collect();
                let scales: Vec<f32> = rows.iter().map(|(scale, _)| *scale).collect();
                let values: Vec<i8> = rows.into_iter().flat_map(|(_, row)| row).collect();
                (Weights::owned(&shape, values), Some(Weights::owned(&[shape[0]], scales)))
            }
        };
        Ok(Self { values, scales })
    }

    /// How the numbers are written down.
    pub fn format(&self) -> WeightFormat {
        match self.values.datum_type() {
            DatumType::I8 => WeightFormat::Int8,
            DatumType::F16 => WeightFormat::F16,
            _ => WeightFormat::F32,
        }
    }

    /// The numbers, row after row.
    pub fn dense(&self) -> Vec<f32> {
        let table = self.kernel();
        let mut dense = vec![0.0; self.rows() * self.width()];
        for (row, out) in dense.chunks_exact_mut(self.width()).enumerate() {
            add_row(Isa::Portable, &table, row, true, out);
        }
        dense
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.values.shape().first().copied().unwrap_or(0)
    }

    /// How long a row is.
    pub fn width(&self) -> usize {
        self.values.shape().get(1).copied().unwrap_or(0)
    }

    /// How many bytes the numbers have.
    pub fn size_bytes(&self) -> usize {
        self.values.bytes().len() + self.scales.as_ref().map_or(0, |scales| scales.bytes().len())
    }

    fn kernel(&self) -> Rows<'_> {
        let values = match self.format() {
            WeightFormat::Int8 => {
                Values::Int8(self.values.values(), self.scales.as_ref().map_or(&[], |scales| scales.values()))
            }
            WeightFormat::F16 => Values::F16(self.values.bits()),
            WeightFormat::F32 | WeightFormat::Bf16 => Values::F32(self.values.values()),
        };
        Rows { width: self.width(), values }
    }

    fn is_whole(&self) -> bool {
        self.values.shape().len() == 2
            && self.width() > 0
            && self.kernel().count() == self.rows()
            && matches!(self.values.datum_type(), DatumType::F32 | DatumType::F16 | DatumType::I8)
            && (self.format() == WeightFormat::Int8) == self.scales.is_some()
    }
}

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

/// The sum of rows of tables, one of each table for every token.
///
/// Inputs: ids, `i64` `[batch, tokens]`, as many as the lookups name. Output: `f32` `[batch, tokens, width]`. An id
/// without a row is an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Embedding {
    tables: Vec<(Table, Lookup)>,
}

impl Embedding {
    /// The sum of these tables' rows.
    ///
    /// # Errors
    /// No table, or tables whose widths differ.
    pub fn new(tables: Vec<(Table, Lookup)>) -> Result<Self, String> {
        let width = tables.first().map(|(table, _)| table.width()).ok_or("an embedding without a table")?;
        match tables.iter().find(|(table, _)| table.width() != width) {
            Some((other, _)) => Err(format!("a table is {width} wide, another {}", other.width())),
            None => Ok(Self { tables }),
        }
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
        ],
        &[("output", TypeName::Scalar.tensor())],
        load,
    );
}

fn dump(ast: &mut IntoAst<'_>, node: &TypedNode, op: &Embedding) -> TractResult<Option<Arc<RValue>>> {
    let inputs: Vec<RValue> = node.inputs.iter().map(|input| (*ast.mapping[input]).clone()).collect();
    let (mut tables, mut scales, mut lookups) = (Vec::new(), Vec::new(), Vec::new());
    for (index, (table, lookup)) in op.tables.iter().enumerate() {
        tables.push(table.values.dump(ast, format!("{}.table_{index}", node.name))?);
        scales.push(match &table.scales {
            Some(weights) => weights.dump(ast, format!("{}.scales_{index}", node.name))?,
            None => string(""),
        });
        lookups.push(string(match lookup {
            Lookup::Input(input) => format!("input:{input}"),
            Lookup::Sequential { offset } => format!("sequential:{offset}"),
            Lookup::NonPadding { padding_id } => format!("non_padding:{padding_id}"),
            Lookup::Row(row) => format!("row:{row}"),
        }));
    }
    let named = [("tables", array(tables)), ("scales", array(scales)), ("lookups", array(lookups))];
    Ok(Some(invocation(NAME, &[array(inputs).into()], &named)))
}

fn load(builder: &mut ModelBuilder<'_>, invocation: &ResolvedInvocation<'_>) -> TractResult<Value> {
    let inputs: TVec<OutletId> = invocation.named_arg_as(builder, "inputs")?;
    let labels: TVec<String> = invocation.named_arg_as(builder, "tables")?;
    let scales: TVec<String> = invocation.named_arg_as(builder, "scales")?;
    let lookups: TVec<String> = invocation.named_arg_as(builder, "lookups")?;
    ensure!(labels.len() == scales.len() && labels.len() == lookups.len(), "as many tables as scales and lookups");
    let mut tables = Vec::with_capacity(labels.len());
    for ((label, scales), lookup) in labels.iter().zip(&scales).zip(&lookups) {
        let scales = if scales.is_empty() { None } else { Some(Weights::load(builder, scales)?) };
        let table = Table { values: Weights::load(builder, label)?, scales };
        ensure!(table.is_whole(), "{label:?} is no table: {table:?}");
        tables.push((table, parse(lookup).with_context(|| format!("{lookup:?} is no lookup"))?));
    }
    let op = Embedding::new(tables).map_err(|reason| format_err!("{reason}"))?;
    builder.wire(op, &inputs)
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
