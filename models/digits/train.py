"""Trains `digits`: which digit was written by hand, from any picture of it. Writes digits.onnx and pack.toml."""

import base64
import io
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import optax
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from strokes import distort, faded, place, read, smooth

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from common import check_onnx, write_recipe

HERE = Path(__file__).resolve().parent
SEED = 0
EPOCHS = 120
BATCH = 64
# name: shape, [out, in, height, width] or [in, out]
LAYERS = {
    "conv1": (16, 1, 3, 3),
    "conv2": (32, 16, 3, 3),
    "conv3": (32, 32, 3, 3),
    "dense1": (128, 64),
    "dense2": (64, 10),
}


def main() -> None:
    data = load_digits()
    x_train, x_test, y_train, y_test = train_test_split(
        data.images, data.target, test_size=0.25, stratify=data.target, random_state=SEED
    )
    rng = np.random.default_rng(SEED)
    parameters = train(x_train, y_train, rng)

    exact = (x_test[:, None] / 16).astype(np.float32)
    path = HERE / "digits.onnx"
    onnx.save(to_onnx(parameters), path)
    probabilities = np.asarray(jax.nn.softmax(logits(parameters, exact)))
    difference = check_onnx(path, {"image": exact}, [probabilities])

    def accuracy(images: np.ndarray) -> float:
        return float((np.asarray(logits(parameters, images)).argmax(1) == y_test).mean())

    write_recipe(HERE / "pack.toml", recipe(x_test, y_test))
    print(f"held-out accuracy      {accuracy(exact):.4f} on {len(y_test)} images")
    for what, pictures in held_out_pictures(x_test, rng).items():
        print(f"{what:<40} {accuracy(np.stack([read(picture) for picture in pictures])):.4f}")
    print(f"against onnxruntime {difference:.1e}, {path.stat().st_size} bytes")


def train(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> dict:
    """A third of the images are the digits as they are, the others are distorted and read back as pictures would be."""
    clean = [smooth(digit) for digit in x]
    exact = (x[:, None] / 16).astype(np.float32)
    parameters = start(rng)
    steps = EPOCHS * (len(x) // BATCH)
    optimiser = optax.adamw(optax.cosine_decay_schedule(3e-3, steps), weight_decay=1e-3)
    state = optimiser.init(parameters)

    @jax.jit
    def step(parameters, state, images, labels):
        def loss(parameters):
            return optax.softmax_cross_entropy(
                logits(parameters, images), optax.smooth_labels(jax.nn.one_hot(labels, 10), 0.02)
            ).mean()

        updates, state = optimiser.update(jax.grad(loss)(parameters), state, parameters)
        return optax.apply_updates(parameters, updates), state

    for _ in range(EPOCHS):
        drawn = np.stack([faded(read(distort(picture, rng)), rng) for picture in clean])
        images = np.where(rng.random(len(x))[:, None, None, None] < 1 / 3, exact, drawn).astype(np.float32)
        order = rng.permutation(len(x))
        for first in range(0, len(x) - BATCH + 1, BATCH):
            rows = order[first : first + BATCH]
            parameters, state = step(parameters, state, images[rows], y[rows])
    return jax.tree.map(np.asarray, parameters)


def start(rng: np.random.Generator) -> dict:
    """He's initialisation."""
    parameters = {}
    for name, shape in LAYERS.items():
        conv = len(shape) == 4
        inputs = np.prod(shape[1:]) if conv else shape[0]
        parameters[name + "_weight"] = rng.normal(0, np.sqrt(2 / inputs), shape).astype(np.float32)
        parameters[name + "_bias"] = np.zeros(shape[0] if conv else shape[1], np.float32)
    return parameters


def logits(p: dict, images) -> jax.Array:
    """[N, 1, 8, 8] to [N, 10]; `to_onnx` writes the same net."""

    def conv(x, name):
        y = jax.lax.conv_general_dilated(x, p[name + "_weight"], (1, 1), "SAME")
        return jax.nn.relu(y + p[name + "_bias"][:, None, None])

    def halve(x):
        return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")

    x = halve(conv(conv(jnp.asarray(images), "conv1"), "conv2"))
    x = halve(conv(x, "conv3")).reshape(len(images), -1)
    x = jax.nn.relu(x @ p["dense1_weight"] + p["dense1_bias"])
    return x @ p["dense2_weight"] + p["dense2_bias"]


def to_onnx(parameters: dict) -> onnx.ModelProto:
    same = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    half = {"kernel_shape": [2, 2], "strides": [2, 2]}

    def weights(name: str) -> list[str]:
        return [name + "_weight", name + "_bias"]

    nodes = [
        helper.make_node("Conv", ["image", *weights("conv1")], ["c1"], **same),
        helper.make_node("Relu", ["c1"], ["r1"]),
        helper.make_node("Conv", ["r1", *weights("conv2")], ["c2"], **same),
        helper.make_node("Relu", ["c2"], ["r2"]),
        helper.make_node("MaxPool", ["r2"], ["p2"], **half),
        helper.make_node("Conv", ["p2", *weights("conv3")], ["c3"], **same),
        helper.make_node("Relu", ["c3"], ["r3"]),
        helper.make_node("MaxPool", ["r3"], ["p3"], **half),
        helper.make_node("Flatten", ["p3"], ["flat"]),
        helper.make_node("Gemm", ["flat", *weights("dense1")], ["d1"]),
        helper.make_node("Relu", ["d1"], ["r4"]),
        helper.make_node("Gemm", ["r4", *weights("dense2")], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=-1),
    ]
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 1, 8, 8])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 10])],
        [numpy_helper.from_array(value, name) for name, value in parameters.items()],
    )
    opsets = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8, producer_name="emberlite")
    onnx.checker.check_model(model, full_check=True)
    return model


