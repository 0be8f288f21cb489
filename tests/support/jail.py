"""A container in miniature: a root folder with a binary and its libraries, mounted so that nobody may write, and nobody in it."""

import re
import shutil
import subprocess
from pathlib import Path

NOBODY = 65534

# The mounts are gone with the process: they are in a namespace of its own.
START = """
set -e
mount --bind {root} {root}
mount --bind {binary} {root}/function
mount --bind {store} {root}/store/models
mount -o remount,bind,ro {root}
mount -o remount,bind,ro {root}/store/models
! touch {root}/written 2>/dev/null
exec chroot --userspec={user}:{user} {root} /function
"""


def _run(*command) -> subprocess.CompletedProcess:
    return subprocess.run([str(part) for part in command], capture_output=True, text=True)


def is_possible() -> bool:
    """Whether this machine lets us make mounts of our own."""
    return bool(shutil.which("unshare")) and _run("unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt").returncode == 0


def command(root: Path, binary: Path, models: Path) -> list[str]:
    """Makes the root folder and answers what starts the binary in it."""
    root.chmod(0o755)
    (root / "store/models").mkdir(parents=True)
    (root / "function").touch()
    # A static binary has none.
    for library in re.findall(r"(/\S+) \(0x", _run("ldd", binary).stdout):
        place = root / library.removeprefix("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, place)
    script = START.format(root=root, binary=binary, store=models, user=NOBODY)
    return ["unshare", "--mount", "sh", "-c", script]
