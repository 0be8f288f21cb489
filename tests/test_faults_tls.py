"""TLS to the store: with the right certificates it is read, with others it ends in a clear error in time."""

import socket
import struct
import threading

import pytest

from support.certificates import Authority, endpoint
from support.endpoints import accepting
from support.faults import PATIENT, ask, assert_right, assert_unreachable
from support.object_store import reset, serve, stall, truncate
from support.processes import ROOT


@pytest.fixture
def authority(tmp_path) -> Authority:
    """The authority that functions are told to trust."""
    return Authority(tmp_path / "trusted", "trusted")


@pytest.fixture
def secured(function, authority):
    """Starts the function on an endpoint with TLS."""

    def start(address: str, **variables: str):
        return function(EMBER_S3_ENDPOINT=f"https://{address}", AWS_CA_BUNDLE=str(authority.bundle), **variables)

    return start


def reason(server) -> str:
    """Why the last load failed, as the log tells it."""
    return [record["error"] for record in server.records() if record["message"] == "model not loaded"][-1]


def test_a_package_comes_over_tls(secured, shop, authority):
    with serve(shop, endpoint(authority.certificate())) as address:
        assert_right(ask(secured(address, **PATIENT)), shop)


PASSING = {"reset": reset(), "cut short": truncate(50), "silent midway": stall(50)}


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
def test_a_fault_that_passes_is_not_noticed_over_tls(secured, shop, authority, fault):
    shop.script(shop.key, fault, None, None, fault)
    with serve(shop, endpoint(authority.certificate())) as address:
        assert_right(ask(secured(address)), shop)


def unknown(authority: Authority, folder):
    return Authority(folder / "other", "other").certificate()


def copied_name(authority: Authority, folder):
    return Authority(folder / "other", "trusted").certificate()


WRONG = {
    "of an unknown authority": (unknown, "UnknownIssuer"),
    "of an authority of the same name": (copied_name, "BadSignature"),
    "that has expired": (lambda authority, _: authority.certificate(ended=True), "expired"),
    "for another address": (lambda authority, _: authority.certificate("127.0.0.2"), "not valid for"),
    "for another host": (lambda authority, _: authority.certificate("elsewhere.example"), "not valid for"),
}


@pytest.mark.parametrize("make, why", WRONG.values(), ids=WRONG)
def test_a_certificate_that_is_wrong_is_told_in_time_and_its_renewal_is_noticed(
    secured, shop, authority, tmp_path, make, why
):
    context = endpoint(make(authority, tmp_path))
    with serve(shop, context) as address:
        server = secured(address)
        message = assert_unreachable(ask(server))
        for text in (message, reason(server)):
            assert "certificate" in text and why in text and len(text) < 400, text
        assert shop.requests == []
        context.load_cert_chain(authority.certificate())
        assert_right(ask(server), shop)


def test_the_authorities_of_the_system_do_not_vouch_for_ours(function, shop, authority):
    with serve(shop, endpoint(authority.certificate())) as address:
        server = function(EMBER_S3_ENDPOINT=f"https://{address}")
        assert "certificate" in assert_unreachable(ask(server))


@pytest.mark.parametrize("bundle", ["nowhere.pem", "README.md"])
def test_a_bundle_that_cannot_be_used_is_told_with_its_variable(function, shop, bundle):
    server = function(EMBER_S3_ENDPOINT="https://127.0.0.1:9", AWS_CA_BUNDLE=str(ROOT / bundle))
    assert_unreachable(ask(server))
    assert "AWS_CA_BUNDLE" in reason(server) and bundle in reason(server)


def hello(connection: socket.socket) -> None:
    """Takes the client's first message."""
    length = struct.unpack(">xxxH", connection.recv(5, socket.MSG_WAITALL))[0]
    connection.recv(length, socket.MSG_WAITALL)


def after_hello(act):
    def handle(connection: socket.socket) -> None:
        hello(connection)
        act(connection)

    return handle


def reset_connection(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


HANDSHAKES = {
    "closed at once": lambda connection: None,
    "closed in the handshake": after_hello(lambda connection: None),
    "reset in the handshake": after_hello(reset_connection),
    "silent in the handshake": after_hello(lambda connection: threading.Event().wait(60)),
    "refused by an alert": after_hello(lambda connection: connection.sendall(b"\x15\x03\x03\x00\x02\x02\x28")),
    "without TLS": after_hello(lambda connection: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")),
}


@pytest.mark.parametrize("act", HANDSHAKES.values(), ids=HANDSHAKES)
def test_a_handshake_that_fails_is_told_in_time(secured, act):
    with accepting(act) as address:
        server = secured(address)
        message = assert_unreachable(ask(server))
        for text in (message, reason(server)):
            assert len(text) < 400, text
