"""Signatures and encrypted packages, read by other programs' arithmetic: what the formats say, not what Emberlite does."""

import base64
import json
import struct
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from support.blake3 import digest

TAG = 16


def metadata(package: bytes) -> dict[str, str]:
    """What a package's header says beside its sections."""
    length = int.from_bytes(package[:8], "little")
    return json.loads(package[8 : 8 + length])["__metadata__"]


def signatures(package: bytes) -> dict[str, str]:
    """The signatures of a package by the keys that made them."""
    signed = json.loads(metadata(package).get("signatures", "[]"))
    return {signature["key"]: signature["signature"] for signature in signed}


def with_signatures(package: bytes, signed: dict[str, str]) -> bytes:
    """The package with these signatures, whether they are of it or not, its header as a packer would write it."""
    length = int.from_bytes(package[:8], "little")
    header = json.loads(package[8 : 8 + length])
    listed = [{"key": key, "signature": signed[key]} for key in sorted(signed, key=base64.b64decode)]
    header["__metadata__"]["signatures"] = json.dumps(listed, separators=(",", ":"))
    if not signed:
        del header["__metadata__"]["signatures"]
    encoded = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    encoded += b" " * (-(8 + len(encoded)) % 64)
    return len(encoded).to_bytes(8, "little") + encoded + package[8 + length :]


def check(package: bytes, key: str) -> None:
    """Fails where the signature by this key is not of the package's manifest."""
    manifest = metadata(package)["manifest"].encode()
    message = b"emberlite package signature 1\n" + bytes.fromhex(digest(manifest))
    public = Ed25519PublicKey.from_public_bytes(base64.b64decode(key))
    public.verify(base64.b64decode(signatures(package)[key]), message)


@dataclass(frozen=True)
class Container:
    """An encrypted package, as its clear header tells."""

    file: bytes

    @property
    def clear(self) -> bytes:
        return self.file[: 16 + struct.unpack_from("<I", self.file, 12)[0]]

    @property
    def header(self) -> dict:
        return json.loads(self.clear[16:])

    @property
    def chunks(self) -> list[tuple[int, int, int]]:
        """Of each chunk: where its tag is, where it begins, where it ends."""
        size, total = self.header["chunk_bytes"], self.header["package_bytes"]
        count, tags = -(-total // size), len(self.clear)
        start = -(-(tags + count * TAG) // 64) * 64
        ends = [min(total, (index + 1) * size) for index in range(count)]
        return [(tags + index * TAG, start + index * size, start + ends[index]) for index in range(count)]

    def decrypt(self, key: bytes) -> bytes:
        """The package, by the user's key."""
        wrapped = base64.b64decode(self.header["wrapped"])
        own = AESGCM(key).decrypt(wrapped[:12], wrapped[12:], b"emberlite wrapped package key 1\n")
        cipher, about = AESGCM(own), bytes.fromhex(digest(self.clear))
        package, last = b"", len(self.chunks) - 1
        for index, (tag, start, end) in enumerate(self.chunks):
            nonce = bytes(3) + index.to_bytes(8, "big") + bytes([index == last])
            package += cipher.decrypt(nonce, self.file[start:end] + self.file[tag : tag + TAG], about)
        return package


def secret(key_file: Path) -> bytes:
    """The 32 bytes that the file of a key holds."""
    [line] = [line for line in key_file.read_text().splitlines() if not line.startswith("#")]
    return base64.b64decode(line.split(":", 1)[1])
