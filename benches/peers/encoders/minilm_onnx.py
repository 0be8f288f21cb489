"""all-MiniLM-L6-v2 as an ONNX file, from its Hugging Face folder, without torch.

The graph is BERT's as torch's exporter writes it at opset 17, in the form that onnxruntime's optimizer fuses best:
inputs `input_ids`, `attention_mask`, `token_type_ids`, INT64 `[batch, tokens]`; output `last_hidden_state`, `f32`
`[batch, tokens, width]`.
"""

import json
import math
import pathlib
import struct
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17


def read_safetensors(path: pathlib.Path) -> dict[str, np.ndarray]:
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    kinds = {"F32": np.float32, "F16": np.float16, "I64": np.int64}
    tensors = {}
    for name, entry in header.items():
        start, end = (8 + length + offset for offset in entry["data_offsets"])
        tensors[name] = np.frombuffer(data[start:end], kinds[entry["dtype"]]).reshape(entry["shape"])
    return tensors


class Graph:
    """Nodes in their order, and the constants that they read."""

    def __init__(self):
        self.nodes, self.constants = [], []

    def constant(self, name, value):
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def number(self, name, value):
        return self.constant(name, np.array(value, np.float32))

    def node(self, kind, inputs, name, **attributes):
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name


class Bert:
    def __init__(self, folder: pathlib.Path):
        self.config = json.loads((folder / "config.json").read_text())
        self.weights = read_safetensors(folder / "model.safetensors")
        self.graph = Graph()

    def weight(self, name):
        return self.graph.constant(name, self.weights[name].astype(np.float32))

    def linear(self, x, name):
        weight = self.graph.constant(f"{name}.matrix", self.weights[f"{name}.weight"].astype(np.float32).T)
        product = self.graph.node("MatMul", [x, weight], f"{name}/MatMul")
        return self.graph.node("Add", [product, self.weight(f"{name}.bias")], f"{name}/Add")

    def norm(self, x, name):
        inputs = [x, self.weight(f"{name}.weight"), self.weight(f"{name}.bias")]
        epsilon = self.config["layer_norm_eps"]
        return self.graph.node("LayerNormalization", inputs, f"{name}/Norm", axis=-1, epsilon=epsilon)

    def embeddings(self):
        graph = self.graph
        row = lambda table, ids, name: graph.node("Gather", [self.weight(f"embeddings.{table}.weight"), ids], name)
        words = row("word_embeddings", "input_ids", "words")
        types = row("token_type_embeddings", "token_type_ids", "types")
        shape = graph.node("Shape", ["input_ids"], "shape")
        tokens = graph.node("Gather", [shape, graph.constant("second", np.array([1]))], "length", axis=0)
        places = graph.constant("places", np.arange(self.config["max_position_embeddings"])[None])
        edges = [graph.constant("begin", np.array([0])), tokens, graph.constant("axis1", np.array([1]))]
        places = graph.node("Slice", [places, *edges], "positions")
        positions = row("position_embeddings", places, "places_rows")
        total = graph.node("Add", [graph.node("Add", [words, types], "words_types"), positions], "embedded")
        return self.norm(total, "embeddings.LayerNorm")

    def mask(self):
        graph = self.graph
        wide = graph.node("Unsqueeze", ["attention_mask", graph.constant("axes", np.array([1, 2]))], "wide_mask")
        wide = graph.node("Cast", [wide], "mask_floats", to=TensorProto.FLOAT)
        hidden = graph.node("Sub", [graph.number("all", 1.0), wide], "hidden_tokens")
        return graph.node("Mul", [hidden, graph.number("lowest", float(np.finfo(np.float32).min))], "mask")

    def attention(self, x, mask, name):
        graph, heads = self.graph, self.config["num_attention_heads"]
        width = self.config["hidden_size"] // heads
        split = graph.constant(f"{name}.split", np.array([0, 0, heads, width]))
        whole = graph.constant(f"{name}.whole", np.array([0, 0, heads * width]))
        part = lambda kind: graph.node("Reshape", [self.linear(x, f"{name}.self.{kind}"), split], f"{name}/{kind}")
        turn = lambda kind, order: graph.node("Transpose", [part(kind)], f"{name}/{kind}_turned", perm=order)
        query, value, key = turn("query", [0, 2, 1, 3]), turn("value", [0, 2, 1, 3]), turn("key", [0, 2, 3, 1])
        scores = graph.node("MatMul", [query, key], f"{name}/scores")
        scores = graph.node("Div", [scores, graph.number(f"{name}.root", math.sqrt(width))], f"{name}/scaled")
        scores = graph.node("Add", [scores, mask], f"{name}/masked")
        shares = graph.node("Softmax", [scores], f"{name}/shares", axis=-1)
        mixed = graph.node("MatMul", [shares, value], f"{name}/mixed")
        mixed = graph.node("Transpose", [mixed], f"{name}/mixed_turned", perm=[0, 2, 1, 3])
        mixed = graph.node("Reshape", [mixed, whole], f"{name}/joined")
        out = self.linear(mixed, f"{name}.output.dense")
        return self.norm(graph.node("Add", [out, x], f"{name}/residual"), f"{name}.output.LayerNorm")

    def feed_forward(self, x, name):
        graph = self.graph
        up = self.linear(x, f"{name}.intermediate.dense")
        erf = graph.node("Div", [up, graph.number(f"{name}.root2", math.sqrt(2))], f"{name}/over_root2")
        erf = graph.node("Erf", [erf], f"{name}/erf")
        erf = graph.node("Add", [erf, graph.number(f"{name}.one", 1.0)], f"{name}/erf_plus_one")
        gelu = graph.node("Mul", [up, erf], f"{name}/twice_gelu")
        gelu = graph.node("Mul", [gelu, graph.number(f"{name}.half", 0.5)], f"{name}/gelu")
        down = self.linear(gelu, f"{name}.output.dense")
        return self.norm(graph.node("Add", [down, x], f"{name}/output_residual"), f"{name}.output.LayerNorm")

    def model(self):
        x, mask = self.embeddings(), self.mask()
        for layer in range(self.config["num_hidden_layers"]):
            name = f"encoder.layer.{layer}"
            x = self.feed_forward(self.attention(x, mask, f"{name}.attention"), name)
        self.graph.node("Identity", [x], "last_hidden_state")
        rows = ["batch", "tokens"]
        inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, rows) for name in INPUTS]
        width = self.config["hidden_size"]
        output = helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, [*rows, width])
        graph = helper.make_graph(self.graph.nodes, "bert", inputs, [output], self.graph.constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)


INPUTS = ["input_ids", "attention_mask", "token_type_ids"]

if __name__ == "__main__":
    folder, out = map(pathlib.Path, sys.argv[1:])
    onnx.save(Bert(folder).model(), out)
