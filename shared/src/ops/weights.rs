//! The weights of our operators: bytes that lie in the package, or in memory of their own while a model is packed.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use tract_nnef::internal::*;
use tract_nnef::resource::Resource;

/// Where a graph's weights are while it is read.
const RESOURCE: &str = "emberlite_weights";
/// Where the labels of those that were written are, while a graph is written.
const WRITTEN: &str = "emberlite_written";

/// Memory that outlives whoever borrows from it.
pub type Memory = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// Some weights of an operator: a type, a shape, and bytes that somebody else may hold.
#[derive(Clone)]
pub struct Weights {
    datum_type: DatumType,
    shape: TVec<usize>,
    memory: Memory,
    range: Range<usize>,
}

impl Weights {
    /// Weights within `memory`, little-endian in row-major order.
    ///
    /// # Errors
    /// A range that is not within the memory, has not the size that type and shape say, or is not aligned for the type.
    pub fn borrowed(
        datum_type: DatumType,
        shape: &[usize],
        memory: Memory,
        range: Range<usize>,
    ) -> Result<Self, String> {
        let expected = shape.iter().try_fold(datum_type.size_of(), |bytes, &size| bytes.checked_mul(size));
        let bytes = (*memory).as_ref().get(range.clone()).ok_or("they are not within the package")?;
        if !datum_type.is_copy() || expected != Some(bytes.len()) {
            return Err(format!("{} bytes are no {datum_type:?} of the shape {shape:?}", bytes.len()));
        }
        if !bytes.is_empty() && !(bytes.as_ptr() as usize).is_multiple_of(datum_type.size_of()) {
            return Err(format!("they are not aligned for {datum_type:?}"));
        }
        Ok(Self { datum_type, shape: shape.into(), memory, range })
    }

    /// Weights in memory of their own.
    pub fn owned<T: Datum + bytemuck::NoUninit + Send + Sync>(shape: &[usize], values: Vec<T>) -> Self {
        debug_assert_eq!(shape.iter().product::<usize>(), values.len());
        let range = 0..size_of_val(values.as_slice());
        Self { datum_type: T::datum_type(), shape: shape.into(), memory: Arc::new(Values(values)), range }
    }

    /// Half-precision weights, given as bits, in memory of their own.
    pub(super) fn halves(shape: &[usize], bits: Vec<u16>) -> Self {
        Self { datum_type: DatumType::F16, ..Self::owned(shape, bits) }
    }

    /// The type of the elements.
    pub fn datum_type(&self) -> DatumType {
        self.datum_type
    }

    /// The shape.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        (*self.memory).as_ref().get(self.range.clone()).unwrap_or_default()
    }

    /// The elements; none if they are of another type.
    pub fn values<T: Datum + bytemuck::AnyBitPattern>(&self) -> &[T] {
        if T::datum_type() != self.datum_type {
            return &[];
        }
        bytemuck::try_cast_slice(self.bytes()).unwrap_or_default()
    }

    /// The bits of elements of 16; none if they have another size.
    pub fn bits(&self) -> &[u16] {
        if self.datum_type.size_of() != size_of::<u16>() {
            return &[];
        }
        bytemuck::try_cast_slice(self.bytes()).unwrap_or_default()
    }

    /// Notes the weights under `label`, for the package, and gives the label they got: operators that share their memory
    /// share a label, the first's.
    pub(super) fn dump(&self, ast: &mut IntoAst<'_>, label: String) -> TractResult<RValue> {
        self.dump_as(ast, label, self.tensor()?)
    }

    /// As [`dump`](Self::dump), where the package has them in another form, `tensor`.
    pub(super) fn dump_as(&self, ast: &mut IntoAst<'_>, label: String, tensor: Tensor) -> TractResult<RValue> {
        let written = ast.resources.entry(WRITTEN.to_owned()).or_insert_with(|| Arc::new(Written::default())).clone();
        let written = written.downcast_ref::<Written>().context("another resource has the name of our weights")?;
        let mut labels = written.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (self.bytes().as_ptr() as usize, self.bytes().len());
        if let Some(label) = labels.get(&key).filter(|_| key.1 > 0) {
            return Ok(string(label));
        }
        ensure!(
            ast.tensors.insert(Identifier(label.clone()), tensor.into()).is_none(),
            "two weights are called {label}"
        );
        labels.insert(key, label.clone());
        Ok(string(label))
    }

    fn tensor(&self) -> TractResult<Tensor> {
        let mut tensor = Tensor::zero_dt(self.datum_type, &self.shape)?;
        tensor.as_bytes_mut().copy_from_slice(self.bytes());
        Ok(tensor)
    }

    /// The weights that the graph which is being read calls so.
    pub(super) fn load(builder: &ModelBuilder<'_>, label: &str) -> TractResult<Self> {
        let library =
            builder.proto_model.resources.get(RESOURCE).and_then(|resource| resource.downcast_ref::<Library>());
        let weights = library.and_then(|library| library.0.get(label));
        weights.cloned().with_context(|| format!("the package has no weights called {label:?}"))
    }
}

/// A vector as bytes.
struct Values<T>(Vec<T>);

impl<T: bytemuck::NoUninit> AsRef<[u8]> for Values<T> {
    fn as_ref(&self) -> &[u8] {
        bytemuck::cast_slice(&self.0)
    }
}

impl PartialEq for Weights {
    fn eq(&self, other: &Self) -> bool {
        let same = Arc::ptr_eq(&self.memory, &other.memory) && self.range == other.range;
        self.datum_type == other.datum_type && self.shape == other.shape && (same || self.bytes() == other.bytes())
    }
}

impl Eq for Weights {}

impl fmt::Debug for Weights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {:?}", self.datum_type, self.shape)
    }
}

/// The labels of the weights that a graph has noted so far, by where they lie in memory.
#[derive(Debug, Default)]
struct Written(Mutex<HashMap<(usize, usize), String>>);

impl Resource for Written {}

/// What a graph's operators find their weights in, by label.
#[derive(Debug, Default)]
struct Library(HashMap<String, Weights>);

impl Resource for Library {}

/// The entry of a graph's resources that our operators find their weights in.
pub fn library(weights: HashMap<String, Weights>) -> (String, Arc<dyn Resource>) {
    (RESOURCE.to_owned(), Arc::new(Library(weights)))
}
