"""A server that looks like `emberlite serve` with language models, to see what the page makes of awkward streams."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from support.processes import ROOT

PAGE = ROOT / "cli/src/serve/page"
POLICY = "default-src 'self'; img-src 'self' data: blob:; style-src 'self'; frame-ancestors 'none'"
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
TALE = "Once there was a café on the moon, where the cat 🐈 and the “old” king had tea.\nThe end."
DESCRIBED = {
    "name": "storyteller",
    "digest": "0" * 64,
    "package_bytes": 1_400_000,
    "task": "generate",
    "description": "Goes on with a story, or tells one about what you wish for.",
    "licence": "MIT OR Apache-2.0",
    "labels": [],
    "inputs": [{"name": "tokens", "dtype": "INT64", "shape": [1, "T"]}],
    "outputs": [{"name": "logits", "dtype": "FP32", "shape": [1, "R", 2048], "role": "values"}],
    "features": [],
    "image": None,
    "text": None,
    "generate": {
        "context_tokens": 512,
        "vocabulary": 2048,
        "chat": True,
        "sampling": {"temperature": 0.7, "top_p": 0.9},
        "perplexity": {"text": "tale.txt", "tokens": 890, "source": 40.12, "packed": 40.98},
    },
    "examples": [
        {"title": "The lion", "input": {"messages": [{"role": "user", "content": "Tell me a story about the Lion."}]}},
        {"title": "Once upon a time", "input": {"prompt": "Once upon a time there was a little girl"}},
    ],
}
MODELS = {
    "storyteller": DESCRIBED,
    "notes": DESCRIBED | {"name": "notes", "examples": [], "generate": DESCRIBED["generate"] | {"chat": False}},
}


def tokens(text: str) -> list[str]:
    """Pieces of a text, each as long as a token may be."""
    return [text[at : at + 4] for at in range(0, len(text), 4)]


class StandIn:
    """Answers with `tale`; `behaviour` tells how: whole, at_once, slow, refused, failing or broken_off."""

    def __init__(self):
        self.behaviour = "whole"
        self.tale = TALE
        # The bodies of the requests for texts, and how many of their clients went away before the end.
        self.bodies: list[dict] = []
        self.left = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self):
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_) -> None:
                pass

            def do_GET(self) -> None:
                path = self.path.split("?")[0]
                file = PAGE / (path.lstrip("/") or "index.html")
                model = MODELS.get(path.removeprefix("/models/"))
                if path == "/models":
                    known = [{"name": name, "loaded": True, "default": name == "storyteller"} for name in MODELS]
                    self.answer(200, "application/json", json.dumps({"models": known}).encode())
                elif model:
                    self.answer(200, "application/json", json.dumps(model).encode())
                elif file.is_file():
                    self.answer(200, TYPES[file.suffix], file.read_bytes())
                else:
                    self.answer(404, "application/json", b'{"error":{"code":"unknown_model","message":"no such path"}}')

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                stand_in.bodies.append({"path": self.path, **body})
                if stand_in.behaviour == "refused":
                    error = {"message": "the prompt has 600 tokens, the context 512", "type": "invalid_request_error"}
                    error |= {"param": "messages", "code": "context_length_exceeded"}
                    self.answer(400, "application/json", json.dumps({"error": error}).encode())
                    return
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.send_header("Connection", "close")
                self.end_headers()
                self.close_connection = True
                try:
                    self.stream(stand_in, self.path.endswith("chat/completions"))
                except OSError:
                    stand_in.left += 1

            def stream(self, stand_in: "StandIn", is_chat: bool) -> None:
                text = tokens(stand_in.tale)
                events = [event(piece, is_chat) for piece in text]
                if is_chat:
                    events.insert(0, event(None, is_chat))
                done = [event("", is_chat, "stop"), usage(len(text)), "data: [DONE]\n\n"]
                if stand_in.behaviour == "slow":
                    # No end until the client leaves.
                    for each in events * 100:
                        self.send(each.encode())
                        time.sleep(0.05)
                    return
                half = events[: len(events) // 2]
                failure = {"error": {"message": "the model failed", "type": "server_error", "code": "model_failed"}}
                ends = {"failing": [*half, f"data: {json.dumps(failure)}\n\n"], "broken_off": half}
                stream = "".join(ends.get(stand_in.behaviour, [*events, *done])).encode()
                # Split within lines, within characters, between the two ends of a line.
                size = len(stream) if stand_in.behaviour == "at_once" else 37
                for at in range(0, len(stream), size):
                    self.send(stream[at : at + size])
                    time.sleep(0.002)

            def send(self, data: bytes) -> None:
                self.wfile.write(data)
                self.wfile.flush()

            def answer(self, status: int, media_type: str, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", media_type)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Content-Security-Policy", POLICY)
                self.end_headers()
                self.wfile.write(body)

        return Handler


def event(piece: str | None, is_chat: bool, reason: str | None = None) -> str:
    """A piece of an answer as OpenAI frames it; `None` only says who speaks."""
    if is_chat:
        choice = {"index": 0, "delta": {"role": "assistant", "content": ""} if piece is None else {"content": piece}}
    else:
        choice = {"index": 0, "text": piece}
    body = {"object": "chat.completion.chunk" if is_chat else "text_completion", "choices": [choice | {"finish_reason": reason}]}
    return f"data: {json.dumps(body, ensure_ascii=False)}\r\n\r\n"


def usage(completion_tokens: int) -> str:
    counts = {"prompt_tokens": 12, "completion_tokens": completion_tokens, "total_tokens": 12 + completion_tokens}
    return f"data: {json.dumps({'choices': [], 'usage': counts})}\n\n"
