"""More requests than there are places: those beyond are refused honestly, and memory stays bounded."""

import asyncio
import json
import resource
import socket
from pathlib import Path

import aiohttp
import pytest

from support import reference
from support.processes import ROOT, wait_until

CLIENTS = 1000
PLACES = 32
MEBIBYTE = 1 << 20
# What the HTTP library keeps for each connection at the most: it grows with the bodies that come by it.
BUFFER_BYTES = 8192 + 4096 * 100


def peak_bytes(pid: int) -> int:
    """The most memory that a process has had resident so far."""
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


@pytest.fixture
def many_files():
    """As many sockets as the clients need, in this process and those it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 3 * CLIENTS
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"no more than {hard} files may be open here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def ask_all(url: str, body: bytes) -> list[tuple[int, str | None, dict]]:
    """What each client is answered: status, Retry-After and body."""
    everybody = asyncio.Barrier(CLIENTS)

    async def ask(session: aiohttp.ClientSession) -> tuple[int, str | None, dict]:
        await everybody.wait()
        async with session.post(f"{url}/models/diagnosis/predict", data=body) as response:
            return response.status, response.headers.get("Retry-After"), await response.json()

    timeout = aiohttp.ClientTimeout(total=110)
    headers = {"Content-Type": "application/json"}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout, headers=headers) as session:
        return await asyncio.gather(*(ask(session) for _ in range(CLIENTS)))


@pytest.mark.parametrize("body_bytes", [4096, MEBIBYTE])
def test_a_thousand_clients_at_once_are_answered_or_told_to_come_again(many_files, predict_server, body_bytes):
    server = predict_server(EMBER_STORE=str(ROOT), EMBER_MODEL="diagnosis", EMBER_MAX_REQUESTS=str(PLACES))
    [row] = reference.random_rows("diagnosis", 1)
    assert server.predict("diagnosis", row).status_code == 200
    before = peak_bytes(server.pid)
    # The request, and blanks behind it.
    body = json.dumps({"input": row}).encode().ljust(body_bytes)
    answers = asyncio.run(ask_all(server.url, body))
    assert len(answers) == CLIENTS
    statuses = {status for status, *_ in answers}
    # How many find a place is a matter of speed.
    assert 200 in statuses and statuses <= {200, 503}
    refusals = [(retry_after, answer) for status, retry_after, answer in answers if status == 503]
    assert all(int(retry_after) > 0 and answer["error"]["code"] == "overloaded" for retry_after, answer in refusals)
    # What is kept are the bodies of those that have a place, twice while one grows, and the connections' buffers.
    kept = 2 * PLACES * body_bytes + CLIENTS * min(2 * body_bytes + 8192, BUFFER_BYTES)
    grown = peak_bytes(server.pid) - before
    print(f"{CLIENTS * body_bytes >> 20} MiB sent, {grown >> 20} MiB kept, {len(answers) - len(refusals)} answered")
    assert grown < kept + 64 * MEBIBYTE
    assert server.predict("diagnosis", row).status_code == 200


DIALECTS = [
    ("/predict", 503, lambda body: body["error"]["code"] == "overloaded"),
    ("/models/intents/classify", 503, lambda body: body["error"]["code"] == "overloaded"),
    ("/v1/completions", 503, lambda body: (body["error"]["code"], body["error"]["type"]) == ("overloaded", "server_error")),
    ("/embed", 429, lambda body: body["error_type"] == "overloaded"),
    ("/v2/models/digits/infer", 503, lambda body: isinstance(body["error"], str)),
]


def test_a_refusal_has_the_shape_of_its_path_and_whoever_only_looks_needs_no_place(serve):
    server = serve(EMBER_MAX_REQUESTS="1")
    body = json.dumps({"input": "Where is my card?"}).encode()
    head = f"POST /models/intents/classify HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port)) as holder:
        # Whose body is wanted has a place.
        holder.sendall(head.encode())
        assert holder.recv(64).startswith(b"HTTP/1.1 100 ")
        for path, status, has_shape in DIALECTS:
            response = server.post(path, json={"input": 1})
            assert (response.status_code, has_shape(response.json())) == (status, True), path
            assert int(response.headers["Retry-After"]) > 0
        for path in ("/healthz", "/models", "/metrics", "/v2/health/live"):
            assert server.get(path).status_code == 200
        holder.sendall(body)
        assert holder.recv(64).startswith(b"HTTP/1.1 200 ")
    assert server.post("/models/intents/classify", data=body, headers={"Content-Type": "application/json"}).status_code == 200


def test_an_answer_that_is_sent_in_parts_keeps_its_place_until_its_end(serve):
    server = serve(EMBER_MAX_REQUESTS="1")
    asked = {"input": "Where is my card?"}
    line = json.dumps(asked) + "\n"
    head = "POST /models/intents/classify HTTP/1.1\r\nHost: a\r\nContent-Type: application/jsonl\r\nTransfer-Encoding: chunked\r\n\r\n"

    def status() -> int:
        return server.post("/models/intents/classify", json=asked).status_code

    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        client.sendall(f"{head}{len(line):x}\r\n{line}\r\n".encode())
        received = b""
        while b"predicted_label" not in received:
            received += client.recv(4096)
        assert received.startswith(b"HTTP/1.1 200 ")
        assert status() == 503
        client.sendall(b"0\r\n\r\n")
        wait_until(lambda: status() == 200, "the place is free")
