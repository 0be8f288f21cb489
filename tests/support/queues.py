"""Queues of moto's SQS, and the bucket that belongs to the work in them."""

import json
import uuid

import boto3
from botocore.config import Config

from support.processes import FAKE_AWS, MotoServer
from support.store import s3_client


def client(moto: MotoServer):
    return boto3.client(
        "sqs",
        endpoint_url=moto.url,
        region_name=FAKE_AWS["AWS_REGION"],
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(proxies={}, max_pool_connections=50),
    )


class Queue:
    """An empty queue of its own."""

    def __init__(self, moto: MotoServer, fifo: bool = False, name: str | None = None, **attributes: str):
        self._client = client(moto)
        name = name or f"work-{uuid.uuid4().hex[:12]}"
        if fifo:
            name, attributes = f"{name}.fifo", {"FifoQueue": "true", **attributes}
        self.url = self._client.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]

    @property
    def arn(self) -> str:
        return self._attribute("QueueArn")

    def _attribute(self, name: str) -> str:
        return self._client.get_queue_attributes(QueueUrl=self.url, AttributeNames=[name])["Attributes"][name]

    def send(self, request, group: str | None = None) -> str:
        """Sends a request, or a text as it is; answers the message's id."""
        body = request if isinstance(request, str) else json.dumps(request)
        order = {"MessageGroupId": group, "MessageDeduplicationId": uuid.uuid4().hex} if group else {}
        return self._client.send_message(QueueUrl=self.url, MessageBody=body, **order)["MessageId"]

    def send_all(self, bodies: list[str]) -> None:
        for start in range(0, len(bodies), 10):
            part = enumerate(bodies[start : start + 10])
            entries = [{"Id": str(index), "MessageBody": body} for index, body in part]
            answer = self._client.send_message_batch(QueueUrl=self.url, Entries=entries)
            assert not answer.get("Failed"), answer

    def waiting(self) -> int:
        """How many messages could be received now."""
        return int(self._attribute("ApproximateNumberOfMessages"))

    def in_hand(self) -> int:
        """How many messages somebody has received and not yet deleted."""
        return int(self._attribute("ApproximateNumberOfMessagesNotVisible"))

    def is_empty(self) -> bool:
        return self.waiting() == 0 and self.in_hand() == 0

    def take(self) -> list[dict]:
        """Receives and deletes what is there: bodies, and attributes by their names."""
        taken = []
        while True:
            answer = self._client.receive_message(
                QueueUrl=self.url, MaxNumberOfMessages=10, MessageAttributeNames=["All"], AttributeNames=["All"]
            )
            messages = answer.get("Messages", [])
            if not messages:
                return taken
            for message in messages:
                attributes = message.get("MessageAttributes", {})
                told = {name: attribute["StringValue"] for name, attribute in attributes.items()}
                taken.append({"body": message["Body"], "group": message["Attributes"].get("MessageGroupId"), **told})
                self._client.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])


class Results:
    """A bucket with a place for inputs and one for results."""

    def __init__(self, moto: MotoServer, name: str | None = None):
        self.name = name or f"work-{uuid.uuid4().hex[:12]}"
        self.client = s3_client(moto)
        location = {"LocationConstraint": FAKE_AWS["AWS_REGION"]}
        self.client.create_bucket(Bucket=self.name, CreateBucketConfiguration=location)
        self.env = {
            "EMBER_S3_ENDPOINT": moto.url,
            "EMBER_S3_PATH_STYLE": "true",
            # Patient enough that moto on a busy machine is never asked twice.
            "EMBER_STORE_TIMEOUT_SECONDS": "30",
            "EMBER_INPUTS": f"s3://{self.name}/in",
            "EMBER_RESULTS": f"s3://{self.name}/out",
        }

    def put(self, key: str, content: bytes | str) -> str:
        """Puts an object among the inputs; answers its URL."""
        body = content.encode() if isinstance(content, str) else content
        self.client.put_object(Bucket=self.name, Key=f"in/{key}", Body=body)
        return f"s3://{self.name}/in/{key}"

    def keys(self) -> list[str]:
        """The keys of the results, below their place."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix="out/")
        return sorted(entry["Key"].removeprefix("out/") for page in pages for entry in page.get("Contents", []))

    def read(self, key: str) -> list[dict]:
        """The lines of a result."""
        body = self.client.get_object(Bucket=self.name, Key=f"out/{key}")["Body"].read().decode()
        assert body.endswith("\n")
        return [json.loads(line) for line in body.splitlines()]

    def all(self) -> list[dict]:
        """The lines of all results."""
        return [line for key in self.keys() for line in self.read(key)]
