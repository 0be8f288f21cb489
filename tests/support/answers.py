"""Answers and refusals as `/predict` gives them, and the pictures that are sent to it."""

import base64
import io

import pytest
import requests
from PIL import Image

from support.processes import ROOT

SEVEN = (ROOT / "models/digits/seven.png").read_bytes()
THREE = (ROOT / "models/digits/three.jpg").read_bytes()


def refusal(response: requests.Response, status: int, code: str) -> dict:
    """The error in a response, which must have this status and code."""
    assert response.headers["content-type"] == "application/json", response.text
    body = response.json()
    assert "error" in body, f"{response.status_code} {response.text}"
    assert (response.status_code, body["error"]["code"]) == (status, code), response.text
    assert body["error"]["message"]
    return body["error"]


def assert_prediction(got: dict, expected: dict[str, float]) -> None:
    assert got["probabilities"] == pytest.approx(expected, abs=1e-5)
    assert got["predicted_label"] == max(expected, key=expected.get)


def png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def base64_of(image: bytes) -> str:
    return base64.b64encode(image).decode()
