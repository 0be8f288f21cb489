"""`emberlite pull`: a model comes from a hub, whole or not at all, whatever happens on the way."""

import json
import signal
import threading
from pathlib import Path

import pytest

from support import certificates
from support import hub as hubs
from support.certificates import Authority
from support.endpoints import accepting
from support.hub import COMMIT, LARGE, TOKEN, Repository
from support.parts import sizes
from support.processes import environment, wait_until
from support.texts import ENCODERS
from test_cli import assert_refused

NAME = "ember/bert-sentence"
SOURCE = f"hf://{NAME}"
WEIGHTS = "model.safetensors"


@pytest.fixture
def hub():
    """A running hub with a small encoder, and what such repositories have beside it."""
    with hubs.serve() as hub:
        repository = Repository.of(ENCODERS["sentences"].path)
        repository.files |= {".gitattributes": b"*.bin filter=lfs\n", "pytorch_model.bin": b"pickle", "README.md": b"# Hi\n"}
        hub.repositories[NAME] = repository
        yield hub


@pytest.fixture
def pull(emberlite, hub):
    """Runs the command on that hub."""
    return lambda *arguments, **variables: emberlite("pull", *arguments, env={**hub.env, **variables})


def files(folder: Path) -> dict[str, bytes]:
    found = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def assert_pulled(folder: Path, hub, done) -> None:
    """The folder has the files that the model needs, as the hub has them, and nothing else but the record."""
    assert done.returncode == 0, done.stderr
    found = files(folder)
    record = json.loads(found.pop(".emberlite-pull.json"))
    assert set(record["files"]) == set(found)
    assert {"config.json", "modules.json", "1_Pooling/config.json", "tokenizer.json", WEIGHTS} <= set(found)
    assert not {"pytorch_model.bin", ".gitattributes"} & set(found)
    assert found == {path: hub.repositories[NAME].files[path] for path in found}


# What it does


def test_a_model_is_pulled_packed_and_served(emberlite, pull, hub, tmp_path):
    done = pull(SOURCE)
    assert_pulled(tmp_path / "bert-sentence", hub, done)
    assert COMMIT in done.stdout and "pytorch_model.bin" in done.stdout
    assert done.stdout.splitlines()[-1] == "Next: emberlite pack bert-sentence"
    manifest = emberlite.json("pack", "bert-sentence")["manifest"]
    assert manifest["task"] == "embed"


def test_the_record_and_the_report_tell_where_every_file_is_from(emberlite, hub, tmp_path):
    report = emberlite.json("pull", f"{SOURCE}@main", "-o", "here", env=hub.env)
    record = json.loads((tmp_path / "here/.emberlite-pull.json").read_text())
    assert record["source"] == report["source"] == SOURCE
    assert record["commit"] == report["commit"] == COMMIT
    assert record["endpoint"] == hub.endpoint
    told = {file["path"]: file["digest"] for file in report["files"]}
    assert told == record["files"]
    repository = hub.repositories[NAME]
    for path, digest in told.items():
        content = repository.files[path]
        large = path.endswith(LARGE)
        assert digest == (f"sha256:{hubs.sha256(content)}" if large else f"git:{hubs.git_digest(content)}")
    assert "pytorch_model.bin" in [file["path"] for file in report["left_out"]]


def test_a_second_time_only_what_is_missing_or_changed_is_fetched(pull, hub, tmp_path):
    folder = tmp_path / "bert-sentence"
    pull(SOURCE)
    (folder / WEIGHTS).unlink()
    (folder / "config.json").write_text("{}")
    hub.requests.clear()
    assert_pulled(folder, hub, pull(SOURCE))
    fetched = {request.path.rsplit(f"{COMMIT}/")[-1] for request in hub.requests if "/resolve/" in request.path}
    # The list of modules is always read, to know what else belongs to the model.
    assert fetched == {WEIGHTS, "config.json", "modules.json"}


def test_another_revision_replaces_what_changed_and_removes_what_went(pull, hub, tmp_path):
    folder = tmp_path / "bert-sentence"
    pull(SOURCE)
    (folder / "notes.txt").write_text("mine")
    repository = hub.repositories[NAME]
    del repository.files["tokenizer_config.json"]
    repository.files["config.json"] += b"\n"
    repository.commit = "d" * 40
    done = pull(SOURCE)
    assert done.returncode == 0, done.stderr
    assert not (folder / "tokenizer_config.json").exists()
    assert (folder / "config.json").read_bytes() == repository.files["config.json"]
    assert (folder / "notes.txt").read_text() == "mine"


