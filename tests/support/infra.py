"""The files of infra/, as what they say: YAML, JSON, and Terraform's language without its quotes."""

import json
import re
from pathlib import Path

import hcl2
import yaml

from support.processes import ROOT

INFRA = ROOT / "infra"


def read_yaml(path: str) -> dict:
    return yaml.safe_load((INFRA / path).read_text())


def read_json(path: str) -> dict:
    return json.loads((INFRA / path).read_text())


def _plain(value):
    """Labels and texts without the quotes that the parser leaves around them, and no marks of its own."""
    if isinstance(value, dict):
        return {_plain(name): _plain(inner) for name, inner in value.items() if not name.startswith("__")}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, str) and len(value) > 1 and value[0] == value[-1] == '"':
        return value[1:-1]
    return value


def terraform(folder: str) -> dict[str, dict[str, dict]]:
    """The resources of a configuration: by type, then by name."""
    resources: dict[str, dict[str, dict]] = {}
    for file in sorted((INFRA / folder).glob("*.tf")):
        with file.open() as stream:
            document = _plain(hcl2.load(stream))
        for block in document.get("resource", []):
            for kind, named in block.items():
                resources.setdefault(kind, {}).update(named)
    return resources


def references(folder: str) -> set[tuple[str, str]]:
    """What a configuration's texts and expressions name of its own resources: types and names."""
    text = "\n".join(file.read_text() for file in (INFRA / folder).glob("*.tf"))
    return set(re.findall(r"\b(google_[a-z0-9_]+)\.([a-z_]+)\b", text))


def container(file: Path) -> dict[str, list[str]]:
    """The instructions of a Containerfile's last stage, by their names."""
    text = file.read_text().replace("\\\n", " ")
    lines = [line.split(None, 1) for line in text.splitlines() if line.strip() and not line.startswith("#")]
    stage: dict[str, list[str]] = {}
    for name, value in lines:
        if name == "FROM":
            stage = {}
        stage.setdefault(name, []).append(value)
    return stage
