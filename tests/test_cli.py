"""The command `emberlite`: what it prints, what it refuses, and that a package is whole or refused."""

import json
import random
import shutil

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from support import reference
from support.packages import MODELS, flipped, sections
from support.processes import ROOT
from support.store import place_in_folder
from support.texts import ENCODERS

ROW = reference.random_rows("diagnosis", 1)[0]


def assert_refused(done, *words: str) -> None:
    """The command failed, said why in one line that has these words, and did not panic."""
    assert done.returncode not in (0, 101), done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("error: "), done.stderr
    assert "panicked" not in done.stderr
    for word in words:
        assert word in done.stderr, done.stderr


# Help and reports


@pytest.mark.parametrize(
    "command", ["pack", "inspect", "verify", "push", "serve", "bench", "pull", "completions", "keygen", "sign"]
)
def test_every_command_has_help(emberlite, command):
    done = emberlite(command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"Usage: emberlite {command}" in done.stdout
    assert command in emberlite("--help").stdout


def test_wrong_arguments_are_refused_with_the_usage(emberlite):
    for arguments in (["pack"], ["inspect"], ["push", "x.ember"], ["bake"], ["pack", "x.onnx", "--speed", "9"]):
        done = emberlite(*arguments)
        assert done.returncode == 2, arguments
        assert "Usage: emberlite" in done.stderr
    assert emberlite().returncode == 2


@pytest.mark.parametrize("model", MODELS)
def test_a_model_file_is_packed_with_what_its_recipe_says(emberlite, tmp_path, model):
    report = emberlite.json("pack", ROOT / "models" / model, "-o", "out.ember")
    recipe, manifest = reference.recipe(model), report["manifest"]
    assert (tmp_path / "out.ember").stat().st_size == report["package_bytes"]
    for field in ("name", "task", "description", "licence"):
        assert manifest[field] == recipe[field]
    assert {example["title"] for example in manifest["examples"]} == {
        example["title"] for example in recipe["examples"]
    }
    assert len(manifest["verification"]["batch_sizes"]) >= 3
    assert manifest["verification"]["max_abs_difference"] <= 1e-5


@pytest.mark.parametrize("model", MODELS)
def test_a_model_file_is_packed_without_a_recipe(emberlite, tmp_path, model):
    shutil.copy(ROOT / "models" / model / f"{model}.onnx", tmp_path)
    report = emberlite.json("pack", f"{model}.onnx")
    assert (tmp_path / f"{model}.ember").is_file()
    assert report["manifest"]["name"] == model
    roles = {output["name"]: output.get("role") for output in report["manifest"]["outputs"]}
    expected = {
        "credit": {"output_label": "label", "output_probability": "probabilities"},
        # Nothing in the file says that a column of numbers from 0 to 1 is a probability.
        "diagnosis": {"label": "label", "probability": "values"},
        "digits": {"probabilities": "probabilities"},
    }
    assert roles == expected[model]


def test_flags_override_what_is_inferred(emberlite, tmp_path):
    source = ROOT / "models/digits/digits.onnx"
    shutil.copy(source, tmp_path)
    labels = ",".join(f"digit-{digit}" for digit in range(10))
    report = emberlite.json("pack", "digits.onnx", "--name", "numerals", "--labels", labels, "-o", "n.ember")
    assert report["manifest"]["name"] == "numerals"
    assert report["manifest"]["labels"] == labels.split(",")


def test_given_inputs_are_compared_too(emberlite, tmp_path):
    (tmp_path / "rows.json").write_text(json.dumps(reference.random_rows("diagnosis", 5)))
    source = ROOT / "models/diagnosis"
    plain = emberlite.json("pack", source, "-o", "a.ember")["manifest"]["verification"]
    more = emberlite.json("pack", source, "-o", "b.ember", "--input", "rows.json")["manifest"]["verification"]
    assert more["inputs"] > plain["inputs"]
    (tmp_path / "wrong.json").write_text("[1, 2, 3]")
    done = emberlite("pack", source, "-o", "c.ember", "--input", "wrong.json")
    assert done.returncode == 1 and "30" in done.stderr
    assert not (tmp_path / "c.ember").exists()


@pytest.mark.parametrize("model", MODELS)
def test_packing_twice_makes_the_same_package(emberlite, packages, model):
    assert emberlite.json("pack", ROOT / "models" / model, "-o", "again.ember")["digest"] == packages[model].digest


@pytest.mark.parametrize("model", MODELS)
def test_the_committed_package_is_of_the_committed_model_and_recipe(emberlite, packages, model):
    folder = ROOT / "models" / model
    digest = json.loads((folder / "current.json").read_text())["digest"]
    assert [path.name for path in folder.glob("*.ember")] == [f"{digest}.ember"]
    committed = emberlite.json("inspect", folder / f"{digest}.ember")
    assert committed["digest"] == digest
    # Differences of rounding between processors may show in the verification, and nowhere else.
    kept = committed["manifest"].keys() - {"verification"}
    assert {key: committed["manifest"][key] for key in kept} == {key: packages[model].manifest[key] for key in kept}


@pytest.mark.parametrize("model", MODELS)
def test_inspect_shows_the_manifest_the_operators_and_the_sections(emberlite, packages, model):
    package = packages[model]
    report = emberlite.json("inspect", package.file)
    assert report["digest"] == package.digest
    assert report["manifest"] == package.manifest
    assert report["operators"]
    sizes = {section["name"]: section["bytes"] for section in report["sections"]}
    assert "graph.nnef" in sizes
    assert sum(sizes.values()) <= report["package_bytes"] == package.file.stat().st_size
    text = emberlite("inspect", package.file).stdout
    for word in (model, package.digest, *sizes, *(spec["name"] for spec in package.manifest["inputs"])):
        assert word in text


def test_a_package_is_a_safetensors_file_whose_sections_are_aligned(packages):
    for package in packages.values():
        for name, (start, _) in sections(package.bytes()).items():
            assert start % 64 == 0, name


# Serving


@pytest.mark.parametrize("kind", ["package", "recipe", "model file", "store"])
def test_serve_takes_packages_recipes_model_files_and_stores(serve, packages, emberlite, tmp_path, kind):
    if kind == "store":
        emberlite.json("push", packages["diagnosis"].file, "--store", tmp_path)
    sources = {
        "package": packages["diagnosis"].file,
        "recipe": ROOT / "models/diagnosis",
        "model file": ROOT / "models/diagnosis/diagnosis.onnx",
        "store": tmp_path,
    }
    server = serve(sources[kind])
    assert [model["name"] for model in server.get("/models").json()["models"]] == ["diagnosis"]
    answer = server.post("/predict", json={"input": ROW}).json()
    [expected] = reference.run("diagnosis", reference.feeds("diagnosis", [ROW]))["probability"]
    assert answer["outputs"]["probability"] == pytest.approx(expected.tolist(), abs=1e-5)


def test_serve_takes_several_sources(serve, packages):
    server = serve(packages["digits"].file, ROOT / "models/credit")
    assert [model["name"] for model in server.get("/models").json()["models"]] == ["credit", "digits"]


def test_serve_refuses_what_it_cannot_serve(emberlite):
    assert_refused(emberlite("serve", "--port", "0"), "nothing to serve")
    assert_refused(emberlite("serve", "nosuch.onnx", "--port", "0"), "nosuch.onnx")
    assert_refused(emberlite("serve", "gs://bucket", "--port", "0"), "gs://bucket")


def test_serve_says_when_its_port_is_taken(emberlite, served):
    done = emberlite("serve", ROOT / "models/digits", "--port", served.port)
    assert done.returncode == 1
    assert str(served.port) in done.stderr


# Refusals


def test_files_that_are_no_models_are_refused_by_name(emberlite, tmp_path):
    (tmp_path / "empty.onnx").write_bytes(b"")
    (tmp_path / "text.onnx").write_text("not a model")
    (tmp_path / "cut.onnx").write_bytes((ROOT / "models/diagnosis/diagnosis.onnx").read_bytes()[:5000])
    (tmp_path / "folder").mkdir()
    for source in ("nosuch.onnx", "empty.onnx", "text.onnx", "cut.onnx", "folder"):
        assert_refused(emberlite("pack", source, "-o", "out.ember"), source)
    assert not (tmp_path / "out.ember").exists()


@pytest.mark.parametrize(
    ("line", "wrong", "word"),
    [
        ('labels = ["malignant", "benign"]', 'labels = ["malignant"]', "label"),
        ('labels = ["malignant", "benign"]', 'labels = ["malignant", "benign", "unsure"]', "label"),
        ('labels = ["malignant", "benign"]', 'labels = ["benign", "benign"]', "benign"),
        ('input = "input"', 'input = "nosuch"', "nosuch"),
        ('name = "mean radius"', 'name = "mean texture"', "mean texture"),
        ('name = "diagnosis"', 'name = "Dia gnosis"', "Dia gnosis"),
        ('model = "diagnosis.onnx"', 'model = "nosuch.onnx"', "nosuch.onnx"),
        ('task = "predict"', 'task = "sing"', "sing"),
        ('licence = "CC-BY-4.0"', 'license = "CC-BY-4.0"', "license"),
        ("[outputs.label]", "[outputs.nosuch]", "nosuch"),
        ('role = "label"', 'role = "chorus"', "chorus"),
        ("minimum = 6.981", "minimum = 60.0", "minimum"),
        ('"mean radius" = 22.27', '"mean raduis" = 22.27', "mean raduis"),
    ],
)
def test_a_recipe_that_does_not_fit_is_refused(emberlite, tmp_path, line, wrong, word):
    shutil.copy(ROOT / "models/diagnosis/diagnosis.onnx", tmp_path)
    recipe = (ROOT / "models/diagnosis/pack.toml").read_text()
    assert line in recipe
    (tmp_path / "pack.toml").write_text(recipe.replace(line, wrong, 1))
    assert_refused(emberlite("pack", ".", "-o", "out.ember"), word)
    assert not (tmp_path / "out.ember").exists()


def test_an_operator_that_is_not_supported_is_named(emberlite, tmp_path):
    node = helper.make_node("Frobnicate", ["x"], ["y"], name="the-node", domain="com.acme")
    spec = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 3]) for name in "xy"]
    graph = helper.make_graph([node], "strange", spec[:1], spec[1:])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.acme", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), tmp_path / "strange.onnx")
    assert_refused(emberlite("pack", "strange.onnx"), "com.acme.Frobnicate", "the-node")