def test_include_takes_other_weights(emberlite, hub, tmp_path):
    hub.repositories["ember/quants"] = Repository({"config.json": b"{}", "m.Q4_0.gguf": b"four", "m.Q8_0.gguf": b"eight"})
    done = emberlite("pull", "hf://ember/quants", env=hub.env)
    assert_refused(done, "m.Q4_0.gguf (4 B)", "m.Q8_0.gguf", "--include")
    assert not (tmp_path / "quants").exists()
    done = emberlite("pull", "hf://ember/quants", "--include", "*Q4_0*", env=hub.env)
    assert "Next: emberlite pack quants/m.Q4_0.gguf" in done.stdout
    assert set(files(tmp_path / "quants")) == {"config.json", "m.Q4_0.gguf", ".emberlite-pull.json"}


# What breaks off


def test_a_download_that_breaks_off_goes_on_where_it_was(pull, hub, tmp_path):
    hub.faults[WEIGHTS].extend([hubs.cut(1000), hubs.cut(500)])
    assert_pulled(tmp_path / "bert-sentence", hub, pull(SOURCE))
    assert hub.ranges(WEIGHTS) == [None, "bytes=1000-", "bytes=1500-"]


def test_the_same_command_goes_on_after_a_failure(pull, hub, tmp_path):
    folder = tmp_path / "bert-sentence"
    hub.faults[WEIGHTS].extend([hubs.cut(1000)] + [hubs.fail(503, Retry_After="0")] * 10)
    done = pull(SOURCE)
    assert_refused(done, "503", "the same command")
    assert not (folder / WEIGHTS).exists()
    [part] = folder.glob(f"{WEIGHTS}.*.part")
    assert part.read_bytes() == hub.repositories[NAME].files[WEIGHTS][:1000]
    hub.faults.clear()
    hub.requests.clear()
    assert_pulled(folder, hub, pull(SOURCE))
    assert hub.ranges(WEIGHTS) == ["bytes=1000-"]


def test_ctrl_c_keeps_what_was_downloaded_and_says_so(start_process, binaries, pull, hub, tmp_path):
    reached, released = threading.Event(), threading.Event()
    hub.faults[WEIGHTS].append(hubs.hold(1000, reached, released))
    folder = tmp_path / "bert-sentence"
    env = environment(**hub.env)
    process = start_process("pull", [binaries.emberlite, "pull", SOURCE, "-o", folder], env)
    assert reached.wait(20)
    [part] = wait_until(lambda: [path for path, size in sizes(folder).items() if size == 1000], "a part")
    process.signal(signal.SIGINT)
    assert process.wait() == 130
    released.set()
    assert "the same command goes on" in process.log()
    assert not (folder / WEIGHTS).exists() and part.exists()
    hub.requests.clear()
    assert_pulled(folder, hub, pull(SOURCE))
    assert hub.ranges(WEIGHTS) == ["bytes=1000-"]


@pytest.mark.parametrize("fault", [hubs.whole(), hubs.another_range(7)], ids=["whole", "another range"])
def test_a_storage_that_answers_with_another_part_than_asked_for_is_read_anew(pull, hub, tmp_path, fault):
    hub.faults[WEIGHTS].extend([hubs.cut(1000), fault])
    assert_pulled(tmp_path / "bert-sentence", hub, pull(SOURCE))


def test_a_part_that_was_changed_is_read_anew(pull, hub, tmp_path):
    folder = tmp_path / "bert-sentence"
    hub.faults[WEIGHTS].extend([hubs.cut(1000)] + [hubs.fail(503, Retry_After="0")] * 10)
    pull(SOURCE)
    [part] = folder.glob("*.part")
    part.write_bytes(bytes(1000))
    hub.faults.clear()
    assert_pulled(folder, hub, pull(SOURCE))


@pytest.mark.parametrize("file", [WEIGHTS, "tokenizer.json"])
def test_wrong_bytes_are_read_again_and_never_taken(pull, hub, tmp_path, file):
    folder = tmp_path / "bert-sentence"
    hub.faults[file].append(hubs.damage())
    assert_pulled(folder, hub, pull(SOURCE))
    (folder / file).unlink()
    hub.faults[file].extend([hubs.damage()] * 10)
    assert_refused(pull(SOURCE), file, "other bytes")
    assert not (folder / file).exists() and not list(folder.glob("*.part"))


