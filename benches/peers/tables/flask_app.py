"""The peer: a minimal Flask application around onnxruntime, as its users write it, served by waitress."""

import logging
import os

import numpy as np
import onnxruntime
from flask import Flask, request
from waitress import serve

DTYPES = {"tensor(float)": np.float32, "tensor(string)": object}
LABELS = os.environ["LABELS"].split(",")


def read_model(source: str) -> str | bytes:
    if not source.startswith("s3://"):
        return source
    import boto3

    bucket, key = source.removeprefix("s3://").split("/", 1)
    return boto3.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()


session = onnxruntime.InferenceSession(read_model(os.environ["MODEL"]), providers=["CPUExecutionProvider"])
columns = session.get_inputs()
app = Flask(__name__)


def feeds(rows: list) -> dict[str, np.ndarray]:
    if len(columns) == 1:
        return {columns[0].name: np.array(rows, dtype=np.float32)}
    return {
        column.name: np.array([[row[column.name]] for row in rows], dtype=DTYPES[column.type]) for column in columns
    }


def predict(rows: list) -> list[dict]:
    labels, scores = session.run(None, feeds(rows))
    if isinstance(scores, list):
        return [
            {"predicted_label": label, "probabilities": by_label}
            for label, by_label in zip(labels.tolist(), scores, strict=True)
        ]
    return [
        {"predicted_label": LABELS[label], "probabilities": {LABELS[0]: 1 - score, LABELS[1]: score}}
        for label, [score] in zip(labels.tolist(), scores.tolist(), strict=True)
    ]


@app.post("/predict")
def answer():
    value = request.get_json()["input"]
    if isinstance(value, list) and isinstance(value[0], (list, dict)):
        return {"predictions": predict(value)}
    return predict([value])[0]


if __name__ == "__main__":
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    serve(app, host="127.0.0.1", port=int(os.environ["PORT"]))
