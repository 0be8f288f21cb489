"""S3 endpoints that misbehave: silent, denying, slow, or letting a rival push first."""

import contextlib
import http.client
import socketserver
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from support.store import Bucket

DENIED = b"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"


class Handler(BaseHTTPRequestHandler):
    """Hands every request to `answer`."""

    protocol_version = "HTTP/1.1"

    def answer(self, body: bytes) -> None:
        raise NotImplementedError

    def handle_request(self) -> None:
        if self.headers.get("Transfer-Encoding") == "chunked":
            self.answer(b"".join(iter(self._read_chunk, b"")))
        else:
            self.answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def _read_chunk(self) -> bytes:
        chunk = self.rfile.read(int(self.rfile.readline(), 16))
        self.rfile.readline()
        return chunk

    do_GET = do_PUT = do_HEAD = do_POST = handle_request

    def send(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def listening(handler: type[BaseHTTPRequestHandler], tls: ssl.SSLContext | None = None):
    """The address of a server that runs within the block, over TLS where a context is given."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if tls:
        # Hands are shaken by the thread that reads, so that nobody has to wait for a slow one.
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    with _running(server) as address:
        yield address


@contextlib.contextmanager
def accepting(act):
    """The address of a server that hands every new connection to `act`, and closes it then."""

    class Connection(socketserver.BaseRequestHandler):
        def handle(self):
            with contextlib.suppress(OSError):
                act(self.request)

    with _running(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Connection)) as address:
        yield address


@contextlib.contextmanager
def _running(server: socketserver.ThreadingMixIn):
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def silent():
    """The URL of an endpoint that takes requests and never answers them."""
    done = threading.Event()

    class Silent(Handler):
        def answer(self, _):
            done.wait(60)
            self.close_connection = True

    with listening(Silent) as address:
        try:
            yield f"http://{address}"
        finally:
            done.set()


@contextlib.contextmanager
def denying():
    """The URL of an endpoint that forbids everything."""

    class Denying(Handler):
        def answer(self, _):
            self.send(403, [("Content-Type", "application/xml")], DENIED)

    with listening(Denying) as address:
        yield f"http://{address}"


@contextlib.contextmanager
def before_each(bucket: Bucket, act):
    """The URL of an endpoint that calls `act(method, path)`, then lets the bucket's own endpoint answer."""
    upstream = bucket.env["EMBER_S3_ENDPOINT"].removeprefix("http://")

    class Between(Handler):
        def answer(self, body):
            act(self.command, self.path.split("?")[0])
            connection = http.client.HTTPConnection(upstream, timeout=30)
            connection.request(self.command, self.path, body, dict(self.headers))
            answer = connection.getresponse()
            content = answer.read()
            connection.close()
            ours = ("connection", "content-length", "transfer-encoding")
            self.send(answer.status, [pair for pair in answer.getheaders() if pair[0].lower() not in ours], content)

    with listening(Between) as address:
        yield f"http://{address}"


@contextlib.contextmanager
def rival(bucket: Bucket, model: str, digest: str):
    """The URL of an endpoint where somebody else's push comes just before the first write of the pointer."""
    pushed = threading.Event()

    def push(method: str, path: str) -> None:
        if method == "PUT" and path.endswith("current.json") and not pushed.is_set():
            pushed.set()
            bucket.point(model, digest)

    with before_each(bucket, push) as endpoint:
        yield endpoint
    assert pushed.is_set()


@contextlib.contextmanager
def slow(bucket: Bucket, suffix: str, seconds: float):
    """The URL of an endpoint that takes this long for paths with this end, and the list of their requests."""
    seen = []

    def wait(_: str, path: str) -> None:
        if path.endswith(suffix):
            seen.append(path)
            threading.Event().wait(seconds)

    with before_each(bucket, wait) as endpoint:
        yield endpoint, seen
