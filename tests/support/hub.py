"""A stand-in for the Hugging Face Hub: its API, its files, and the host that keeps the large ones; it misbehaves on purpose.

What it answers is what the library huggingface_hub (2.4.0) takes for a hub when HF_ENDPOINT points it there."""

import contextlib
import hashlib
import json
import re
import threading
from collections import defaultdict, deque
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from support.endpoints import Handler, listening

COMMIT = "c9745ed1d9f207416be6d2e6f8de32d1f16199bf"
TOKEN = "hf_sesame"
# What is kept apart, on another host.
LARGE = (".safetensors", ".gguf", ".bin", ".onnx")


def git_digest(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@dataclass
class Repository:
    """What a repository has at its one commit."""

    files: dict[str, bytes]
    commit: str = COMMIT
    branches: tuple[str, ...] = ("main",)
    tags: tuple[str, ...] = ()
    gated: bool = False
    private: bool = False

    @classmethod
    def of(cls, folder: Path, **fields) -> "Repository":
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        return cls({path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}, **fields)

    def sibling(self, path: str, blobs: bool) -> dict:
        content = self.files[path]
        if not blobs:
            return {"rfilename": path}
        sibling = {"rfilename": path, "size": len(content), "blobId": git_digest(content)}
        if path.endswith(LARGE):
            sibling["lfs"] = {"sha256": sha256(content), "size": len(content), "pointerSize": 134}
        return sibling


# What happens to one request for a file in the place of its answer.


def fail(status: int, **headers: str):
    def act(handler, _content, _start):
        handler.send(status, [(name.replace("_", "-"), value) for name, value in headers.items()], b"")

    return act


def cut(after: int):
    """The connection ends after so many bytes of what was asked for."""

    def act(handler, content, start):
        handler.begin(content, start)
        handler.wfile.write(content[start : start + after])
        handler.close_connection = True

    return act


def hold(after: int, reached: threading.Event, released: threading.Event):
    """After so many bytes nothing more comes until it is released."""

    def act(handler, content, start):
        handler.begin(content, start)
        handler.wfile.write(content[start : start + after])
        handler.wfile.flush()
        reached.set()
        released.wait(60)
        handler.close_connection = True

    return act


def trickle(pieces: int, seconds: float):
    """The body comes in so many pieces, with as much time between them."""

    def act(handler, content, start):
        handler.begin(content, start)
        size = -(-len(content[start:]) // pieces)
        for at in range(start, len(content), size):
            threading.Event().wait(seconds)
            handler.wfile.write(content[at : at + size])
            handler.wfile.flush()

    return act


def damage():
    """One byte is another one."""

    def act(handler, content, start):
        handler.begin(content, start)
        body = bytearray(content[start:])
        body[len(body) // 2] ^= 1
        handler.wfile.write(body)

    return act


def whole():
    """The range that was asked for is passed over."""

    def act(handler, content, _start):
        handler.begin(content, 0)
        handler.wfile.write(content)

    return act


def another_range(by: int):
    """The answer is a part, and not the one that was asked for."""

    def act(handler, content, start):
        handler.begin(content, start + by)
        handler.wfile.write(content[start + by :])

    return act


@dataclass
class Request:
    host: str
    path: str
    range: str | None
    token: str | None


@dataclass
class Hub:
    """What it has, how it misbehaves, and what it was asked for."""

    repositories: dict[str, Repository] = field(default_factory=dict)
    # By file: what happens to the next requests for it.
    faults: dict[str, deque] = field(default_factory=lambda: defaultdict(deque))
    # What happens to the next requests for listings.
    listing_faults: deque = field(default_factory=deque)
    requests: list[Request] = field(default_factory=list)
    # In the place of what the API answers.
    listing: dict | None = None
    # Where large files are, in the place of the other host.
    redirect: str | None = None
    endpoint: str = ""
    storage: str = ""

    @property
    def env(self) -> dict[str, str]:
        return {"HF_ENDPOINT": self.endpoint, "HF_TOKEN": ""}

    def ranges(self, file: str) -> list[str | None]:
        """The ranges that were asked for, of a file; None stands for all of it."""
        asked = [request for request in self.requests if request.path.endswith(f"/{file}")]
        return [request.range for request in asked if request.host == ("storage" if file.endswith(LARGE) else "hub")]

    def find(self, handler, repository: str, token: str | None) -> Repository | None:
        """The repository, if whoever asks may see it; else the answer is given."""
        found = self.repositories.get(repository)
        known = token == f"Bearer {TOKEN}"
        if token and not known:
            handler.refuse(401, None, "Invalid credentials in Authorization header")
        elif found is None or found.private and not known:
            handler.refuse(404 if token else 401, "RepoNotFound", "Repository not found")
        else:
            return found
        return None


@contextlib.contextmanager
def serve():
    """A running hub without repositories."""
    hub = Hub()

    class Answering(Handler):
        def begin(self, content: bytes, start: int) -> None:
            partial = start > 0
            self.send_response(206 if partial else 200)
            self.send_header("Content-Length", str(len(content) - start))
            self.send_header("Accept-Ranges", "bytes")
            if partial:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            for name, value in getattr(self, "more", []):
                self.send_header(name, value)
            self.end_headers()

        def send(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
            super().send(status, headers, b"" if self.command == "HEAD" else body)

        def refuse(self, status: int, code: str | None, message: str) -> None:
            headers = [("X-Error-Code", code)] if code else []
            self.send(status, [*headers, ("X-Error-Message", message)], b'{"error":"no"}')

        def note(self, host: str) -> str | None:
            token = self.headers.get("Authorization")
            hub.requests.append(Request(host, unquote(urlsplit(self.path).path), self.headers.get("Range"), token))
            return token

        def give(self, file: str, content: bytes) -> None:
            asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
            start = int(asked[1]) if asked else 0
            if self.command == "HEAD":
                self.begin(content, 0)
            elif hub.faults[file]:
                hub.faults[file].popleft()(self, content, start)
            elif start >= len(content) > 0:
                self.send(416, [("Content-Range", f"bytes */{len(content)}")], b"")
            else:
                self.begin(content, start)
                self.wfile.write(content[start:])

    class Pages(Answering):
        def answer(self, _):
            token = self.note("hub")
            path = unquote(urlsplit(self.path).path)
            if listing := re.fullmatch(r"/api/models/([^/]+/[^/]+|[^/]+)(?:/revision/(.+)|/(refs))?", path):
                self.list(listing[1], listing[2], bool(listing[3]), token)
            elif file := re.fullmatch(r"/([^/]+/[^/]+|[^/]+)/resolve/([^/]+)/(.+)", path):
                self.resolve(file[1], file[2], file[3], token)
            else:
                self.send(404, [], b"")

        def list(self, name, revision, refs, token):
            if hub.listing_faults:
                return hub.listing_faults.popleft()(self, b"", 0)
            repository = hub.find(self, name, token)
            if not repository:
                return None
            if refs:
                kinds = {"branches": ("heads", repository.branches), "tags": ("tags", repository.tags), "converts": ("", ())}
                named = {
                    kind: [
                        {"name": name, "ref": f"refs/{place}/{name}", "targetCommit": repository.commit} for name in names
                    ]
                    for kind, (place, names) in kinds.items()
                }
                return self.send(200, [("Content-Type", "application/json")], json.dumps(named).encode())
            if revision and revision not in (*repository.branches, *repository.tags, repository.commit):
                return self.refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            blobs = "blobs=" in self.path
            told = hub.listing or {
                "id": name,
                "modelId": name,
                "sha": repository.commit,
                "private": repository.private,
                "gated": "auto" if repository.gated else False,
                "siblings": [repository.sibling(path, blobs) for path in repository.files],
            }
            return self.send(200, [("Content-Type", "application/json")], json.dumps(told).encode())

        def resolve(self, name, commit, file, token):
            repository = hub.find(self, name, token)
            if not repository:
                return None
            if repository.gated and not token:
                return self.refuse(401, "GatedRepo", f"Access to model {name} is restricted.")
            if commit not in (repository.commit, *repository.branches):
                return self.refuse(404, "RevisionNotFound", f"Invalid rev id: {commit}")
            if file not in repository.files:
                return self.refuse(404, "EntryNotFound", "Entry not found")
            content = repository.files[file]
            if not file.endswith(LARGE):
                self.more = [("X-Repo-Commit", repository.commit), ("ETag", f'"{git_digest(content)}"')]
                return self.give(file, content)
            headers = [
                ("X-Repo-Commit", repository.commit),
                ("X-Linked-Size", str(len(content))),
                ("X-Linked-Etag", f'"{sha256(content)}"'),
                ("Location", hub.redirect or f"{hub.storage}/{name}/{file}?Expires=1&Signature=abc"),
            ]
            return self.send(302, headers, b"")

    class Storage(Answering):
        def answer(self, _):
            self.note("storage")
            path = unquote(urlsplit(self.path).path)
            name, file = next((name, path[len(name) + 2 :]) for name in hub.repositories if path.startswith(f"/{name}/"))
            content = hub.repositories[name].files[file]
            self.more = [("ETag", f'"{sha256(content)}"')]
            self.give(file, content)

    with listening(Pages) as pages, listening(Storage) as storage:
        hub.endpoint, hub.storage = f"http://{pages}", f"http://{storage}"
        yield hub
