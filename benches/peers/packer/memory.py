"""The same model from where its weights may lie: in a mapped file, or in memory, there in huge pages or in small ones.

A package that comes from S3, or is decrypted, lies in memory; so do weights that were stored without their zeros.
"""

import base64
import contextlib
import ctypes
import os
import pathlib
import statistics

from schemes import Served
from turns import in_turns, spread

# <linux/prctl.h>: no huge pages for this process and its children.
PR_SET_THP_DISABLE = 41


def small_pages():
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "this system does not do without huge pages")


def huge_bytes(process):
    """What a process has in huge pages, of memory and of files."""
    lines = pathlib.Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
    sizes = dict(line.split()[:2] for line in lines if line.endswith("kB"))
    return 1024 * sum(int(sizes.get(f"{kind}:", 0)) for kind in ("AnonHugePages", "FilePmdMapped", "ShmemPmdMapped"))


def table(emberlite, pack, mapped, sparse, texts):
    """Prints the times: `mapped` is the package in int8, `sparse` one without its zeros; `pack` packs as `mapped` was."""
    os.environ["EMBER_PACKAGE_KEY"] = base64.b64encode(os.urandom(32)).decode()
    sealed, _ = pack("int8, encrypted", ["--quantize", "int8", "--encrypt", "env:EMBER_PACKAGE_KEY"])
    ways = {
        "int8, mapped file": (mapped, None),
        "int8, decrypted": (sealed, None),
        "int8, decrypted, small pages": (sealed, small_pages),
        "int8, weights=50%": (sparse, None),
        "int8, weights=50%, small pages": (sparse, small_pages),
    }
    with contextlib.ExitStack() as stack:
        served = {name: stack.enter_context(Served(emberlite, *way)) for name, way in ways.items()}
        times = in_turns({name: one.milliseconds for name, one in served.items()}, texts)
        huge = {name: huge_bytes(one.process) for name, one in served.items()}
    print("\n| MiniLM in int8, by where it lies | ms | against the mapped file | in huge pages |\n|---|--:|--:|--:|")
    for name, own in times.items():
        ratio = spread(own, times["int8, mapped file"])
        print(f"| {name} | {statistics.median(own):.2f} | {ratio} | {huge[name] / 1e6:.1f} MB |", flush=True)
