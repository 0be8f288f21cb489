"""An S3 endpoint that keeps its objects in memory and misbehaves on purpose, request by request."""

import hashlib
import json
import re
import socket
import ssl
import struct
import threading
from collections import defaultdict, deque
from dataclasses import dataclass
from typing import Callable

from support.endpoints import Handler, listening

BUCKET = "ember"
POINTER = "models/diagnosis/current.json"


@dataclass(frozen=True)
class Fault:
    """What happens to one request instead of its answer: `act(handler, store, key)` answers True where it is done."""

    act: Callable[["Handler", "ObjectStore", str], bool]


def status(code: int, name: str) -> Fault:
    """An error as S3 sends it."""

    def act(handler, _store, _key):
        handler.fail(code, name)
        return True

    return Fault(act)


def reset() -> Fault:
    """The connection is reset before the answer."""

    def act(handler, _store, _key):
        handler.reset()
        return True

    return Fault(act)


def stall(after: int = -1) -> Fault:
    """So many bytes of the body come, then none, while the connection stays open; by default no answer at all."""

    def act(handler, store, key):
        if after >= 0:
            handler.begin(store, key, after)
        store.released.wait(60)
        handler.close_connection = True
        return True

    return Fault(act)


def trickle() -> Fault:
    """The body comes byte by byte, slower than anybody can wait for, yet never silent for long."""

    def act(handler, store, key):
        body = handler.begin(store, key, 0)
        for byte in body:
            if store.released.wait(0.05):
                break
            handler.wfile.write(bytes([byte]))
            handler.wfile.flush()
        handler.close_connection = True
        return True

    return Fault(act)


def truncate(after: int) -> Fault:
    """The connection is reset after so many bytes of the body."""

    def act(handler, store, key):
        handler.begin(store, key, after)
        handler.reset()
        return True

    return Fault(act)


def end(after: int) -> Fault:
    """The connection is closed after so many bytes of the body, all of which arrive: a reset may overtake some."""

    def act(handler, store, key):
        handler.begin(store, key, after)
        handler.close_connection = True
        return True

    return Fault(act)


def flip() -> Fault:
    """One bit of the body's first byte is turned; headers are as ever."""

    def act(handler, store, key):
        handler.body = lambda body: bytes([body[0] ^ 1]) + body[1:]
        return False

    return Fault(act)


def replace(content: bytes) -> Fault:
    """Somebody replaces the object just before the request."""

    def act(_handler, store, key):
        store.put(key, content)
        return False

    return Fault(act)


def without_ranges() -> Fault:
    """The whole object is sent, whatever range was asked for."""

    def act(handler, _store, _key):
        del handler.headers["Range"]
        return False

    return Fault(act)


class ObjectStore:
    """The objects, the faults to come, and the requests that came."""

    def __init__(self):
        self.objects: dict[str, bytes] = {}
        self.etags: dict[str, str] = {}
        # How often the names of the models were listed.
        self.listings = 0
        self.fails_to_list = False
        self.requests: list[tuple[str, str | None, str | None]] = []
        self.released = threading.Event()
        self._faults: dict[str, deque[Fault | None]] = defaultdict(deque)
        self._always: dict[str, Fault] = {}
        self.lock = threading.Lock()

    def put(self, key: str, content: bytes) -> None:
        self.objects[key] = content
        self.etags[key] = f'"{hashlib.md5(content).hexdigest()}"'

    def script(self, key: str, *faults: Fault | None) -> None:
        """What happens to the next requests for this key; `None` lets one pass."""
        self._faults[key].extend(faults)

    def always(self, key: str, fault: Fault | None) -> None:
        """What happens to all requests for this key beyond those of its script."""
        self._always[key] = fault

    def next_fault(self, key: str) -> Fault | None:
        with self.lock:
            return self._faults[key].popleft() if self._faults[key] else self._always.get(key)

    def note(self, key: str, handler) -> None:
        with self.lock:
            self.requests.append((key, handler.headers.get("Range"), handler.headers.get("If-Match")))

    def ranges(self, key: str) -> list[str | None]:
        """The ranges that were asked for, in the order of the requests."""
        return [range_ for asked, range_, _ in self.requests if asked == key]


class Shop(ObjectStore):
    """A store with the model diagnosis in force."""

    def __init__(self, package):
        super().__init__()
        self.digest, self.package = package.digest, package.bytes()
        self.key = f"models/diagnosis/{self.digest}.ember"
        self.put(self.key, self.package)
        self.point(self.digest)
        # What a function needs to be told to use it.
        self.env: dict[str, str] = {}

    def point(self, digest: str) -> None:
        self.put(POINTER, json.dumps({"digest": digest}).encode())


def serve(store: ObjectStore, tls: ssl.SSLContext | None = None):
    """A running endpoint for a store; use as a context manager for its address."""

    class S3(Handler):
        def setup(self):
            super().setup()
            self.body = lambda body: body

        def answer(self, _):
            key = self.path.split("?")[0].removeprefix(f"/{BUCKET}/")
            if key.startswith("/") or "list-type" in self.path:
                self.list()
                return
            self.body = lambda body: body
            store.note(key, self)
            fault = store.next_fault(key)
            if fault and fault.act(self, store, key):
                return
            self.begin(store, key, None)

        def begin(self, _store, key: str, length: int | None) -> bytes:
            """Sends the headers and so many bytes of the body, by default all; returns the whole body."""
            content = store.objects.get(key)
            if content is None:
                self.fail(404, "NoSuchKey")
                return b""
            if self.headers.get("If-Match") not in (None, store.etags[key]):
                self.fail(412, "PreconditionFailed")
                return b""
            headers = [("ETag", store.etags[key]), ("Content-Type", "application/octet-stream")]
            code, body = 200, content
            if wanted := re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range") or ""):
                start, end = int(wanted[1]), min(int(wanted[2]), len(content) - 1)
                if start >= len(content):
                    self.fail(416, "InvalidRange")
                    return b""
                code, body = 206, content[start : end + 1]
                headers.append(("Content-Range", f"bytes {start}-{end}/{len(content)}"))
            body = self.body(body)
            self.send_response(code)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body if length is None else body[:length])
            self.wfile.flush()
            return body

        def list(self) -> None:
            with store.lock:
                store.listings += 1
            if store.fails_to_list:
                self.fail(503, "SlowDown")
                return
            folders = sorted({key.rsplit("/", 1)[0] for key in store.objects if key.startswith("models/")})
            found = "".join(f"<CommonPrefixes><Prefix>{folder}/</Prefix></CommonPrefixes>" for folder in folders)
            body = f"<?xml version='1.0'?><ListBucketResult><IsTruncated>false</IsTruncated>{found}</ListBucketResult>"
            self.send(200, [("Content-Type", "application/xml")], body.encode())

        def fail(self, code: int, name: str) -> None:
            body = f"<?xml version='1.0'?><Error><Code>{name}</Code><Message>on purpose</Message></Error>"
            self.send(code, [("Content-Type", "application/xml")], body.encode())

        def reset(self) -> None:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            # Both hold the socket; with the last of them the reset goes out.
            self.rfile.close()
            self.connection.close()
            self.close_connection = True

        def handle(self):
            try:
                super().handle()
            except (ConnectionError, ValueError, OSError):
                # The client went away, or was reset.
                self.close_connection = True

        def finish(self):
            try:
                super().finish()
            except (OSError, ValueError):
                pass

    return listening(S3, tls)
