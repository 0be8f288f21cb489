"""torch's two exporters, and what a file keeps of what they write."""

import hashlib
import pathlib

import numpy as np
import onnx
import torch
from onnx import external_data_helper, numpy_helper

# Tensors from this size on are kept beside the graphs, once for all that share them.
SHARED_BYTES = 1024


class Plain(torch.nn.Module):
    """A model that takes its inputs in order and gives the outputs named, in order."""

    def __init__(self, model: torch.nn.Module, inputs: list[str], outputs: list[str]):
        super().__init__()
        self.model, self.inputs, self.outputs = model, inputs, outputs

    def forward(self, *inputs):
        found = self.model(**dict(zip(self.inputs, inputs)))
        return tuple(getattr(found, name) for name in self.outputs)


def legacy(model, made: dict, outputs: list[str], opset: int, path: pathlib.Path, training: bool = False) -> None:
    """`torch.onnx.export(dynamo=False)`, as most files on the hub were made."""
    axes = {name: {0: "batch_size", 1: "sequence_length"} for name in made}
    axes |= {name: {0: "batch_size", 1: "sequence_length"} for name in outputs if name == "last_hidden_state"}
    axes |= {name: {0: "batch_size"} for name in outputs if name != "last_hidden_state"}
    mode = torch.onnx.TrainingMode.TRAINING if training else torch.onnx.TrainingMode.EVAL
    torch.onnx.export(
        Plain(model, list(made), outputs).train(training), tuple(made.values()), str(path), input_names=list(made),
        output_names=outputs, dynamic_axes=axes, opset_version=opset, training=mode,
        do_constant_folding=not training, dynamo=False,
    )


def dynamo(model, made: dict, outputs: list[str], opset: int, path: pathlib.Path) -> None:
    """`torch.onnx.export(dynamo=True)`, what torch does unless told otherwise."""
    # A dimension of its own for every use of it keeps one file from depending on the order that files are made in.
    dynamic = {0: torch.export.Dim("batch", min=1), 1: torch.export.Dim("sequence", min=1)}
    program = torch.onnx.export(
        Plain(model, list(made), outputs), tuple(made.values()), input_names=list(made), output_names=outputs,
        dynamic_shapes=(tuple(dynamic for _ in made),), opset_version=opset, dynamo=True, verbose=False,
    )
    program.save(str(path), external_data=False)


def keep(proto: onnx.ModelProto, path: pathlib.Path, shared: dict[bytes, np.ndarray], inline: bool) -> None:
    """Writes `proto` without what is only told for the reader; unless `inline`, its large tensors go to `shared`."""
    proto.ClearField("metadata_props")
    strip(proto.graph)
    for function in proto.functions:
        function.ClearField("metadata_props")
    if not inline:
        for tensor in tensors(proto.graph):
            if len(tensor.raw_data) >= SHARED_BYTES:
                shared.setdefault(hashlib.blake2b(tensor.raw_data).digest(), tensor.raw_data)
                external_data_helper.set_external_data(tensor, "weights.bin", length=len(tensor.raw_data))
                tensor.external_data.add(key="digest", value=hashlib.blake2b(tensor.raw_data).hexdigest())
                tensor.ClearField("raw_data")
    path.write_bytes(proto.SerializeToString())


def strip(graph: onnx.GraphProto) -> None:
    graph.ClearField("doc_string")
    graph.ClearField("metadata_props")
    for part in [*graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer]:
        part.ClearField("doc_string")
        part.ClearField("metadata_props")
    for tensor in graph.initializer:
        if not tensor.raw_data and tensor.data_type != onnx.TensorProto.STRING:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor), tensor.name))
    for node in graph.node:
        for attribute in node.attribute:
            attribute.ClearField("doc_string")
            if attribute.HasField("g"):
                strip(attribute.g)


def tensors(graph: onnx.GraphProto):
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            if attribute.HasField("g"):
                yield from tensors(attribute.g)


def place(folder: pathlib.Path, shared: dict[bytes, bytes]) -> None:
    """Writes `weights.bin`, and tells every graph in `folder` where in it each of its tensors is."""
    offsets, position = {}, 0
    with (folder / "weights.bin").open("wb") as file:
        for digest, data in sorted(shared.items()):
            offsets[digest.hex()] = position
            file.write(data)
            position += len(data)
    for path in folder.glob("*.onnx"):
        proto = onnx.load(path, load_external_data=False)
        for tensor in tensors(proto.graph):
            entries = {entry.key: entry.value for entry in tensor.external_data}
            if "digest" in entries:
                offset, length = offsets[entries["digest"]], int(entries["length"])
                tensor.ClearField("external_data")
                for key, value in [("location", "weights.bin"), ("offset", offset), ("length", length)]:
                    tensor.external_data.add(key=key, value=str(value))
        path.write_bytes(proto.SerializeToString())
