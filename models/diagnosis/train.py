"""Trains `diagnosis`: is a breast tumour benign, by 30 measurements of its cells. Writes diagnosis.onnx, pack.toml."""

import sys
import warnings
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_breast_cancer
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score, brier_score_loss, confusion_matrix, roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_score, train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from common import check_onnx, write_recipe

HERE = Path(__file__).resolve().parent
SEED = 0


def main() -> None:
    # 100 passes are the regularisation chosen: cross-validation on the training rows gains nothing from more.
    warnings.simplefilter("ignore", ConvergenceWarning)
    data = load_breast_cancer()
    x_train, x_test, y_train, y_test = train_test_split(
        data.data, data.target, test_size=0.25, stratify=data.target, random_state=SEED
    )
    pipeline = network().fit(x_train, y_train)
    benign = pipeline.predict_proba(x_test)[:, 1]

    path = HERE / "diagnosis.onnx"
    onnx.save(to_onnx(pipeline), path)
    difference = check_onnx(
        path, {"input": x_test.astype(np.float32)}, [pipeline.predict(x_test), benign[:, None].astype(np.float32)]
    )
    write_recipe(HERE / "pack.toml", recipe(data, x_test, y_test, benign))

    folds = cross_val_score(network(), data.data, data.target, cv=StratifiedKFold(10, shuffle=True, random_state=SEED))
    print(f"held-out accuracy  {accuracy_score(y_test, benign > 0.5):.4f} on {len(y_test)} rows")
    print(f"majority class     {max(y_test.mean(), 1 - y_test.mean()):.4f}")
    print(f"ROC AUC            {roc_auc_score(y_test, benign):.4f}")
    print(f"Brier score        {brier_score_loss(y_test, benign):.4f}")
    print(f"confusion          {confusion_matrix(y_test, benign > 0.5).tolist()} (true malignant, true benign)")
    print(f"10-fold accuracy   {folds.mean():.4f} +- {folds.std():.4f}")
    print(f"against onnxruntime {difference:.1e}, {path.stat().st_size} bytes")


def network() -> Pipeline:
    """Standardisation, Dense(256, relu), Dense(1, sigmoid)."""
    return make_pipeline(
        StandardScaler(),
        MLPClassifier(hidden_layer_sizes=(256,), activation="relu", alpha=1.0, max_iter=100, random_state=SEED),
    )


def to_onnx(pipeline: Pipeline) -> onnx.ModelProto:
    """The fitted pipeline as plain ONNX: raw features in, label and probability of class 1 out."""
    scaler, mlp = (step for _, step in pipeline.steps)
    weights = {
        "mean": scaler.mean_,
        "scale": scaler.scale_,
        "hidden_weight": mlp.coefs_[0],
        "hidden_bias": mlp.intercepts_[0],
        "out_weight": mlp.coefs_[1],
        "out_bias": mlp.intercepts_[1],
        "threshold": np.array(0.5),
    }
    constants = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()]
    constants.append(numpy_helper.from_array(np.array([1], dtype=np.int64), "last_axis"))
    nodes = [
        helper.make_node("Sub", ["input", "mean"], ["centred"]),
        helper.make_node("Div", ["centred", "scale"], ["standardised"]),
        helper.make_node("Gemm", ["standardised", "hidden_weight", "hidden_bias"], ["hidden"]),
        helper.make_node("Relu", ["hidden"], ["active"]),
        helper.make_node("Gemm", ["active", "out_weight", "out_bias"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["probability"]),
        helper.make_node("Greater", ["probability", "threshold"], ["is_benign"]),
        helper.make_node("Cast", ["is_benign"], ["label_column"], to=TensorProto.INT64),
        helper.make_node("Squeeze", ["label_column", "last_axis"], ["label"]),
    ]
    graph = helper.make_graph(
        nodes,
        "diagnosis",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 30])],
        [
            helper.make_tensor_value_info("label", TensorProto.INT64, ["N"]),
            helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["N", 1]),
        ],
        constants,
    )
    opsets = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8, producer_name="emberlite")
    onnx.checker.check_model(model, full_check=True)
    return model


def recipe(data, x_test, y_test, benign) -> dict:
    names = [str(name) for name in data.feature_names]
    unsure = int(np.argmin(abs(benign - 0.5)))
    chosen = {
        "A clearly malignant tumour": int(np.argmin(np.where(y_test == 0, benign, 2))),
        "A clearly benign tumour": int(np.argmax(np.where(y_test == 1, benign, -1))),
        f"A borderline case (in truth {data.target_names[y_test[unsure]]})": unsure,
    }
    return {
        "model": "diagnosis.onnx",
        "name": "diagnosis",
        "task": "predict",
        "description": "Tells malignant from benign breast tumours by 30 measurements of their cell nuclei.",
        "licence": "CC-BY-4.0",
        "labels": [str(name) for name in data.target_names],
        "outputs": {"label": {"role": "label"}, "probability": {"role": "probabilities"}},
        "features": [
            {"name": name, "input": "input", "minimum": float(column.min()), "maximum": float(column.max())}
            for name, column in zip(names, data.data.T, strict=True)
        ],
        "examples": [
            {"title": title, "input": dict(zip(names, map(float, x_test[row]), strict=True))}
            for title, row in chosen.items()
        ],
    }


if __name__ == "__main__":
    main()
