//! A table of an embedding: rows of its own, or the panels of a linear layer.

use emberlite_kernels::linear::pack::quantize;
use emberlite_kernels::{Isa, Rows, Values, add_row, nibbles};
use tract_nnef::internal::*;

use crate::ops::linear::{Linear, WeightFormat, kernel_weights};
use crate::ops::weights::Weights;

/// A table of rows: `[rows, width]` as `f32`, `f16` or `int8`; for `int8` each row has a scale. In 4 bits it is `u8`
/// `[rows, width / 2]`, and each 128 numbers of a row have a scale, `f16`; see [`nibbles`]. Or the weights of a linear
/// layer, a row for each of its outputs, in its panels and with its terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    values: Weights,
    scales: Option<Weights>,
    tied: Option<Tied>,
}

/// What the panels of a linear layer are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tied {
    format: WeightFormat,
    rows: usize,
    width: usize,
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
        Ok(Self { values: Weights::owned(&[rows, width], values.to_vec()), scales: None, tied: None })
    }

    /// The rows that a layer's weights are, one for each output: an embedding that is tied to it. They share their memory,
    /// and a package holds them once.
    pub fn tied(layer: &Linear) -> Self {
        let (values, terms) = layer.parts();
        let tied = Tied { format: layer.format(), rows: layer.outputs(), width: layer.inputs() };
        Self { values, scales: Some(terms), tied: Some(tied) }
    }

    /// Whether it is the weights of a linear layer.
    pub fn is_tied(&self) -> bool {
        self.tied.is_some()
    }

    /// The same table in another format, made from its present numbers and tied to no layer.
    ///
    /// # Errors
    /// bfloat16, which no table of its own has, and 4 bits for rows of an odd length.
    pub fn with_format(&self, format: WeightFormat) -> Result<Self, String> {
        let (shape, dense) = ([self.rows(), self.width()], self.dense());
        let (values, scales) = match format {
            WeightFormat::F32 => (Weights::owned(&shape, dense), None),
            WeightFormat::F16 => {
                (Weights::halves(&shape, dense.into_iter().map(|x| f16::from_f32(x).to_bits()).collect()), None)
            }
            WeightFormat::Q4 if self.width().is_multiple_of(2) => {
                let nibbles::Nibbles { values, scales } = nibbles::round(&dense, self.width());
                let blocks = [shape[0], self.width().div_ceil(nibbles::BLOCK)];
                let values = Weights::owned(&[shape[0], self.width() / 2], values);
                (values, Some(Weights::halves(&blocks, scales)))
            }
            WeightFormat::Bf16 | WeightFormat::Q4 => {
                return Err(format!("a table of rows of {} has no form in {format:?}", self.width()));
            }
            WeightFormat::Int8 => {
                let rows: Vec<_> = dense.chunks_exact(self.width()).map(quantize).collect();
                let scales: Vec<f32> = rows.iter().map(|(scale, _)| *scale).collect();
                let values: Vec<i8> = rows.into_iter().flat_map(|(_, row)| row).collect();
                (Weights::owned(&shape, values), Some(Weights::owned(&[shape[0]], scales)))
            }
        };
        Ok(Self { values, scales, tied: None })
    }

    /// How the numbers are written down.
    pub fn format(&self) -> WeightFormat {
        if let Some(tied) = self.tied {
            return tied.format;
        }
        match self.values.datum_type() {
            DatumType::I8 => WeightFormat::Int8,
            DatumType::U8 => WeightFormat::Q4,
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
        self.tied.map_or_else(|| self.values.shape().first().copied().unwrap_or(0), |tied| tied.rows)
    }

    /// How long a row is.
    pub fn width(&self) -> usize {
        let own = || {
            let numbers = if self.values.datum_type() == DatumType::U8 { 2 } else { 1 };
            numbers * self.values.shape().get(1).copied().unwrap_or(0)
        };
        self.tied.map_or_else(own, |tied| tied.width)
    }

    /// How many bytes the numbers have, where no layer has them already.
    pub fn size_bytes(&self) -> usize {
        if self.is_tied() {
            return 0;
        }
        self.values.bytes().len() + self.scales.as_ref().map_or(0, |scales| scales.bytes().len())
    }

    pub(super) fn kernel(&self) -> Rows<'_> {
        if let (Some(Tied { format, rows, width }), Some(terms)) = (self.tied, &self.scales) {
            let weights = kernel_weights(format, &self.values, terms, rows);
            return Rows { width, values: Values::Panels { weights, outputs: rows } };
        }
        let values = match self.format() {
            WeightFormat::Int8 => {
                Values::Int8(self.values.values(), self.scales.as_ref().map_or(&[], |scales| scales.values()))
            }
            WeightFormat::F16 => Values::F16(self.values.bits()),
            WeightFormat::Q4 => Values::Q4(self.values.values(), self.scales.as_ref().map_or(&[], Weights::bits)),
            WeightFormat::F32 | WeightFormat::Bf16 => Values::F32(self.values.values()),
        };
        Rows { width: self.width(), values }
    }

    fn is_whole(&self) -> bool {
        let counted = self.width() > 0 && self.kernel().count() == self.rows();
        match self.tied {
            Some(_) => counted,
            None => {
                counted
                    && self.values.shape().len() == 2
                    && match self.values.datum_type() {
                        DatumType::F32 | DatumType::F16 => self.scales.is_none(),
                        DatumType::I8 => self.scales.is_some(),
                        DatumType::U8 => {
                            self.scales.as_ref().is_some_and(|scales| scales.datum_type() == DatumType::F16)
                        }
                        _ => false,
                    }
            }
        }
    }

    /// `FORMAT:ROWSxWIDTH` for a layer's panels, else empty.
    pub(super) fn panels(&self) -> String {
        self.tied.map_or_else(String::new, |Tied { format, rows, width }| {
            let format = serde_json::to_value(format).ok();
            let format = format.as_ref().and_then(|format| format.as_str()).unwrap_or_default();
            format!("{format}:{rows}x{width}")
        })
    }

    /// Notes the numbers for the package; answers the labels of values and scales.
    pub(super) fn dump(&self, ast: &mut IntoAst<'_>, node: &str, index: usize) -> TractResult<[RValue; 2]> {
        let values = self.values.dump(ast, format!("{node}.table_{index}"))?;
        let scales = match &self.scales {
            Some(scales) => scales.dump(ast, format!("{node}.scales_{index}"))?,
            None => string(""),
        };
        Ok([values, scales])
    }

    /// The table with these labels.
    ///
    /// # Errors
    /// Labels that the package does not know, or that are no such table.
    pub(super) fn load(builder: &ModelBuilder<'_>, values: &str, scales: &str, panels: &str) -> TractResult<Self> {
        let tied = match panels {
            "" => None,
            panels => Some(parse(panels).with_context(|| format!("{panels:?} are no panels"))?),
        };
        let label = values;
        let scales = if scales.is_empty() { None } else { Some(Weights::load(builder, scales)?) };
        let table = Self { values: Weights::load(builder, values)?, scales, tied };
        ensure!(table.is_whole(), "{label:?} is no table: {table:?}");
        Ok(table)
    }
}

fn parse(panels: &str) -> Option<Tied> {
    let (format, sizes) = panels.split_once(':')?;
    let (rows, width) = sizes.split_once('x')?;
    let size = |text: &str| text.parse().ok().filter(|size| (1..=1 << 31).contains(size));
    Some(Tied { format: serde_json::from_value(format.into()).ok()?, rows: size(rows)?, width: size(width)? })
}
