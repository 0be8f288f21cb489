"""The real NGINX in front of two processes of `generate`, with the configuration of infra/nginx."""

import concurrent.futures
import json
import signal
import threading

import pytest
import requests

from support import endpoints
from support.nginx import PROGRAM, Nginx
from support.processes import ROOT, wait_until

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="NGINX is not installed: apt-get install nginx-light")
ASKED = {"model": "writer", "prompt": "the cat", "max_tokens": 4}


@pytest.fixture
def behind(start_generate):
    """Two processes."""
    return [start_generate() for _ in range(2)]


@pytest.fixture
def start_nginx(behind, tmp_path, log_file):
    started = []

    def start(**options: str) -> Nginx:
        started.append(Nginx(tmp_path, [server.port for server in behind], log_file("nginx"), **options))
        return started[-1]

    yield start
    for process in started:
        process.stop()


def has_loaded(server) -> bool:
    """Whether somebody has asked a process for its model's text."""
    return "emberlite_cold_start_seconds{" in server.get("/metrics").text


def test_both_processes_get_requests(start_nginx, behind):
    nginx = start_nginx()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: nginx.post("/v1/completions", json=ASKED), range(32)))
    assert {answer.status_code for answer in answers} == {200}
    assert all(has_loaded(server) for server in behind)


def test_a_text_comes_piece_by_piece(start_generate, tmp_path, log_file):
    server = start_generate(EMBER_STORE=str(ROOT), EMBER_MODEL="storyteller")
    asked = {"prompt": "Once upon a time", "stream": True, "max_tokens": 100, "seed": 1}
    nginx = Nginx(tmp_path, [server.port], log_file("nginx"))
    try:
        with nginx.post("/v1/completions", json=asked, stream=True, headers={"Accept-Encoding": "gzip"}) as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            assert "content-encoding" not in response.headers
            pieces = list(response.iter_content(None))
    finally:
        nginx.stop()
    events = [line for line in b"".join(pieces).decode().splitlines() if line.startswith("data: ")]
    assert events[-1] == "data: [DONE]"
    assert all(json.loads(line.removeprefix("data: ")) for line in events[:-1])
    assert len(pieces) > 10


def test_a_piece_is_passed_on_before_the_next_one_is_there(tmp_path, log_file):
    first_has_come = threading.Event()

    class Writer(endpoints.Handler):
        def answer(self, _):
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"a\r\ndata: one\n\r\n")
            assert first_has_come.wait(20)
            self.wfile.write(b"a\r\ndata: two\n\r\n0\r\n\r\n")

    with endpoints.listening(Writer) as address:
        nginx = Nginx(tmp_path, [int(address.rsplit(":", 1)[1])], log_file("nginx"))
        try:
            with nginx.post("/", data=b"x", stream=True) as response:
                lines = response.iter_lines()
                assert next(lines) == b"data: one"
                first_has_come.set()
                assert next(lines) == b"data: two"
        finally:
            nginx.stop()


def test_a_process_that_is_killed_fails_no_request(start_nginx, behind):
    nginx = start_nginx()
    assert nginx.post("/v1/completions", json=ASKED).status_code == 200
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(nginx.post, "/v1/completions", json=ASKED) for _ in range(20)]
        answers[0].result()
        behind[0].signal(signal.SIGKILL)
        answers += [pool.submit(nginx.post, "/v1/completions", json=ASKED) for _ in range(20)]
        statuses = [answer.result().status_code for answer in answers]
    assert statuses == [200] * 40


def test_a_body_that_is_too_large_is_refused(start_nginx):
    nginx = start_nginx(body_limit="2k")
    assert nginx.post("/v1/completions", json={**ASKED, "prompt": "x" * 3000}).status_code == 413
    assert nginx.post("/v1/completions", json=ASKED).status_code == 200


def test_health_is_told_of_the_processes_and_of_nginx_alone(start_nginx, behind):
    nginx = start_nginx()
    assert requests.get(f"{nginx.url}/healthz", timeout=10).json() == {"status": "ok"}
    for server in behind:
        server.signal(signal.SIGKILL)
    wait_until(lambda: all(server.has_ended() for server in behind), "both have ended")
    assert requests.get(f"{nginx.url}/healthz", timeout=10).status_code == 502
    assert requests.get(f"{nginx.url}/nginx-health", timeout=10).text == "ok\n"
