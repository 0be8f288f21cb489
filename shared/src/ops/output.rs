//! Tensors that operators read and write, as slices.

use tract_nnef::internal::*;

/// The numbers of an input.
pub(super) fn floats(tensor: &Tensor) -> TractResult<&[f32]> {
    slice(tensor)
}

/// The ids of an input.
pub(super) fn ids(tensor: &Tensor) -> TractResult<&[i64]> {
    slice(tensor)
}

fn slice<T: Datum>(tensor: &Tensor) -> TractResult<&[T]> {
    tensor.try_as_plain_ram()?.as_slice::<T>()
}

/// A tensor of this shape that `fill` writes every element of.
#[allow(unsafe_code)]
pub(super) fn filled(shape: &[usize], fill: impl FnOnce(&mut [f32])) -> TractResult<TVec<TValue>> {
    // SAFETY: every kernel that is given the slice writes each element of it and reads none before.
    let mut tensor = unsafe { Tensor::uninitialized::<f32>(shape)? };
    fill(tensor.try_as_plain_ram_mut()?.as_slice_mut::<f32>()?);
    Ok(tvec!(tensor.into_tvalue()))
}