def test_a_hub_that_asks_to_wait_is_waited_for(pull, hub, tmp_path):
    hub.listing_faults.append(hubs.fail(429, Retry_After="0"))
    hub.faults["config.json"].extend([hubs.fail(429, Retry_After="1"), hubs.fail(500)])
    assert_pulled(tmp_path / "bert-sentence", hub, pull(SOURCE))
    hub.listing_faults.append(hubs.fail(429, Retry_After="7200"))
    assert_refused(pull(SOURCE), "429", "7200 s")


# Who may see what


def test_the_token_goes_to_the_hub_and_to_nobody_else(pull, hub, tmp_path):
    hub.repositories[NAME].private = True
    done = pull(SOURCE, HF_TOKEN=TOKEN)
    assert_pulled(tmp_path / "bert-sentence", hub, done)
    tokens = {request.host: request.token for request in hub.requests}
    assert tokens == {"hub": f"Bearer {TOKEN}", "storage": None}
    assert TOKEN not in done.stdout + done.stderr


def test_a_token_may_lie_in_a_file(pull, hub, tmp_path):
    hub.repositories[NAME].private = True
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    assert pull(SOURCE, "--token-file", "token").returncode == 0
    assert_refused(pull(SOURCE, "--token-file", "nosuch"), "nosuch")


def test_a_token_is_not_sent_in_clear(emberlite, hub):
    done = emberlite("pull", SOURCE, env={"HF_ENDPOINT": "http://hub.test", "HF_TOKEN": TOKEN})
    assert_refused(done, "http://hub.test", "in clear", "https")
    assert TOKEN not in done.stderr


def test_a_gated_repository_says_what_to_accept_and_where(pull, hub):
    hub.repositories[NAME].gated = True
    page = f"{hub.endpoint}/{NAME}"
    assert_refused(pull(SOURCE), "gated", page, "HF_TOKEN", "settings/tokens")
    assert pull(SOURCE, HF_TOKEN=TOKEN).returncode == 0


@pytest.mark.parametrize(
    ("source", "token", "words"),
    [
        ("hf://ember/nosuch", "", ["hf://ember/nosuch", "check its name", "HF_TOKEN"]),
        ("hf://ember/nosuch", TOKEN, ["no repository hf://ember/nosuch", "models?search=nosuch"]),
        (SOURCE, "hf_wrong", ["does not accept the token in HF_TOKEN"]),
        (f"{SOURCE}@v1.1", "", ["no revision v1.1", "it has v1.0, main"]),
    ],
    ids=["unknown", "unknown with a token", "wrong token", "unknown revision"],
)
def test_what_is_not_there_or_not_open_is_named_with_the_next_step(pull, hub, tmp_path, source, token, words):
    hub.repositories[NAME].tags = ("v1.0",)
    done = pull(source, HF_TOKEN=token)
    assert_refused(done, *words)
    assert "hf_wrong" not in done.stderr
    assert not list(tmp_path.iterdir())


# Hostile hubs


@pytest.mark.parametrize("path", ["../evil", "/etc/evil", "a/../../evil", "a\\..\\evil", "a//evil", "evil\n", ""])
def test_a_file_that_would_lie_elsewhere_is_refused(pull, hub, tmp_path, path):
    hub.repositories[NAME].files[path] = b"evil"
    assert_refused(pull(SOURCE), "which is refused")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("listing", "word"),
    [
        ({"siblings": []}, "as a hub does"),
        ({"sha": "../..", "siblings": []}, "commit"),
        ({"sha": COMMIT, "siblings": [{"rfilename": "config.json"}]}, "no size and digest"),
        ({"sha": COMMIT, "siblings": [{"rfilename": "a.safetensors", "size": 1, "lfs": {"sha256": "x", "size": 1}}]}, "digest"),
        ({"sha": COMMIT, "siblings": [{"rfilename": name, "size": 1, "blobId": "0" * 40} for name in ("a", "A")]}, "a and A"),
    ],
    ids=["no commit", "wrong commit", "no digest", "wrong digest", "names alike"],
)
def test_a_listing_that_can_not_be_trusted_is_refused(pull, hub, tmp_path, listing, word):
    hub.listing = listing
    assert_refused(pull(SOURCE), word)
    assert not list(tmp_path.iterdir())


