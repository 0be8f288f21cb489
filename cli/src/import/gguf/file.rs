//! The layout of a GGUF file: its settings by key, its tensors by name.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::blocks::Kind;
use super::error::GgufError;

const MAGIC: &[u8] = b"GGUF";
/// What tensors start on a multiple of where the file does not tell.
const ALIGNMENT: u64 = 32;
/// Arrays within arrays are not deeper than this.
const DEPTH: usize = 4;
/// More axes than these no tensor has.
const AXES: usize = 4;

/// A GGUF file that was read.
#[derive(Debug)]
pub(super) struct File<'a> {
    pub(super) path: PathBuf,
    bytes: &'a [u8],
    settings: BTreeMap<String, Value>,
    tensors: BTreeMap<String, Info>,
}

/// A value of a setting.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Whole(i128),
    Float(f64),
    Flag(bool),
    Text(String),
    List(Vec<Value>),
}

/// Where a tensor is.
#[derive(Clone, Debug)]
pub(super) struct Info {
    pub(super) kind: Kind,
    /// Outermost first.
    pub(super) shape: Vec<usize>,
    range: Range<usize>,
}

impl<'a> File<'a> {
    /// Reads all but the tensors' numbers.
    ///
    /// # Errors
    /// Bytes that are no GGUF file, or one that was cut off.
    pub(super) fn parse(path: &Path, bytes: &'a [u8]) -> Result<Self, GgufError> {
        let read = Reader { bytes, place: 0 }.file();
        let broken = |reason: String| GgufError::Broken { path: path.to_owned(), reason };
        let (settings, tensors) = read.map_err(broken)?;
        Ok(Self { path: path.to_owned(), bytes, settings, tensors })
    }

    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.settings.get(key)
    }

    pub(super) fn text(&self, key: &str) -> Option<&str> {
        match self.get(key) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    pub(super) fn list(&self, key: &str) -> Option<&[Value]> {
        match self.get(key) {
            Some(Value::List(list)) => Some(list),
            _ => None,
        }
    }

    pub(super) fn flag(&self, key: &str) -> Option<bool> {
        match self.get(key) {
            Some(Value::Flag(flag)) => Some(*flag),
            _ => None,
        }
    }

    pub(super) fn id(&self, key: &str) -> Option<u32> {
        match self.get(key) {
            Some(Value::Whole(id)) => u32::try_from(*id).ok(),
            _ => None,
        }
    }

    pub(super) fn tensor(&self, name: &str) -> Option<(&Info, &'a [u8])> {
        let info = self.tensors.get(name)?;
        Some((info, self.bytes.get(info.range.clone())?))
    }

    /// The name of every tensor.
    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        self.tensors.keys()
    }

    pub(super) fn broken(&self, reason: impl Into<String>) -> GgufError {
        GgufError::Broken { path: self.path.clone(), reason: reason.into() }
    }

    /// The error for a setting that is not as `expected`.
    pub(super) fn refuse(&self, key: &str, expected: impl Into<String>) -> GgufError {
        let got = self.get(key).map_or_else(|| "nothing".to_owned(), Value::shown);
        GgufError::Unsupported { path: self.path.clone(), key: key.to_owned(), got, expected: expected.into() }
    }
}

impl Value {
    pub(super) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn as_number(&self) -> Option<f64> {
        match self {
            Self::Float(number) => Some(*number),
            Self::Whole(number) => Some(*number as f64),
            _ => None,
        }
    }

    pub(super) fn as_whole(&self) -> Option<u64> {
        match self {
            Self::Whole(number) => u64::try_from(*number).ok(),
            _ => None,
        }
    }

    fn shown(&self) -> String {
        match self {
            Self::Whole(number) => number.to_string(),
            Self::Float(number) => number.to_string(),
            Self::Flag(flag) => flag.to_string(),
            Self::Text(text) => format!("{text:?}"),
            Self::List(list) => format!("a list of {}", list.len()),
        }
    }
}

type Contents = (BTreeMap<String, Value>, BTreeMap<String, Info>);

/// What remains to be read.
struct Reader<'a> {
    bytes: &'a [u8],
    place: usize,
}