def test_an_input_that_is_passed_through_keeps_its_name(emberlite, tmp_path):
    nodes = [helper.make_node("Identity", ["id"], ["same_id"]), helper.make_node("Neg", ["x"], ["y"])]
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 3]) for name in ("id", "x")]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 3]) for name in ("same_id", "y")]
    model = helper.make_model(helper.make_graph(nodes, "through", inputs, outputs), ir_version=8)
    model.opset_import[0].version = 17
    onnx.save(model, tmp_path / "through.onnx")
    manifest = emberlite.json("pack", "through.onnx")["manifest"]
    assert [spec["name"] for spec in manifest["inputs"]] == ["id", "x"]
    assert [spec["name"] for spec in manifest["outputs"]] == ["same_id", "y"]


# Damage


@pytest.mark.parametrize("model", MODELS)
def test_a_flipped_byte_is_refused_with_its_section_named(emberlite, packages, tmp_path, model):
    package = packages[model].bytes()
    generator = random.Random(model)
    for name, (start, end) in sections(package).items():
        position = generator.randrange(start, end)
        (tmp_path / "broken.ember").write_bytes(flipped(package, position))
        assert_refused(emberlite("inspect", "broken.ember"), "broken.ember", name)


def test_a_flipped_byte_anywhere_is_refused(emberlite, packages, tmp_path):
    package = packages["diagnosis"].bytes()
    header_end = 8 + int.from_bytes(package[:8], "little")
    generator = random.Random(11)
    positions = {0, 1, 7, 8, 9, header_end - 1, header_end, len(package) - 1}
    positions |= {generator.randrange(8, header_end) for _ in range(40)}
    positions |= {generator.randrange(header_end, len(package)) for _ in range(10)}
    for position in sorted(positions):
        (tmp_path / "broken.ember").write_bytes(flipped(package, position))
        done = emberlite("inspect", "broken.ember")
        assert done.returncode == 1, f"byte {position}: {done.stdout}"
        assert_refused(done, "broken.ember")


