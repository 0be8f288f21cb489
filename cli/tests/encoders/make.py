"""Makes the fixtures of cli/tests/import_encoders.rs: tiny encoders of every architecture, exported every usual way.

Run it in an environment with the packages of requirements.txt, and name the Python of one with those of
requirements-optimum.txt:

    python folders.py
    python make.py OPTIMUM_PYTHON

- `folders/` is made by folders.py, whose tokenizers Optimum is given;
- `onnx/NAME.onnx` are the graphs, their large tensors in `onnx/weights.bin`, which they share;
- `references/NAME.json` are inputs and what transformers makes of them, in the format of references.py;
- `index.json` tells for each graph its architecture, exporter, opset and reference, and how far onnxruntime is from
  the reference at most, over the tokens that the attention mask lets through.
"""

import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import warnings
from importlib.metadata import version

import numpy as np
import onnx
import onnxruntime
import safetensors.torch
import sentence_transformers as st
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.transformers import float16, optimizer

import architectures
import exports
import folders
import references
import texts

HERE = pathlib.Path(__file__).parent
MADE_BY = f"transformers {version('transformers')}, torch {version('torch')}"
TOLERANCE = 2e-5
NO_TYPES = {"distilbert", "roberta", "xlm_roberta", "mpnet", "deberta_v2", "modernbert", "t5_encoder", "clip_text"}
PADDED_WITH_ONE = {"roberta", "xlm_roberta", "mpnet", "clip_text"}
POOLED = {"bert", "roberta", "clip_text"}
CLASSIFIERS = {"bert_classifier": "bert", "roberta_classifier": "roberta"}


def models():
    """Every model with its name, architecture and outputs."""
    for name in architectures.ALL:
        yield name, name, None, ["last_hidden_state"] + ["pooler_output"] * (name in POOLED)
    for name, architecture in CLASSIFIERS.items():
        yield name, architecture, folders.HEADS[architecture], ["logits"]


def build(architecture: str, head: str | None, attention: str):
    settings = dict(attn_implementation=attention)
    if head:
        settings |= dict(num_labels=3, id2label=folders.INTENTS, problem_type="single_label_classification")
    return architectures.build(architecture, head, **settings)


def inputs(architecture: str, lengths: list[int]) -> dict:
    padding = 1 if architecture in PADDED_WITH_ONE else 0
    types = architecture not in NO_TYPES
    return references.inputs(lengths, padding, 3, architectures.VOCABULARY, types, seed=sum(lengths))


def plan():
    """(file, model, exporter, opset, attention) of every export but Optimum's."""
    for name, architecture, _, _ in models():
        # These have no other attention than their own.
        attention = "eager" if architecture in ("deberta_v2", "mpnet", "t5_encoder") else "sdpa"
        yield f"{name}_legacy_14", name, "legacy", 14, attention
        yield f"{name}_dynamo_18", name, "dynamo", 18, attention
    for opset in [11, 12, 13]:
        yield f"bert_legacy_{opset}", "bert", "legacy", opset, "eager"
    for opset in [15, 16, 17, 18]:
        yield f"bert_legacy_{opset}", "bert", "legacy", opset, "sdpa"
    for name in ["roberta", "distilbert", "albert"]:
        yield f"{name}_legacy_11", name, "legacy", 11, "eager"
    # `Min` of integers, which MPNet needs, came with 12.
    yield "mpnet_legacy_12", "mpnet", "legacy", 12, "eager"
    for name in ["modernbert", "clip_text", "t5_encoder"]:
        yield f"{name}_legacy_17", name, "legacy", 17, "eager"


def reference(name: str, architecture: str, outputs: list[str], run) -> None:
    """Writes what `run` makes of the inputs: a mapping that has all of `outputs`."""
    cases = []
    for lengths in references.SHAPES:
        made = inputs(architecture, lengths)
        with torch.no_grad():
            found = run(made)
        cases.append({
            "inputs": {key: references.tensor(value) for key, value in made.items()},
            "outputs": {key: references.tensor(found[key]) for key in outputs},
        })
    references.write(HERE / "references" / f"{name}.json", MADE_BY, {"cases": cases})


