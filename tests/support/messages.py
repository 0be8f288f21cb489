"""Requests as messages, and the events they come in."""

import json

WRONG = {"task": "predict", "model": "diagnosis", "input": [1.0, 2.0, 3.0]}


def predict(row, **fields) -> dict:
    return {"task": "predict", "model": "diagnosis", "input": row, **fields}


def classify(text: str, **fields) -> dict:
    return {"task": "classify", "model": "intents", "input": text, **fields}


def batch(*requests, queue: str = "work", groups: list[str] | None = None) -> dict:
    """An event of a queue; a request's message has its place as its id."""

    def record(place: int, request) -> dict:
        return {
            "messageId": str(place),
            "body": request if isinstance(request, str) else json.dumps(request),
            "attributes": {"MessageGroupId": groups[place]} if groups else {},
            "eventSource": "aws:sqs",
            "eventSourceARN": f"arn:aws:sqs:eu-central-1:123456789012:{queue}",
        }

    return {"Records": [record(place, request) for place, request in enumerate(requests)]}


def failed(answer: dict) -> list[str]:
    """The messages that are to come again."""
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]
