//! Tensors from plain values and bytes, without trusting either.

use tract_core::ndarray::ArrayD;
use tract_core::prelude::{Datum, DatumType, Tensor};

/// A tensor from elements in row-major order.
///
/// # Errors
/// A reason, where their number is not that of the shape.
pub fn from_vec<T: Datum>(shape: &[usize], elements: Vec<T>) -> Result<Tensor, String> {
    ArrayD::from_shape_vec(shape, elements).map(Tensor::from).map_err(|error| error.to_string())
}

/// A tensor from its little-endian bytes.
///
/// # Errors
/// A reason, where their number is not that of the shape, or where one is no value of the type.
pub fn from_bytes(datum_type: DatumType, shape: &[usize], bytes: &[u8]) -> Result<Tensor, String> {
    if !datum_type.is_copy() {
        return Err(format!("elements of type {datum_type:?} have no fixed width"));
    }
    if datum_type == DatumType::Bool && bytes.iter().any(|&byte| byte > 1) {
        return Err("a BOOL is neither 0 nor 1".to_owned());
    }
    let expected = shape.iter().try_fold(datum_type.size_of(), |bytes, &size| bytes.checked_mul(size));
    if expected != Some(bytes.len()) {
        let expected = expected.map_or("more than memory holds".to_owned(), |bytes| bytes.to_string());
        return Err(format!("expected {expected} bytes for the shape {shape:?}, got {}", bytes.len()));
    }
    let mut tensor = Tensor::zero_dt(datum_type, shape).map_err(|error| error.to_string())?;
    tensor.as_bytes_mut().copy_from_slice(bytes);
    Ok(tensor)
}
