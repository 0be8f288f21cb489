"""A store in a bucket of moto's S3, with what clients asked of it."""

import json
import re
import uuid
from pathlib import Path

import boto3
from botocore.config import Config

from support.processes import FAKE_AWS, MotoServer


def s3_client(moto: MotoServer):
    return boto3.client(
        "s3",
        endpoint_url=moto.url,
        region_name=FAKE_AWS["AWS_REGION"],
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(s3={"addressing_style": "path"}, proxies={}),
    )


class Bucket:
    """An empty bucket of its own; packages lie below the prefix `shop`."""

    def __init__(self, moto: MotoServer):
        self._moto = moto
        self._log_start = len(moto.log())
        self.name = f"packages-{uuid.uuid4().hex[:12]}"
        self.url = f"s3://{self.name}/shop"
        # Patient enough that moto on a busy machine is never asked twice.
        self.env = {
            "EMBER_STORE": self.url,
            "EMBER_S3_ENDPOINT": moto.url,
            "EMBER_S3_PATH_STYLE": "true",
            "EMBER_STORE_TIMEOUT_SECONDS": "30",
        }
        self.client = s3_client(moto)
        location = {"LocationConstraint": FAKE_AWS["AWS_REGION"]}
        self.client.create_bucket(Bucket=self.name, CreateBucketConfiguration=location)

    def put(self, model: str, file: str, body: bytes) -> None:
        self.client.put_object(Bucket=self.name, Key=f"shop/models/{model}/{file}", Body=body)

    def point(self, model: str, digest: str) -> None:
        """Swings the pointer without asking what it was."""
        self.put(model, "current.json", json.dumps({"digest": digest}).encode())

    def keys(self) -> list[str]:
        listed = self.client.list_objects_v2(Bucket=self.name)
        return sorted(entry["Key"] for entry in listed.get("Contents", []))

    def requests(self, method: str, suffix: str = "") -> list[str]:
        """The paths of the requests of this method that moto has logged for this bucket."""
        log = self._moto.log()[self._log_start :]
        # Answers other than 200 are coloured.
        paths = re.findall(rf'"(?:\x1b\[\d+m)*{method} (/{self.name}[^ ?"]*)', log)
        return [path for path in paths if path.endswith(suffix)]


def place_in_folder(root: Path, model: str, digest: str, package: bytes) -> None:
    """Lays a package into a folder's store as a push would, whatever its bytes are."""
    folder = root / "models" / model
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{digest}.ember").write_bytes(package)
    part = folder / "current.json.part"
    part.write_text(json.dumps({"digest": digest}))
    part.rename(folder / "current.json")
