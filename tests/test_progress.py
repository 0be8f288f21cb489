"""What long work shows: on a terminal a line with the time left, which goes away; elsewhere nothing, or a line for each step."""

import os
import pty
import re
import select
import subprocess

from support import hub as hubs
from support.hub import Repository
from support.processes import ROOT, environment

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")


def on_terminal(command: list, env: dict[str, str] | None = None) -> tuple[int, str]:
    """Runs a command whose standard error is a terminal; its exit status, and what the terminal got."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [str(part) for part in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        env=environment(TERM="xterm", **(env or {})),
        cwd=ROOT,
    )
    os.close(theirs)
    got = b""
    while select.select([ours], [], [], 60)[0]:
        try:
            more = os.read(ours, 65536)
        except OSError:
            break
        if not more:
            break
        got += more
    os.close(ours)
    return process.wait(60), got.decode(errors="replace")


def test_a_terminal_shows_parts_time_gone_and_time_left_and_is_clear_in_the_end(binaries, packages):
    command = [binaries.emberlite, "bench", packages["digits"].file, "--seconds", "0.8", "--batch", "1,2,3"]
    status, shown = on_terminal(command)
    assert status == 0, shown
    text = ESCAPES.sub("\n", shown)
    assert re.search(r"measuring digits .* 2/3, \ds so far, \ds left", text), text
    # The last that is written clears the line.
    assert shown.rstrip().endswith(("\x1b[K", "\x1b[2K", "\x1b[J", "\x1b[?25h")), repr(shown[-80:])


def test_a_download_shows_bytes_and_their_rate(binaries, tmp_path):
    with hubs.serve() as hub:
        hub.repositories["ember/big"] = Repository({"config.json": b"{}", "model.safetensors": bytes(3_000_000)})
        hub.faults["model.safetensors"].append(hubs.trickle(12, 0.2))
        command = [binaries.emberlite, "pull", "hf://ember/big", "-o", tmp_path / "big"]
        status, shown = on_terminal(command, hub.env)
    assert status == 0, shown
    text = ESCAPES.sub("\n", shown)
    assert re.search(r"downloading big .* [\d.]+ [kM]B/3.00 MB, [\d.]+ [kM]B/s", text), text
    assert re.search(r"B/s, \ds left", text), text


def test_without_a_terminal_nothing_is_shown_unless_it_is_asked_for(emberlite, packages):
    command = ("bench", packages["digits"].file, "--seconds", "0.01")
    assert emberlite(*command).stderr == ""
    assert emberlite(*command, "--verbose").stderr.splitlines()[-1] == "measuring digits"
    steps = emberlite("pack", ROOT / "models/digits", "-o", "out.ember", "-v").stderr.splitlines()
    assert steps[0].startswith("importing") and any("comparing" in step for step in steps)