impl<'a> Reader<'a> {
    fn file(&mut self) -> Result<Contents, String> {
        if self.take(4)? != MAGIC {
            return Err("it does not begin with GGUF".to_owned());
        }
        let version = self.u32()?;
        if !(2..=3).contains(&version) {
            return Err(match version.swap_bytes() {
                2..=3 => "it is in big-endian order, which is not supported".to_owned(),
                _ => format!("its version is {version}, expected 2 or 3"),
            });
        }
        let (tensors, settings) = (self.u64()?, self.u64()?);
        let mut read = BTreeMap::new();
        for _ in 0..settings {
            let key = self.text()?;
            let kind = self.u32()?;
            let value = self.value(kind, 0).map_err(|reason| format!("the setting {key}: {reason}"))?;
            read.insert(key, value);
        }
        let mut places = Vec::new();
        for _ in 0..tensors {
            places.push(self.info()?);
        }
        let alignment = match read.get("general.alignment") {
            None => ALIGNMENT,
            Some(value) => {
                let given = value.as_whole().filter(|alignment| (1..=1 << 20).contains(alignment));
                given.ok_or("general.alignment is no power of two")?
            }
        };
        let start = (self.place as u64).next_multiple_of(alignment);
        let mut found = BTreeMap::new();
        for (name, kind, shape, offset) in places {
            let bytes = kind.bytes(&shape).ok_or_else(|| format!("{name} has the shape {shape:?} in {kind:?}"))?;
            let from = start.checked_add(offset).and_then(|from| usize::try_from(from).ok());
            let range = from.and_then(|from| Some(from..from.checked_add(bytes)?));
            let range = range.filter(|range| range.end <= self.bytes.len());
            let range = range.ok_or_else(|| format!("the tensor {name} ends beyond the file, which was cut off"))?;
            found.insert(name, Info { kind, shape, range });
        }
        Ok((read, found))
    }

    fn info(&mut self) -> Result<(String, Kind, Vec<usize>, u64), String> {
        let name = self.text()?;
        let axes = self.u32()? as usize;
        if axes > AXES {
            return Err(format!("{name} has {axes} axes"));
        }
        let mut shape = Vec::new();
        for _ in 0..axes {
            shape.push(usize::try_from(self.u64()?).map_err(|_| format!("{name} is too large"))?);
        }
        shape.reverse();
        let kind = Kind::from_number(self.u32()?).map_err(|kind| {
            format!("the tensor {name} is of the type {kind}, which is not supported; expected {}", Kind::names())
        })?;
        Ok((name, kind, shape, self.u64()?))
    }

    fn value(&mut self, kind: u32, depth: usize) -> Result<Value, String> {
        Ok(match kind {
            0 => Value::Whole(self.array::<1>()?[0].into()),
            1 => Value::Whole(i8::from_le_bytes(self.array()?).into()),
            2 => Value::Whole(u16::from_le_bytes(self.array()?).into()),
            3 => Value::Whole(i16::from_le_bytes(self.array()?).into()),
            4 => Value::Whole(self.u32()?.into()),
            5 => Value::Whole(i32::from_le_bytes(self.array()?).into()),
            6 => Value::Float(f32::from_le_bytes(self.array()?).into()),
            7 => Value::Flag(self.array::<1>()?[0] != 0),
            8 => Value::Text(self.text()?),
            9 if depth < DEPTH => {
                let (kind, len) = (self.u32()?, self.u64()?);
                // Every element takes a byte at least.
                if len > (self.bytes.len() - self.place) as u64 {
                    return Err(format!("a list of {len} ends beyond the file, which was cut off"));
                }
                Value::List((0..len).map(|_| self.value(kind, depth + 1)).collect::<Result<_, _>>()?)
            }
            10 => Value::Whole(self.u64()?.into()),
            11 => Value::Whole(i64::from_le_bytes(self.array()?).into()),
            12 => Value::Float(f64::from_le_bytes(self.array()?)),
            _ => return Err(format!("a value of the unknown type {kind}")),
        })
    }

    fn text(&mut self) -> Result<String, String> {
        let len = self.u64()?;
        let bytes = self.take(usize::try_from(len).map_err(|_| "a text is too long".to_owned())?)?;
        // A token may be half a character.
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }

    fn u32(&mut self) -> Result<u32, String> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, String> {
        self.array().map(u64::from_le_bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        self.take(N)?.try_into().map_err(|_| "it was cut off".to_owned())
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], String> {
        let end = self.place.checked_add(len);
        let taken = end.and_then(|end| self.bytes.get(self.place..end));
        let taken = taken.ok_or_else(|| format!("it was cut off after {} bytes", self.bytes.len()))?;
        self.place += len;
        Ok(taken)
    }
}
