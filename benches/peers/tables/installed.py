"""Prints as JSON what the peer is made of: each distribution with its version and its size on disk."""

import json
import re
from importlib.metadata import PackageNotFoundError, distribution

ROOTS = ["flask", "waitress", "onnxruntime", "numpy", "boto3"]


def closure(names: list[str]) -> dict[str, dict]:
    found: dict[str, dict] = {}
    waiting = list(names)
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in found:
            continue
        try:
            package = distribution(name)
        except PackageNotFoundError:
            continue
        paths = [package.locate_file(file) for file in package.files or []]
        size = sum(path.stat().st_size for path in paths if path.is_file())
        found[name] = {"version": package.version, "bytes": size}
        plain = [requirement for requirement in package.requires or [] if ";" not in requirement]
        waiting += [re.match(r"[A-Za-z0-9._-]+", requirement)[0] for requirement in plain]
    return found


if __name__ == "__main__":
    print(json.dumps(closure(ROOTS)))