def test_a_model_larger_than_the_disk_is_refused_before_anything_comes(pull, hub, tmp_path):
    repository = hub.repositories[NAME]
    siblings = [repository.sibling(path, True) for path in repository.files]
    for sibling in siblings:
        if sibling["rfilename"] == WEIGHTS:
            sibling["lfs"]["size"] = 2**60
    hub.listing = {"sha": COMMIT, "siblings": siblings}
    assert_refused(pull(SOURCE), "free", "--output")
    assert not hub.ranges(WEIGHTS)


def test_a_folder_that_is_somebody_elses_is_left_alone(pull, hub, tmp_path):
    (tmp_path / "bert-sentence").mkdir()
    (tmp_path / "bert-sentence/thesis.txt").write_text("mine")
    assert_refused(pull(SOURCE), "bert-sentence", "--output")
    assert files(tmp_path / "bert-sentence") == {"thesis.txt": b"mine"}


def test_redirects_that_never_end_or_lead_nowhere_are_refused(pull, hub):
    hub.redirect = f"/{NAME}/resolve/{COMMIT}/{WEIGHTS}"
    assert_refused(pull(SOURCE), "on and on")
    hub.redirect = "file:///etc/passwd"
    assert_refused(pull(SOURCE), "no address")


# Networks


def test_a_hub_that_is_not_there_is_named_with_what_to_check(emberlite):
    done = emberlite("pull", SOURCE, env={"HF_ENDPOINT": "http://127.0.0.1:1", "HF_TOKEN": ""})
    assert_refused(done, "127.0.0.1:1", "network", "HTTPS_PROXY")
    assert_refused(emberlite("pull", SOURCE, env={"HF_ENDPOINT": "hub"}), "HF_ENDPOINT", "https://huggingface.co")


def test_what_is_no_address_is_refused_with_one(emberlite):
    for source in ("ember/bert", "hf://", "https://huggingface.co/ember/bert"):
        done = emberlite("pull", source)
        assert done.returncode == 2 and "hf://ORG/NAME" in done.stderr


def test_a_proxy_is_used_unless_no_proxy_says_otherwise(emberlite, hub, tmp_path):
    asked = []

    def tunnel(client):
        """Connects whoever asks to the hub, under whatever name."""
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(4096)
        asked.append(head.split()[1].decode())
        client.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

    with accepting(tunnel) as address:
        variables = {"HTTPS_PROXY": f"http://{address}", "NO_PROXY": "elsewhere.test", "no_proxy": "elsewhere.test"}
        done = emberlite("pull", SOURCE, env={**variables, "HF_ENDPOINT": "https://hub.test", "HF_TOKEN": ""})
        assert_refused(done, "the proxy does not connect", "hub.test")
        assert asked and set(asked) == {"hub.test:443"}
        asked.clear()
        host = "127.0.0.1"
        done = emberlite("pull", SOURCE, env={**variables, **hub.env, "NO_PROXY": host, "no_proxy": host})
        assert done.returncode == 0 and not asked


def test_a_hub_with_a_certificate_that_nobody_vouches_for_is_not_trusted(emberlite, tmp_path):
    ours, others = Authority(tmp_path, "ours"), Authority(tmp_path, "others")
    with hubs.listening(hubs.Handler, certificates.endpoint(ours.certificate())) as address:
        env = {"HF_ENDPOINT": f"https://{address}", "SSL_CERT_FILE": str(others.bundle), "HF_TOKEN": ""}
        assert_refused(emberlite("pull", SOURCE, env=env), "can't be trusted", "SSL_CERT_FILE")


def test_two_pulls_into_one_folder_do_not_meet(start_process, binaries, pull, hub, tmp_path):
    reached, released = threading.Event(), threading.Event()
    hub.faults[WEIGHTS].append(hubs.hold(1000, reached, released))
    folder = tmp_path / "bert-sentence"
    first = start_process("pull", [binaries.emberlite, "pull", SOURCE, "-o", folder], environment(**hub.env))
    assert reached.wait(20)
    assert_refused(pull(SOURCE), "another pull", "wait")
    released.set()
    assert first.wait() == 0
    assert (folder / WEIGHTS).read_bytes() == hub.repositories[NAME].files[WEIGHTS]
