"""Packages to test with: the demo models packed by the real command, variants of them, and their sections."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from support.blake3 import digest
from support.processes import ROOT, environment

MODELS = ("credit", "diagnosis", "digits")


@dataclass(frozen=True)
class Package:
    """A package file and what the packer said of it."""

    file: Path
    digest: str
    manifest: dict

    def bytes(self) -> bytes:
        return self.file.read_bytes()


@dataclass(frozen=True)
class Command:
    """The command `emberlite`."""

    binary: Path
    folder: Path
    # How long it may take.
    seconds: float = 120

    def __call__(self, *arguments, env: dict[str, str] | None = None) -> subprocess.CompletedProcess:
        """Runs the command to its end, whatever its exit status."""
        return subprocess.run(
            [self.binary, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=self.seconds,
            env=environment(**(env or {})),
            cwd=self.folder,
        )

    def json(self, *arguments, env: dict[str, str] | None = None) -> dict:
        """What the command answers with `--json`; fails where the command does."""
        done = self(*arguments, "--json", env=env)
        assert done.returncode == 0, f"emberlite {arguments[0]} failed:\n{done.stderr}"
        return json.loads(done.stdout)

    def pack(self, source: Path, output: Path) -> Package:
        report = self.json("pack", source, "-o", output)
        return Package(output, report["digest"], report["manifest"])


def variant(emberlite: Command, model: str, description: str, folder: Path) -> Package:
    """A package of a demo model that differs in its description, and so in its digest."""
    source = folder / f"{model}-recipe"
    source.mkdir(parents=True)
    recipe = (ROOT / "models" / model / "pack.toml").read_text()
    before = next(line for line in recipe.splitlines() if line.startswith("description = "))
    (source / "pack.toml").write_text(recipe.replace(before, f"description = {json.dumps(description)}"))
    shutil.copy(ROOT / "models" / model / f"{model}.onnx", source)
    return emberlite.pack(source, folder / f"{model}.ember")


def sections(package: bytes) -> dict[str, tuple[int, int]]:
    """Where each section begins and ends in the file, padding aside."""
    header_bytes = int.from_bytes(package[:8], "little")
    header = json.loads(package[8 : 8 + header_bytes])
    start = 8 + header_bytes
    entries = {name: entry["data_offsets"] for name, entry in header.items() if not name.startswith("__")}
    return {name: (start + begin, start + end) for name, (begin, end) in entries.items()}


def flipped(package: bytes, position: int) -> bytes:
    """The package with one bit of one byte turned."""
    broken = bytearray(package)
    broken[position] ^= 0x10
    return bytes(broken)


def with_graph(package: bytes, text: str) -> tuple[str, bytes]:
    """A package with another graph, of no more bytes than its own, that is intact in all else; with its digest."""
    start, end = sections(package)["graph.nnef"]
    graph = text.encode().ljust(end - start)
    assert len(graph) == end - start, f"the graph has {len(graph)} bytes, expected at most {end - start}"
    length = int.from_bytes(package[:8], "little")
    header = package[8 : 8 + length]
    manifest = json.loads(header)["__metadata__"]["manifest"]
    changed = manifest.replace(digest(package[start:end]), digest(graph))
    for old, new in ((package[start:end], graph), (manifest.encode(), changed.encode())):
        header = header.replace(digest(old).encode(), digest(new).encode())
    resealed = package[:8] + header + package[8 + length : start] + graph + package[end:]
    return digest(resealed), resealed