def session(path: pathlib.Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def distance(path: pathlib.Path, case_file: pathlib.Path) -> float:
    """How far onnxruntime's numbers are from the reference's."""
    running = session(path)
    worst = 0.0
    array = lambda value: np.array(value["data"], value["dtype"]).reshape(value["shape"])
    blind = all(one.name != "attention_mask" for one in running.get_inputs())
    for case in json.loads(case_file.read_text())["cases"]:
        if blind and 0 in case["inputs"]["attention_mask"]["data"]:
            continue
        given = {one.name: array(case["inputs"][one.name]) for one in running.get_inputs()}
        mask = array(case["inputs"]["attention_mask"]) == 1
        names = [one.name for one in running.get_outputs()]
        for name, got in zip(names, running.run(None, given)):
            if name in case["outputs"]:
                difference = np.abs(got - array(case["outputs"][name]))
                worst = max(worst, float((difference[mask] if difference.ndim == 3 else difference).max()))
    return worst


def export_optimum(python: str, work: pathlib.Path) -> None:
    source = work / "models"
    for name, architecture, head, _ in models():
        folder = source / name
        model = build(architecture, head, "eager")
        model.save_pretrained(folder)
        if architecture == "clip_text":
            # Version 4 of transformers has one module more around the model.
            weights = safetensors.torch.load_file(folder / "model.safetensors")
            named = {f"text_model.{key}": value for key, value in weights.items()}
            safetensors.torch.save_file(named, folder / "model.safetensors", metadata={"format": "pt"})
        tokenizer = architecture if architecture in texts.TOKENIZERS else "bert"
        for file in ["tokenizer.json", "tokenizer_config.json"]:
            (folder / file).write_text((HERE / "folders" / tokenizer / file).read_text())
        (folder / "task").write_text("text-classification" if head else "feature-extraction")
    shutil.copytree(HERE / "folders/bert_sentence", source / "bert_sentence")
    (source / "bert_sentence/task").write_text("feature-extraction")
    for folder in source.iterdir():
        folders.change(folder / "tokenizer_config.json",
                       lambda config: config.update(tokenizer_class="PreTrainedTokenizerFast"))
    subprocess.run([python, str(HERE / "optimum_export.py"), str(source), str(work)], check=True)


def export_without_names(source: pathlib.Path, path: pathlib.Path) -> None:
    """The axes as the legacy exporter calls them where it is told which are dynamic, but no names."""
    proto = onnx.load(source)
    for value in [*proto.graph.input, *proto.graph.output]:
        for index, dim in enumerate(value.type.tensor_type.shape.dim):
            if dim.dim_param:
                dim.dim_param = f"{value.name}_dynamic_axes_{index + 1}"
    onnx.save(proto, path)


def make_all(work: pathlib.Path, optimum: str, known: dict) -> list[tuple[str, str, str]]:
    """Exports everything into `work`; gives (file, model, exporter) of each."""
    made = []
    for file, name, exporter, opset, attention in plan():
        architecture, head, outputs = known[name]
        model = build(architecture, head, attention)
        getattr(exports, exporter)(model, inputs(architecture, [7, 5]), outputs, opset, work / f"{file}.onnx")
        made.append((file, name, exporter))
    model = build("bert", None, "eager")
    exports.legacy(model, inputs("bert", [7, 5]), known["bert"][2], 14, work / "bert_training_14.onnx", True)
    made.append(("bert_training_14", "bert", "legacy, in training mode"))
    quantize_dynamic(work / "bert_legacy_14.onnx", work / "bert_int8_14.onnx", per_channel=True,
                     weight_type=QuantType.QInt8)
    made.append(("bert_int8_14", "bert", "legacy, int8 by onnxruntime"))
    export_without_names(work / "bert_legacy_14.onnx", work / "bert_unnamed_14.onnx")
    made.append(("bert_unnamed_14", "bert", "legacy, axes without names"))
    export_optimum(optimum, work)
    for name in [*known, "bert_sentence"]:
        (work / f"{name}.onnx").rename(work / f"{name}_optimum.onnx")
        made.append((f"{name}_optimum", name, "optimum"))
    for name, source in [("bert", "bert_optimum"), ("roberta", "roberta_legacy_11")]:
        fused = optimizer.optimize_model(str(work / f"{source}.onnx"), "bert", num_heads=architectures.HEADS,
                                         hidden_size=architectures.WIDTH, opt_level=1)
        fused.save_model_to_file(str(work / f"{name}_fused.onnx"))
        made.append((f"{name}_fused", name, "fused by onnxruntime"))
    half = float16.convert_float_to_float16(onnx.load(work / "bert_legacy_14.onnx"))
    onnx.save(half, work / "bert_half_14.onnx")
    made.append(("bert_half_14", "bert", "legacy, 16 bit floats by onnxruntime"))
    return made


def main() -> None:
    warnings.filterwarnings("ignore")
    (HERE / "onnx").mkdir(exist_ok=True)
    (HERE / "references").mkdir(exist_ok=True)
    known = {name: (architecture, head, outputs) for name, architecture, head, outputs in models()}
    for name, (architecture, head, outputs) in known.items():
        model = build(architecture, head, "eager")
        reference(name, architecture, outputs, lambda made: model(**made))
    sentence = st.SentenceTransformer(str(HERE / "folders/bert_sentence"), device="cpu")
    # Optimum leaves token types out of these.
    untyped = lambda made: sentence({key: value for key, value in made.items() if key != "token_type_ids"})
    reference("bert_sentence", "bert", ["token_embeddings", "sentence_embedding"], untyped)
    for old in (HERE / "onnx").iterdir():
        old.unlink()
    shared = {}
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        made = make_all(work, sys.argv[1], known)
        entries = []
        for file, name, exporter in made:
            proto = onnx.load(work / f"{file}.onnx")
            opset = next(one.version for one in proto.opset_import if one.domain in ("", "ai.onnx"))
            far = distance(work / f"{file}.onnx", HERE / "references" / f"{name}.json")
            note = "" if far < TOLERANCE else "  <-- FAR"
            exports.keep(proto, HERE / "onnx" / f"{file}.onnx", shared, inline=file == "bert_legacy_14")
            print(f"{file}: opset {opset}, onnxruntime off by {far:.1e}, {proto.ByteSize()} bytes{note}")
            entries.append({"file": file, "model": name, "exporter": exporter, "opset": opset,
                            "onnxruntime_off_by": float(f"{far:.1e}")})
    exports.place(HERE / "onnx", shared)
    lines = ",\n".join(json.dumps(entry) for entry in entries)
    (HERE / "index.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
