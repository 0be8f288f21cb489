"""Events on the wire, as clouds push them: CloudEvents in both content modes, Pub/Sub, Azure's triggers."""

import base64
import json

STRUCTURED = "application/cloudevents+json; charset=utf-8"
FINALIZED = "google.cloud.storage.object.v1.finalized"


def _body(data) -> bytes:
    return data.encode() if isinstance(data, str) else json.dumps(data).encode()


def binary(data, kind: str = "com.example.ask", name: str = "event-7") -> dict:
    """A CloudEvent whose attributes are headers; a text is sent as it is."""
    attributes = {"specversion": "1.0", "id": name, "source": "/tests", "type": kind, "time": "2026-11-27T00:00:00Z"}
    headers = {f"Ce-{attribute}": value for attribute, value in attributes.items()}
    return {"data": _body(data), "headers": {**headers, "Content-Type": "application/json"}}


def structured(data, kind: str = "com.example.ask", name: str = "event-7", **attributes) -> dict:
    """A CloudEvent that the body holds whole."""
    event = {"specversion": "1.0", "id": name, "source": "/tests", "type": kind, "data": data, **attributes}
    return {"data": _body(event), "headers": {"Content-Type": STRUCTURED}}


def pubsub(data, name: str = "message-7", **attributes: str) -> dict:
    """A message as Pub/Sub pushes it; None for one without data."""
    message = {"attributes": attributes, "messageId": name, "message_id": name, "publishTime": "2026-11-27T00:00:00Z"}
    if data is not None:
        message["data"] = base64.b64encode(_body(data)).decode()
    return {"json": {"message": message, "subscription": "projects/ember/subscriptions/work"}}


def unwrapped(data, name: str = "message-7") -> dict:
    """A message as Pub/Sub pushes it without a wrapper."""
    headers = {"x-goog-pubsub-message-id": name, "x-goog-pubsub-subscription-name": "projects/ember/subscriptions/work"}
    return {"data": _body(data), "headers": headers}
