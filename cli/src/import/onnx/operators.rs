//! tract's ONNX operators, with ours in place of those it lacks or gets wrong.

use tract_onnx::Onnx;

/// tract's ONNX importer with our operators registered.
pub(super) fn framework() -> Onnx {
    tract_onnx::onnx().with_ignore_value_info(true).with_ignore_output_shapes(true)
}
