"""Optimum's ONNX exporter over folders of models, in an environment with the packages of requirements-optimum.txt:

    python optimum_export.py FROM TO

FROM/NAME is a model's folder, FROM/NAME/task the task to export it for; TO/NAME.onnx is written.
"""

import pathlib
import shutil
import sys
import tempfile
import traceback

from optimum.exporters.onnx import export, main_export
from optimum.exporters.onnx.model_configs import CLIPTextOnnxConfig, T5EncoderOnnxConfig
from transformers import CLIPTextModel, T5EncoderModel

# Encoders that Optimum exports as parts of larger models only: without an attention mask.
PARTS = {"clip_text": (CLIPTextModel, CLIPTextOnnxConfig), "t5_encoder": (T5EncoderModel, T5EncoderOnnxConfig)}


def export_part(folder: pathlib.Path, path: pathlib.Path) -> None:
    kind, describe = PARTS[folder.name]
    model = kind.from_pretrained(folder).eval()
    config = describe(model.config, task="feature-extraction")
    export(model, config, path, config.DEFAULT_ONNX_OPSET)


def export_model(folder: pathlib.Path, path: pathlib.Path) -> None:
    task = (folder / "task").read_text().strip()
    library = "sentence_transformers" if (folder / "modules.json").exists() else "transformers"
    with tempfile.TemporaryDirectory() as made:
        main_export(str(folder), made, task=task, device="cpu", do_validation=False, library_name=library)
        shutil.copy(pathlib.Path(made) / "model.onnx", path)


def main() -> None:
    source, target = map(pathlib.Path, sys.argv[1:])
    for folder in sorted(source.iterdir()):
        path = target / f"{folder.name}.onnx"
        try:
            (export_part if folder.name in PARTS else export_model)(folder, path)
        except Exception:
            traceback.print_exc()
            print(f"{folder.name}: not exported", file=sys.stderr)


if __name__ == "__main__":
    main()