def held_out_pictures(digits: np.ndarray, rng: np.random.Generator) -> dict[str, list[Image.Image]]:
    """The same held-out digits as somebody may send them."""
    light, dark = {"ink": 255, "paper": 0}, {"ink": 20, "paper": 235}
    return {
        "64x64, light on dark": [place(d, 64, 64, 0, **light) for d in digits],
        "280x280, margin of 15 %": [place(d, 280, 280, 0.15, **light) for d in digits],
        "280x280, margin of 20 %, dark on light": [place(d, 280, 280, 0.2, **dark) for d in digits],
        "200x120 with margin, dark on light": [place(d, 200, 120, 0.1, **dark) for d in digits],
        "120x200 with margin, light on dark": [place(d, 120, 200, 0.1, **light) for d in digits],
        "turned, moved, thinner or thicker": [distort(smooth(d), rng) for d in digits],
        "280x280 JPEG, quality 50, dark on light": [jpeg(place(d, 280, 280, 0.1, **dark)) for d in digits],
    }


def jpeg(picture: Image.Image) -> Image.Image:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=50)
    return Image.open(file)


def recipe(x_test: np.ndarray, y_test: np.ndarray) -> dict:
    names = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    first = {digit: x_test[np.argmax(y_test == digit)] for digit in range(10)}
    place(first[7], 160, 160, 0.12, ink=255, paper=0).save(HERE / "seven.png", optimize=True)
    place(first[3], 240, 200, 0.12, ink=40, paper=245).save(HERE / "three.jpg", quality=85)

    def png(digit: int) -> str:
        file = io.BytesIO()
        place(first[digit], 64, 64, 0.08, ink=255, paper=0).save(file, "PNG", optimize=True)
        return base64.b64encode(file.getvalue()).decode()

    return {
        "model": "digits.onnx",
        "name": "digits",
        "task": "predict",
        "description": "Reads one handwritten digit from a picture of it.",
        "licence": "CC-BY-4.0",
        "labels": [str(digit) for digit in range(10)],
        "outputs": {"probabilities": {"role": "probabilities"}},
        "image": {
            "input": "image",
            "width": 8,
            "height": 8,
            "colour": "grey",
            "layout": "nchw",
            "filter": "triangle",
            "background": "dark",
            "scale": 1 / 255,
            "mean": [0.0],
            "std": [1.0],
        },
        "examples": [{"title": f"A handwritten {names[digit]}", "input": png(digit)} for digit in (7, 3, 0, 5)],
    }


if __name__ == "__main__":
    main()
