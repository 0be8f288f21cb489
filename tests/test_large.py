"""Large packages: memory holds one once, and nothing is written to disk. EMBER_TEST_LARGE=1 takes one of 1 GiB."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from support import language, large
from support.object_store import BUCKET, ObjectStore, serve
from support.packages import Command, Package
from support.store import place_in_folder

# What a function may need beside its package and the pages of its own file, which depend on how it was built.
ALLOWED_BYTES = 30_000_000
# A layer of this model has 16 MiB of weights.
SIZE = language.Size(
    width=1024, layers=large.MEBIBYTES // 16, heads=8, key_heads=2, head_width=64, inner=960, deviation=0.03
)

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="module")
def package(binaries) -> Package:
    """A language model in single precision, whose files go away with its tests."""
    with TemporaryDirectory() as folder:
        source = language.write_folder(Path(folder) / "source", chat=False, size=SIZE)
        file = Path(folder) / "large.ember"
        command = Command(binaries.emberlite, Path(folder), seconds=1200)
        report = command.json("pack", source, "--name", "large", "--quantize", "none", "-o", file)
        (source / "model.safetensors").unlink()
        yield Package(file, report["digest"], report["manifest"])


@pytest.fixture
def start(start_generate, tmp_path):
    """Starts the function on a store; the folder for temporary files is empty then."""
    (tmp_path / "tmp").mkdir()
    own = {"EMBER_MODEL": "large", "TMPDIR": str(tmp_path / "tmp"), **large.PATIENT}
    return lambda **variables: start_generate(**own, **variables)


@pytest.fixture
def folder(package, tmp_path) -> Path:
    """A store in a folder."""
    place_in_folder(tmp_path / "store", "large", package.digest, package.bytes())
    return tmp_path / "store"


def text(server) -> dict:
    """What the model writes, with its probabilities; always the same."""
    body = {"model": "large", "prompt": "Once upon a time", "max_tokens": 8, "temperature": 0, "logprobs": 1}
    response = server.post("/v1/completions", json=body)
    assert response.status_code == 200, response.text
    return response.json()["choices"][0]["logprobs"]


def assert_bounded(server, package, tmp_path) -> None:
    """Beside its package the function needed little, and it wrote next to nothing."""
    package_bytes, peak, program = package.file.stat().st_size, server.peak_bytes(), server.program_bytes()
    [started] = [record for record in server.records() if record["message"] == "cold_start"]
    sizes = {"package": package_bytes, "peak": peak, "own": server.own_bytes(), "program": program}
    told = ", ".join(f"{name} {size / 1e6:.1f} MB" for name, size in sizes.items())
    print(f"{told}, first answer after {started['total_ms']:.0f} ms")
    assert peak - package_bytes - program <= ALLOWED_BYTES, told
    assert list((tmp_path / "tmp").iterdir()) == []
    assert server.written_bytes() < 2**20


def test_a_large_package_from_a_bucket_is_in_memory_once(start, package, folder, tmp_path):
    store = ObjectStore()
    store.put(f"models/large/{package.digest}.ember", package.bytes())
    store.put("models/large/current.json", json.dumps({"digest": package.digest}).encode())
    with serve(store) as address:
        server = start(EMBER_STORE=f"s3://{BUCKET}", EMBER_S3_ENDPOINT=f"http://{address}")
        written = text(server)
        assert_bounded(server, package, tmp_path)
    assert written == text(start(EMBER_STORE=str(folder)))


def test_a_large_package_from_a_folder_is_mapped(start, package, folder, tmp_path):
    server = start(EMBER_STORE=str(folder))
    text(server)
    # What is mapped counts as resident while there is room for it; what is of no file has to fit.
    assert_bounded(server, package, tmp_path)
    assert server.own_bytes() <= ALLOWED_BYTES