def test_a_truncated_package_is_refused(emberlite, packages, tmp_path):
    package = packages["diagnosis"].bytes()
    generator = random.Random(12)
    lengths = [0, 1, 7, 8, 9, 100, len(package) - 64, len(package) - 1]
    for length in lengths + [generator.randrange(len(package)) for _ in range(20)]:
        (tmp_path / "cut.ember").write_bytes(package[:length])
        assert_refused(emberlite("inspect", "cut.ember"), "cut.ember")
    (tmp_path / "cut.ember").write_bytes(package + b"\0")
    assert_refused(emberlite("inspect", "cut.ember"), "cut.ember")


def test_damage_is_refused_by_push_and_serve_too(emberlite, packages, tmp_path):
    package = packages["diagnosis"].bytes()
    (tmp_path / "broken.ember").write_bytes(flipped(package, len(package) // 2))
    assert_refused(emberlite("push", "broken.ember", "--store", "store"), "broken.ember", "section")
    assert not (tmp_path / "store/models/diagnosis/current.json").exists()
    assert_refused(emberlite("serve", "broken.ember", "--port", "0"), "broken.ember", "section")


def test_damage_in_the_store_is_refused_with_its_section_named(predict_server, packages, tmp_path):
    package = packages["diagnosis"]
    name, (start, end) = max(sections(package.bytes()).items(), key=lambda item: item[1][1] - item[1][0])
    place_in_folder(tmp_path, "diagnosis", package.digest, flipped(package.bytes(), (start + end) // 2))
    response = predict_server(EMBER_STORE=str(tmp_path)).predict("diagnosis", ROW)
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (500, "package_corrupt")
    assert name in error["message"]


def test_a_truncated_package_in_the_store_is_refused(predict_server, packages, tmp_path):
    package = packages["diagnosis"]
    server = predict_server(EMBER_STORE=str(tmp_path))
    for length in (0, 100, 5_000, len(package.bytes()) - 1):
        place_in_folder(tmp_path, "diagnosis", package.digest, package.bytes()[:length])
        response = server.predict("diagnosis", ROW)
        assert (response.status_code, response.json()["error"]["code"]) == (500, "package_corrupt"), response.text
    assert server.get("/healthz").status_code == 200


def test_a_package_whose_bytes_are_whole_but_another_is_refused(predict_server, packages, second_package, tmp_path):
    place_in_folder(tmp_path, "diagnosis", packages["diagnosis"].digest, second_package.bytes())
    response = predict_server(EMBER_STORE=str(tmp_path)).predict("diagnosis", ROW)
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (500, "package_corrupt")
    assert packages["diagnosis"].digest in error["message"] and second_package.digest in error["message"]


# What newcomers meet


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
WRONG_FILES = {
    "weights.safetensors": (b"w", ["a file of weights", "its folder"]),
    "model.pt": (b"PK", ["torch.onnx.export"]),
    "model.pkl": (b"\x80\x04", ["skl2onnx"]),
    "model.h5": (b"\x89HDF", ["tf2onnx"]),
    "model.tflite": (b"TFL3", ["tf2onnx"]),
    "pointer.onnx": (POINTER, ["git lfs pull"]),
    "page.onnx": (b"<!DOCTYPE html>", ["web page"]),
    "notes.txt": (b"notes", ["not an ONNX file", "GGUF"]),
    "empty.onnx": (b"", ["empty"]),
}


@pytest.mark.parametrize("name", WRONG_FILES)
def test_a_file_that_is_no_model_is_told_apart_with_what_to_do(emberlite, tmp_path, name):
    content, words = WRONG_FILES[name]
    (tmp_path / name).write_bytes(content)
    assert_refused(emberlite("pack", name), name, *words)
    assert_refused(emberlite("serve", name, "--port", "0"), name, *words)


def test_what_is_no_package_says_how_to_make_one(emberlite, packages, tmp_path):
    shutil.copy(ROOT / "models/digits/digits.onnx", tmp_path)
    for command in (["inspect"], ["inspect", "--load"], ["bench"]):
        assert_refused(emberlite(*command, "digits.onnx"), "emberlite pack digits.onnx")
        assert_refused(emberlite(*command, "digits.onnnx"), "is digits.onnx meant?")
        assert_refused(emberlite(*command, ROOT / "models/digits"), "is a folder", ".ember")


def test_what_is_elsewhere_says_how_to_get_it(emberlite, packages, tmp_path):
    for command in (["pack"], ["inspect"], ["bench"], ["serve", "--port", "0"], ["push", "--store", "store"]):
        assert_refused(emberlite(*command, "hf://org/name"), "emberlite pull hf://org/name")
    assert_refused(emberlite("pack", "https://hub.test/model.onnx"), "download it first")
    assert_refused(emberlite("pack", packages["digits"].file), "a package already", "emberlite serve")


def test_a_place_that_can_not_be_written_to_is_refused_before_the_work(emberlite, tmp_path):
    (tmp_path / "folder").mkdir()
    source = ROOT / "models/digits"
    assert_refused(emberlite("pack", source, "-o", "nosuch/out.ember", "-v"), "no folder nosuch")
    assert_refused(emberlite("pack", source, "-o", "folder"), "folder/NAME.ember")


def test_weights_that_are_kept_beside_the_graph_are_asked_for(emberlite, tmp_path):
    weight = onnx.numpy_helper.from_array(np.ones((3, 3), np.float32), "w")
    spec = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 3]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "beside", spec[:1], spec[1:], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "m.onnx", save_as_external_data=True, location="m.onnx.data", size_threshold=0)
    assert emberlite("pack", "m.onnx").returncode == 0
    (tmp_path / "m.onnx.data").unlink()
    assert_refused(emberlite("pack", "m.onnx"), "m.onnx.data", "copy that file too")


# Before and while packing


@pytest.mark.parametrize("model", MODELS)
def test_a_dry_run_tells_what_would_be_packed_and_writes_nothing(emberlite, packages, tmp_path, model):
    planned = emberlite.json("pack", ROOT / "models" / model, "--dry-run")
    assert list(tmp_path.iterdir()) == []
    assert (planned["name"], planned["file"], planned["replaces_bytes"]) == (model, f"{model}.ember", None)
    manifest = packages[model].manifest
    assert planned["inputs"] == manifest["inputs"]
    assert planned["verification"] == manifest["verification"]
    assert planned["package_bytes"] == pytest.approx(packages[model].file.stat().st_size, rel=0.1)
    text = emberlite("pack", ROOT / "models" / model, "--dry-run").stdout
    assert f"{model}.ember would be written" in text and "Nothing was written" in text


def test_a_dry_run_tells_formats_sizes_and_what_would_be_replaced(emberlite, tmp_path):
    source = ENCODERS["sentences"].path
    report = emberlite.json("pack", source, "--name", "s", "--quantize", "int8", "--keep", "embeddings")
    arguments = ("pack", source, "--name", "s", "--quantize", "int8", "--keep", "embeddings", "--dry-run")
    before = (tmp_path / "s.ember").read_bytes()
    planned = emberlite.json(*arguments)
    assert planned["replaces_bytes"] == len(before)
    assert (tmp_path / "s.ember").read_bytes() == before
    formats = {layer["name"]: layer["format"] for layer in report["manifest"]["quantization"]["layers"]}
    assert planned["layers"] == formats
    assert planned["package_bytes"] == pytest.approx(len(before), rel=0.25)
    assert planned["package_bytes"] < planned["unquantized_bytes"]
    text = emberlite(*arguments).stdout
    assert "in the place of a file of" in text and "layers in Int8" in text
    assert_refused(emberlite(*arguments, "--max-tokens", "0"), "max_tokens")


def test_any_number_of_jobs_makes_the_same_package(emberlite):
    source = ENCODERS["sentences"].path
    digests = {emberlite.json("pack", source, "--name", "s", "--jobs", jobs)["digest"] for jobs in (1, 3)}
    assert len(digests) == 1
    assert emberlite("pack", source, "--jobs", "0").returncode == 2
