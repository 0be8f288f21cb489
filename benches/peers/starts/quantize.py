"""Quantizes an ONNX file with onnxruntime as its users do: int8, per channel. Called with the file and what to write."""

import sys

from onnxruntime.quantization import QuantType, quantize_dynamic

source, output = sys.argv[1:]
quantize_dynamic(source, output, per_channel=True, weight_type=QuantType.QInt8)
