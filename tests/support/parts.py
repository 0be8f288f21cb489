"""Files that another process is writing."""

from contextlib import suppress
from pathlib import Path


def sizes(folder: Path) -> dict[Path, int]:
    """The size of each part in the folder or below it, but for those that get their name while this looks."""
    found = {}
    for path in folder.rglob("*.part"):
        with suppress(FileNotFoundError):
            found[path] = path.stat().st_size
    return found
