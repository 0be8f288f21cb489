"""Packages that came whole and are wrong: refused with what is wrong with them, and the right one is taken after."""

import json

import pytest

from support.answers import refusal
from support.blake3 import digest
from support.faults import PART, PATIENT, ask, assert_right
from support.object_store import POINTER
from support.packages import flipped, sections, with_graph


@pytest.fixture
def put_in_force(shop):
    """Puts bytes in force as the package that they are said to be."""

    def put(named: str, package: bytes) -> str:
        key = f"models/diagnosis/{named}.ember"
        shop.put(key, package)
        shop.point(named)
        return key

    return put


def test_a_pointer_at_another_models_package_is_told(function, shop, packages, put_in_force):
    put_in_force(packages["digits"].digest, packages["digits"].bytes())
    assert "digits" in refusal(ask(function()), 500, "package_corrupt")["message"]


@pytest.mark.parametrize("pointer", [b"", b"{", b'{"digest": 7}', b'{"digest": "zz"}', b"\xff", b"[" * 60_000])
def test_a_pointer_that_makes_no_sense_is_told(function, shop, pointer):
    shop.put(POINTER, pointer)
    server = function()
    assert POINTER in refusal(ask(server), 500, "package_corrupt")["message"]
    shop.point(shop.digest)
    assert_right(ask(server), shop)


def test_a_pointer_that_is_far_too_long_is_not_read(function, shop):
    shop.put(POINTER, b" " * 2**20)
    assert "1048576 bytes" in refusal(ask(function()), 503, "store_unreachable")["message"]


def test_a_pointer_at_a_package_with_other_bytes_is_told(function, shop, second_package, put_in_force):
    put_in_force(shop.digest, second_package.bytes())
    message = refusal(ask(function()), 500, "package_corrupt")["message"]
    assert shop.digest in message and second_package.digest in message


def test_a_byte_that_stays_flipped_is_told_with_the_section(function, shop, put_in_force):
    start, end = sections(shop.package)["hidden.weights"]
    put_in_force(shop.digest, flipped(shop.package, (start + end) // 2))
    server = function()
    assert '"hidden.weights"' in refusal(ask(server), 500, "package_corrupt")["message"]
    put_in_force(shop.digest, shop.package)
    assert_right(ask(server), shop)


CUT = {"nothing": 0, "some of its length": 5, "some of its header": 500, "some of its weights": 20_000}


@pytest.mark.parametrize("length", CUT.values(), ids=CUT)
def test_a_package_that_ends_early_in_the_store_is_told(function, shop, put_in_force, length):
    put_in_force(shop.digest, shop.package[:length])
    refusal(ask(function()), 500, "package_corrupt")


def test_a_package_of_a_newer_format_is_told(function, shop, put_in_force):
    named, package = newer(shop.package)
    key = put_in_force(named, package)
    assert "format" in refusal(ask(function(**PATIENT)), 500, "package_unsupported")["message"]
    assert len(shop.ranges(key)) == -(-len(package) // PART)


def newer(package: bytes) -> tuple[str, bytes]:
    """A package whose format is one that nobody knows yet, with its digest."""
    length = int.from_bytes(package[:8], "little")
    header = json.loads(package[8 : 8 + length])
    manifest = json.loads(header["__metadata__"]["manifest"])
    text = json.dumps({**manifest, "format": 1000})
    header["__metadata__"] = {"manifest": text, "manifest_blake3": digest(text.encode())}
    encoded = json.dumps(header).encode()
    whole = len(encoded).to_bytes(8, "little") + encoded + package[8 + length :]
    return digest(whole), whole


def test_a_package_that_is_larger_than_the_memory_is_told_before_it_is_read(function, shop):
    shop.put(shop.key, shop.package + bytes(2 * 1024 * 1024))
    server = function(AWS_LAMBDA_FUNCTION_MEMORY_SIZE="1")
    assert "1048576 bytes of memory" in refusal(ask(server), 500, "package_unsupported")["message"]
    assert len(shop.ranges(shop.key)) == 1


def graph(right: str, fragment: str = "") -> str:
    head = "version 1.0;\n\nextension tract_registry tract_core;\n"
    return f"{head}{fragment}\ngraph network(input) -> (b)\n{{\n  b = {right};\n}}\n"


DEEP, ENDLESS = "nests too deep", "calls itself"
HOSTILE = {
    "brackets that nest": (graph("[" * 1400), DEEP),
    "brackets that nest and end": (graph("[" * 40 + "input" + "]" * 40), DEEP),
    "signs": (graph("- " * 700 + "input"), DEEP),
    "sums": (graph("input + " * 180 + "input"), DEEP),
    "a dimension that nests": (graph(f'tract_core_external(shape = ["{"(" * 1200}"], datum_type = "F32")'), DEEP),
    "a fragment that calls itself": (
        graph("f(1.0)", "fragment f(x: tensor<scalar>) -> (y: tensor<scalar>) { y = f(x); }"),
        ENDLESS,
    ),
}


@pytest.mark.parametrize("text, why", HOSTILE.values(), ids=HOSTILE)
def test_a_graph_that_would_exhaust_stack_or_time_is_refused(function, shop, put_in_force, text, why):
    put_in_force(*with_graph(shop.package, text))
    server = function()
    message = refusal(ask(server), 500, "package_unsupported")["message"]
    assert why in message and len(message) < 400, message
    shop.point(shop.digest)
    assert_right(ask(server), shop)
