//! Element types, with their names in the Open Inference Protocol, in safetensors and in tract.

use serde::{Deserialize, Serialize};
use tract_core::prelude::DatumType;

/// The type of a tensor's elements, named as the Open Inference Protocol v2 names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs)]
pub enum Dtype {
    Bool,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
    Int8,
    Int16,
    Int32,
    Int64,
    Fp16,
    Fp32,
    Fp64,
    /// Text or bytes of any length per element.
    Bytes,
}

impl Dtype {
    /// Every type, in the protocol's order.
    pub const ALL: [Self; 13] = [
        Self::Bool,
        Self::Uint8,
        Self::Uint16,
        Self::Uint32,
        Self::Uint64,
        Self::Int8,
        Self::Int16,
        Self::Int32,
        Self::Int64,
        Self::Fp16,
        Self::Fp32,
        Self::Fp64,
        Self::Bytes,
    ];

    /// The name in the Open Inference Protocol: `FP32`, `BYTES`, …
    pub fn name(self) -> &'static str {
        match self {
            Self::Bool => "BOOL",
            Self::Uint8 => "UINT8",
            Self::Uint16 => "UINT16",
            Self::Uint32 => "UINT32",
            Self::Uint64 => "UINT64",
            Self::Int8 => "INT8",
            Self::Int16 => "INT16",
            Self::Int32 => "INT32",
            Self::Int64 => "INT64",
            Self::Fp16 => "FP16",
            Self::Fp32 => "FP32",
            Self::Fp64 => "FP64",
            Self::Bytes => "BYTES",
        }
    }

    /// The type with this name in the Open Inference Protocol.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dtype| dtype.name() == name)
    }

    /// tract's type for it.
    pub fn datum_type(self) -> DatumType {
        match self {
            Self::Bool => DatumType::Bool,
            Self::Uint8 => DatumType::U8,
            Self::Uint16 => DatumType::U16,
            Self::Uint32 => DatumType::U32,
            Self::Uint64 => DatumType::U64,
            Self::Int8 => DatumType::I8,
            Self::Int16 => DatumType::I16,
            Self::Int32 => DatumType::I32,
            Self::Int64 => DatumType::I64,
            Self::Fp16 => DatumType::F16,
            Self::Fp32 => DatumType::F32,
            Self::Fp64 => DatumType::F64,
            Self::Bytes => DatumType::String,
        }
    }

    /// The type for one of tract's, where there is one: symbolic dimensions count as `INT64`.
    pub fn from_datum_type(datum_type: DatumType) -> Option<Self> {
        match datum_type.unquantized() {
            DatumType::TDim => Some(Self::Int64),
            plain => Self::ALL.into_iter().find(|dtype| dtype.datum_type() == plain),
        }
    }

    /// The safetensors type that holds it; `None` for [`Dtype::Bytes`], which has no fixed width.
    pub fn safetensors(self) -> Option<safetensors::Dtype> {
        use safetensors::Dtype as St;
        Some(match self {
            Self::Bool => St::BOOL,
            Self::Uint8 => St::U8,
            Self::Uint16 => St::U16,
            Self::Uint32 => St::U32,
            Self::Uint64 => St::U64,
            Self::Int8 => St::I8,
            Self::Int16 => St::I16,
            Self::Int32 => St::I32,
            Self::Int64 => St::I64,
            Self::Fp16 => St::F16,
            Self::Fp32 => St::F32,
            Self::Fp64 => St::F64,
            Self::Bytes => return None,
        })
    }

    /// The type that a safetensors type holds, where a tensor may have it.
    pub fn from_safetensors(dtype: safetensors::Dtype) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.safetensors() == Some(dtype))
    }
}

impl std::fmt::Display for Dtype {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_found_again_by_each_of_its_names() {
        for dtype in Dtype::ALL {
            assert_eq!(Dtype::from_name(dtype.name()), Some(dtype));
            assert_eq!(Dtype::from_datum_type(dtype.datum_type()), Some(dtype));
            assert_eq!(serde_json::to_value(dtype).unwrap(), dtype.name());
        }
    }
}
