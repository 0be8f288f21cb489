"""`emberlite completions`: scripts that shells load and that complete what there is."""

import shutil
import subprocess

import pytest

COMPLETE = """
source "$1"
COMP_WORDS=({words})
COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
_emberlite emberlite "${{COMP_WORDS[$COMP_CWORD]}}" "${{COMP_WORDS[$(( COMP_CWORD - 1 ))]}}"
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell", "elvish"])
def test_every_shell_has_a_script_with_every_command(emberlite, shell):
    done = emberlite("completions", shell)
    assert (done.returncode, done.stderr) == (0, "")
    for word in ("pack", "inspect", "push", "serve", "bench", "pull", "quantize", "token-file"):
        assert word in done.stdout
    assert emberlite("completions", "abacus").returncode == 2


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("emberlite b", ["bench"]),
        ("emberlite bench --ba", ["--batch"]),
        ("emberlite pull --token", ["--token-file"]),
        ("emberlite completions z", ["zsh"]),
    ],
)
def test_bash_completes_commands_and_flags(emberlite, tmp_path, words, expected):
    script = tmp_path / "emberlite.bash"
    script.write_text(emberlite("completions", "bash").stdout)
    command = ["bash", "-euo", "pipefail", "-c", COMPLETE.format(words=words), "bash", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.stdout.split(), done.stderr) == (expected, "")


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_load_their_scripts(emberlite, tmp_path, shell):
    if not shutil.which(shell):
        pytest.skip(f"there is no {shell} here")
    script = tmp_path / "script"
    script.write_text(emberlite("completions", shell).stdout)
    assert subprocess.run([shell, "-n", script], timeout=60).returncode == 0
