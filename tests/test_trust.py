"""Trust: signed and encrypted packages, what a function refuses, and what `inspect` says of them."""

import base64
import json
import stat

import boto3
import pytest
from botocore.config import Config

from support import reference, sealed
from support.answers import refusal
from support.blake3 import digest
from support.packages import flipped, sections
from support.processes import FAKE_AWS, ROOT, environment, free_port, wait_until
from support.sealed import Container
from support.store import place_in_folder

ROW = reference.random_rows("diagnosis", 1)[0]
SOURCE = ROOT / "models/diagnosis"


class Keys:
    """A signing key, another one, and a package key, as files in a folder."""

    def __init__(self, emberlite):
        self.folder = emberlite.folder
        made = {name: emberlite.json("keygen", name) for name in ("release", "stranger")}
        self.public = {name: key["public_key"] for name, key in made.items()}
        self.package = emberlite.json("keygen", "--encryption")

    def trusted(self, name: str = "release") -> str:
        return f"{name}={self.public[name]}"


@pytest.fixture
def keys(emberlite) -> Keys:
    return Keys(emberlite)


@pytest.fixture
def pack(emberlite, keys, tmp_path):
    """Packs diagnosis with these flags."""

    def pack(name: str, *flags) -> bytes:
        emberlite.json("pack", SOURCE, "-o", f"{name}.ember", *flags)
        return (tmp_path / f"{name}.ember").read_bytes()

    return pack


@pytest.fixture
def asked(predict_server, tmp_path):
    """The answer of a function with these variables to a request for a model in whose place these bytes are."""

    def ask(package: bytes, **variables: str):
        place_in_folder(tmp_path / "store", "diagnosis", digest(package), package)
        server = predict_server(EMBER_STORE=str(tmp_path / "store"), **variables)
        return server.predict("diagnosis", ROW)

    return ask


def assert_right(response) -> None:
    assert response.status_code == 200, response.text
    [expected] = reference.probabilities("diagnosis", reference.feeds("diagnosis", [ROW]))
    assert response.json()["probabilities"] == pytest.approx(expected, abs=1e-5)


def text_of(emberlite, *arguments, **env: str) -> str:
    """The words of `inspect`, on one line."""
    done = emberlite("inspect", *arguments, env=env)
    assert done.returncode == 0, done.stderr
    return " ".join(done.stdout.split())


def refused(done, *words: str) -> None:
    assert done.returncode == 1 and done.stdout == "" and "panicked" not in done.stderr, done.stderr
    for word in words:
        assert word in done.stderr, done.stderr


# Keys


def test_a_signing_key_is_a_secret_file_and_a_public_one(emberlite, tmp_path):
    made = emberlite.json("keygen", "release")
    private, public = tmp_path / "release.key", tmp_path / "release.pub"
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert public.read_text() == f"release={made['public_key']}\n"
    told = emberlite("keygen", "second").stdout
    assert (tmp_path / "second.pub").read_text() in told
    assert len(sealed.secret(private)) == 32
    assert base64.b64encode(sealed.secret(private)).decode() not in json.dumps(made)


def test_no_key_is_overwritten(emberlite, tmp_path):
    emberlite.json("keygen")
    before = (tmp_path / "signing.key").read_bytes()
    refused(emberlite("keygen"), "signing.pub", "overwritten")
    (tmp_path / "signing.pub").unlink()
    refused(emberlite("keygen"), "signing.key", "overwritten")
    assert (tmp_path / "signing.key").read_bytes() == before and not (tmp_path / "signing.pub").exists()
    emberlite.json("keygen", "--encryption")
    assert stat.S_IMODE((tmp_path / "package.key").stat().st_mode) == 0o600
    refused(emberlite("keygen", "--encryption"), "package.key", "overwritten")
    refused(emberlite("keygen", "two words"), "two words")


def test_keys_of_the_wrong_kind_are_refused_before_anything_is_packed(emberlite, keys, tmp_path):
    refused(emberlite("pack", SOURCE, "-o", "x.ember", "--sign", "package.key"), "package.key", "EMBER-SIGNING-KEY:")
    refused(emberlite("pack", SOURCE, "-o", "x.ember", "--encrypt", "release.key"), "release.key", "EMBER-PACKAGE-KEY:")
    refused(emberlite("pack", SOURCE, "-o", "x.ember", "--encrypt", "nosuch.key"), "nosuch.key")
    refused(emberlite("pack", SOURCE, "-o", "x.ember", "--sign", "env:NOSUCH"), "NOSUCH")
    refused(emberlite("pack", SOURCE, "-o", "x.ember", "--sign", "kms:alias/x"), "only encrypt")
    assert not (tmp_path / "x.ember").exists()


# Signatures


def test_a_signature_is_ed25519_over_the_manifests_digest(pack, keys, packages):
    signed = pack("signed", "--sign", "release.key")
    sealed.check(signed, keys.public["release"])
    assert list(sealed.signatures(signed)) == [keys.public["release"]]
    assert sealed.with_signatures(signed, {}) == packages["diagnosis"].bytes()


def test_signing_a_file_is_as_packing_it_signed(emberlite, pack, keys, tmp_path):
    signed = pack("signed", "--sign", "release.key")
    plain = pack("plain")
    report = emberlite.json("sign", "plain.ember", "--key", "release.key")
    assert (tmp_path / "plain.ember").read_bytes() == signed
    assert report["digest"] == digest(signed) and report["signed_by"] == [keys.public["release"]]
    secret = base64.b64encode(sealed.secret(tmp_path / "stranger.key")).decode()
    more = ["sign", "plain.ember", "--key", "env:SECOND", "-o", "both.ember"]
    assert len(emberlite.json(*more, env={"SECOND": secret})["signed_by"]) == 2
    assert (tmp_path / "plain.ember").read_bytes() == signed != plain
    for key in keys.public.values():
        sealed.check((tmp_path / "both.ember").read_bytes(), key)


def test_what_is_damaged_is_not_signed(emberlite, pack, keys, tmp_path):
    package = pack("plain")
    start, end = sections(package)["hidden.weights"]
    broken = flipped(package, (start + end) // 2)
    (tmp_path / "broken.ember").write_bytes(broken)
    refused(emberlite("sign", "broken.ember", "--key", "release.key"), "broken.ember", "hidden.weights")
    assert (tmp_path / "broken.ember").read_bytes() == broken


def test_a_function_takes_what_a_trusted_key_signed(asked, pack, keys, emberlite, predict_server, tmp_path):
    signed = pack("signed", "--sign", "release.key")
    emberlite.json("push", "signed.ember", "--store", "log")
    server = predict_server(EMBER_STORE=str(tmp_path / "log"), EMBER_TRUSTED_KEYS=keys.trusted())
    assert_right(server.predict("diagnosis", ROW))
    assert server.wait_for_record(signed_by="release")["package"] == digest(signed)
    assert_right(asked(signed, EMBER_TRUSTED_KEYS=f"{keys.trusted('stranger')},{keys.trusted()}"))
    assert_right(asked(signed))
    assert_right(asked(pack("plain"), EMBER_TRUSTED_KEYS=keys.trusted(), EMBER_REQUIRE_SIGNATURE="0"))


def test_a_function_refuses_what_nobody_signed(asked, pack, keys):
    message = refusal(asked(pack("plain"), EMBER_TRUSTED_KEYS=keys.trusted()), 500, "package_unsigned")["message"]
    assert "diagnosis" in message and "not signed" in message and keys.public["release"] not in message


def test_a_function_refuses_what_a_stranger_signed(predict_server, pack, keys, emberlite, tmp_path):
    pack("signed", "--sign", "stranger.key")
    emberlite.json("push", "signed.ember", "--store", tmp_path / "store")
    server = predict_server(EMBER_STORE=str(tmp_path / "store"), EMBER_TRUSTED_KEYS=keys.trusted())
    message = refusal(server.predict("diagnosis", ROW), 500, "package_untrusted")["message"]
    assert keys.public["stranger"] not in message
    assert keys.public["stranger"] in server.log(), "the log says whose it is"


def test_a_function_refuses_a_section_that_was_exchanged_under_a_signature(asked, pack, keys):
    signed = pack("signed", "--sign", "release.key")
    start, end = sections(signed)["hidden.weights"]
    exchanged = flipped(signed, (start + end) // 2)
    error = refusal(asked(exchanged, EMBER_TRUSTED_KEYS=keys.trusted()), 500, "package_corrupt")
    assert '"hidden.weights"' in error["message"]


def test_a_function_refuses_the_signature_of_another_package(asked, pack, emberlite, keys, second_package, tmp_path):
    signed = pack("signed", "--sign", "release.key")
    moved = sealed.with_signatures(second_package.bytes(), sealed.signatures(signed))
    error = refusal(asked(moved, EMBER_TRUSTED_KEYS=keys.trusted()), 500, "package_corrupt")
    assert "signature" in error["message"]
    (tmp_path / "moved.ember").write_bytes(moved)
    refused(emberlite("push", "moved.ember", "--store", "elsewhere"), "moved.ember", "signature")


def test_a_refused_package_does_not_take_the_place_of_the_one_in_force(predict_server, pack, keys, emberlite, tmp_path):
    signed = pack("signed", "--sign", "release.key")
    pack("plain", "--encrypt", "package.key")
    emberlite.json("push", "signed.ember", "--store", tmp_path / "store")
    variables = {"EMBER_TRUSTED_KEYS": keys.trusted(), "EMBER_REFRESH_SECONDS": "1"}
    variables |= {"EMBER_STORE": str(tmp_path / "store"), "EMBER_PACKAGE_KEY": str(tmp_path / "package.key")}
    server = predict_server(**variables)
    assert_right(server.predict("diagnosis", ROW))
    new = emberlite.json("push", "plain.ember", "--store", tmp_path / "store")["digest"]

    def told():
        assert_right(server.predict("diagnosis", ROW))
        return [record for record in server.records() if record["message"].startswith("new package refused")]

    [record] = wait_until(told, "the new package is refused", process=server)
    assert record["package"] == new and "not signed" in record["error"]
    answer = server.predict("diagnosis", ROW)
    assert answer.headers["x-emberlite-package"] == f"diagnosis@{digest(signed)}"


# Encryption


def test_an_encrypted_package_is_what_its_format_says(pack, keys, packages, tmp_path):
    container = Container(pack("locked", "--encrypt", "package.key"))
    assert container.header["model"] == "diagnosis"
    assert container.header["key"] == {"own": keys.package["key_id"]}
    assert container.decrypt(sealed.secret(tmp_path / "package.key")) == packages["diagnosis"].bytes()
    assert b"mean radius" not in container.file
    assert pack("again", "--encrypt", "package.key") != container.file, "no key encrypts two packages"


def test_a_function_decrypts_what_it_has_the_key_for(asked, pack, tmp_path):
    locked = pack("locked", "--encrypt", "package.key")
    file, text = tmp_path / "package.key", base64.b64encode(sealed.secret(tmp_path / "package.key")).decode()
    other = base64.b64encode(bytes(32)).decode()
    for key in (str(file), text, f"{other},{text}"):
        assert_right(asked(locked, EMBER_PACKAGE_KEY=key, EMBER_REQUIRE_ENCRYPTION="1"))


def test_a_function_can_want_both(asked, pack, keys, tmp_path):
    variables = {
        "EMBER_TRUSTED_KEYS": keys.trusted(),
        "EMBER_REQUIRE_ENCRYPTION": "1",
        "EMBER_PACKAGE_KEY": str(tmp_path / "package.key"),
    }
    assert_right(asked(pack("both", "--sign", "release.key", "--encrypt", "package.key"), **variables))
    refusal(asked(pack("signed", "--sign", "release.key"), **variables), 500, "package_unencrypted")
    refusal(asked(pack("locked", "--encrypt", "package.key"), **variables), 500, "package_unsigned")


def test_a_function_without_the_key_or_with_another_says_so(asked, pack, keys):
    locked = pack("locked", "--encrypt", "package.key")
    assert "no key" in refusal(asked(locked), 500, "package_locked")["message"]
    other = base64.b64encode(bytes(32)).decode()
    message = refusal(asked(locked, EMBER_PACKAGE_KEY=other), 500, "package_locked")["message"]
    assert "another key" in message and keys.package["key_id"] not in message


def test_a_damaged_chunk_is_told_by_its_number(predict_server, pack, emberlite, tmp_path):
    locked = pack("locked", "--encrypt", "package.key")
    container = Container(locked)
    _, start, end = container.chunks[-1]
    broken = flipped(locked, (start + end) // 2)
    place_in_folder(tmp_path / "store", "diagnosis", digest(broken), broken)
    server = predict_server(EMBER_STORE=str(tmp_path / "store"), EMBER_PACKAGE_KEY=str(tmp_path / "package.key"))
    refusal(server.predict("diagnosis", ROW), 500, "package_corrupt")
    number = len(container.chunks)
    assert f"chunk {number} of {number}" in server.log()
    (tmp_path / "broken.ember").write_bytes(broken)
    refused(emberlite("inspect", "broken.ember", "--key", "package.key"), "broken.ember", f"chunk {number}")


def test_a_damaged_header_and_a_truncated_file_are_refused(asked, pack, emberlite, tmp_path):
    locked = pack("locked", "--encrypt", "package.key")
    wrapped = locked.index(b'"wrapped":"') + len(b'"wrapped":"')
    other = locked[:wrapped] + (b"A" if locked[wrapped : wrapped + 1] != b"A" else b"B") + locked[wrapped + 1 :]
    for broken in (other, locked[:-1], locked[:100], locked[:12], locked + b"\0"):
        refusal(asked(broken, EMBER_PACKAGE_KEY=str(tmp_path / "package.key")), 500, "package_corrupt")
        (tmp_path / "broken.ember").write_bytes(broken)
        refused(emberlite("inspect", "broken.ember", "--key", "package.key"), "broken.ember")
    refused(emberlite("push", "broken.ember", "--store", "elsewhere"), "broken.ember", "as long as it says")


def test_from_a_bucket_it_is_kept_on_the_disk_as_it_came_encrypted(predict_server, pack, emberlite, bucket, tmp_path):
    locked, cache = pack("locked", "--encrypt", "package.key"), tmp_path / "cache"
    emberlite.json("push", "locked.ember", "--store", bucket.url, env=bucket.env)
    variables = {**bucket.env, "EMBER_CACHE_DIR": str(cache), "EMBER_PACKAGE_KEY": str(tmp_path / "package.key")}
    server = predict_server(**variables)
    assert_right(server.predict("diagnosis", ROW))
    server.wait_for_log("package kept in the cache folder")
    assert {path.name: path.read_bytes() for path in cache.iterdir()} == {f"{digest(locked)}.ember": locked}
    server.stop()
    [before] = [bucket.requests("GET", f"{digest(locked)}.ember")]
    assert_right(predict_server(**variables).predict("diagnosis", ROW))
    assert bucket.requests("GET", f"{digest(locked)}.ember") == before, "the second start downloads nothing"


def test_an_encrypted_package_is_pushed_and_served_by_whoever_has_its_key(emberlite, serve, pack, keys, tmp_path):
    locked = pack("locked", "--encrypt", "package.key")
    blind = emberlite.json("push", "locked.ember", "--store", "blind")
    seen = emberlite.json("push", "locked.ember", "--store", "seen", "--key", "package.key")
    assert (blind["checked"], seen["checked"]) == (False, True)
    assert blind["digest"] == seen["digest"] == digest(locked)
    assert "not looked into" in emberlite("push", "locked.ember", "--store", "third").stdout
    server = serve(tmp_path / "locked.ember", EMBER_PACKAGE_KEY=str(tmp_path / "package.key"))
    assert_right(server.predict("diagnosis", ROW))
    refusal(serve(tmp_path / "locked.ember").predict("diagnosis", ROW), 500, "package_locked")


def test_an_encrypted_package_is_signed_by_whoever_has_its_key(emberlite, pack, keys, tmp_path):
    pack("locked", "--encrypt", "package.key")
    refused(emberlite("sign", "locked.ember", "--key", "release.key"), "locked.ember", "key", keys.package["key_id"])
    emberlite.json("sign", "locked.ember", "--key", "release.key", "--package-key", "package.key")
    opened = Container((tmp_path / "locked.ember").read_bytes()).decrypt(sealed.secret(tmp_path / "package.key"))
    sealed.check(opened, keys.public["release"])


def test_the_decryption_is_a_step_of_the_cold_start(predict_server, pack, emberlite, tmp_path):
    pack("locked", "--encrypt", "package.key")
    emberlite.json("push", "locked.ember", "--store", "store")
    server = predict_server(EMBER_STORE=str(tmp_path / "store"), EMBER_PACKAGE_KEY=str(tmp_path / "package.key"))
    assert_right(server.predict("diagnosis", ROW))
    assert "decrypt_ms" in server.wait_for_record(message="cold_start")
    load = emberlite.json("inspect", "--load", "locked.ember", "--key", "package.key")
    assert "decrypt" in [step["step"] for step in load["steps"]]


# KMS


@pytest.fixture
def kms(moto):
    """A key of moto's KMS, by its alias, and what it takes to reach it."""
    client = boto3.client(
        "kms",
        endpoint_url=moto.url,
        region_name=FAKE_AWS["AWS_REGION"],
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(proxies={}),
    )
    arn = client.create_key()["KeyMetadata"]["Arn"]
    alias = f"alias/ember-{arn.rsplit('/', 1)[1]}"
    client.create_alias(AliasName=alias, TargetKeyId=arn)
    return arn, alias, {"EMBER_KMS_ENDPOINT": moto.url}


def test_a_key_of_kms_encrypts_and_decrypts(asked, emberlite, keys, kms, tmp_path):
    arn, alias, env = kms
    emberlite.json("pack", SOURCE, "-o", "locked.ember", "--encrypt", f"kms:{alias}", env=env)
    locked = (tmp_path / "locked.ember").read_bytes()
    assert Container(locked).header["key"] == {"kms": arn}
    for key in (alias, arn):
        assert_right(asked(locked, EMBER_PACKAGE_KEY=f"kms:{key}", EMBER_REQUIRE_ENCRYPTION="1", **env))
    assert arn in text_of(emberlite, "locked.ember", "--key", f"kms:{alias}", **env)
    refusal(asked(locked, EMBER_PACKAGE_KEY=str(tmp_path / "package.key"), **env), 500, "package_locked")


def test_what_kms_refuses_is_in_the_log_alone(predict_server, emberlite, kms, tmp_path):
    arn, alias, env = kms
    emberlite.json("pack", SOURCE, "-o", "locked.ember", "--encrypt", f"kms:{alias}", env=env)
    emberlite.json("push", "locked.ember", "--store", "store")
    other = f"{arn.rsplit('/', 1)[0]}/00000000-0000-0000-0000-000000000000"
    server = predict_server(EMBER_STORE=str(tmp_path / "store"), EMBER_PACKAGE_KEY=f"kms:{other}", **env)
    message = refusal(server.predict("diagnosis", ROW), 500, "package_locked")["message"]
    assert "arn:" not in message and other in server.log()
    refused(emberlite("pack", SOURCE, "-o", "x.ember", "--encrypt", f"kms:{other}", env=env), other)


def test_a_kms_that_cannot_be_reached_may_be_asked_again(asked, emberlite, kms, tmp_path):
    _, alias, env = kms
    emberlite.json("pack", SOURCE, "-o", "locked.ember", "--encrypt", f"kms:{alias}", env=env)
    gone = {"EMBER_KMS_ENDPOINT": f"http://127.0.0.1:{free_port()}", "EMBER_PACKAGE_KEY": f"kms:{alias}"}
    answer = asked((tmp_path / "locked.ember").read_bytes(), **gone)
    refusal(answer, 503, "key_unreachable")
    assert int(answer.headers["retry-after"]) > 0


# What inspect says


def test_inspect_says_what_it_trusts_and_why(emberlite, pack, keys):
    pack("signed", "--sign", "release.key")
    pack("plain")
    assert "not judged: no key to trust is named" in text_of(emberlite, "signed.ember")
    trusted = text_of(emberlite, "signed.ember", "--trust", "release.pub")
    assert "trusted: release, a trusted key, signed" in trusted and f"{keys.public['release']} (trusted" in trusted
    by_variable = text_of(emberlite, "signed.ember", EMBER_TRUSTED_KEYS=keys.trusted())
    assert "trusted: release, a trusted key" in by_variable
    strange = text_of(emberlite, "signed.ember", "--trust", keys.trusted("stranger"))
    assert "not trusted: no trusted key signed it" in strange and f"{keys.public['release']} (unknown)" in strange
    assert "not trusted: nobody signed it" in text_of(emberlite, "plain.ember", "--trust", keys.public["release"])
    refused(emberlite("inspect", "plain.ember", "--trust", "nosuch.pub"), "--trust", "nosuch.pub")


def test_inspect_opens_an_encrypted_package_with_its_key(emberlite, pack, keys, packages, tmp_path):
    pack("locked", "--encrypt", "package.key", "--sign", "release.key")
    refused(emberlite("inspect", "locked.ember"), "locked.ember", keys.package["key_id"], "--key")
    report = emberlite.json("inspect", "locked.ember", "--key", "package.key", "--trust", "release.pub")
    assert report["manifest"] == packages["diagnosis"].manifest
    assert report["trust"]["verdict"] == "trusted"
    assert report["trust"]["encrypted_with"] == {"own": keys.package["key_id"]}
    secret = base64.b64encode(sealed.secret(tmp_path / "package.key")).decode()
    assert keys.package["key_id"] in text_of(emberlite, "locked.ember", EMBER_PACKAGE_KEY=secret)


def test_the_manifest_tells_the_sources_digests_and_the_tool(emberlite, packages):
    manifest = packages["diagnosis"].manifest
    source = digest((SOURCE / "diagnosis.onnx").read_bytes())
    assert manifest["source"]["files"] == [{"name": "diagnosis.onnx", "digest": source}]
    version = emberlite("--version").stdout.strip()
    assert manifest["tool"] == version
    text = text_of(emberlite, packages["diagnosis"].file)
    assert f"{source} diagnosis.onnx" in text and f"packed by {version}" in text


# Variables


def test_a_function_does_not_start_with_requirements_that_nothing_meets(binaries, start_process, tmp_path):
    for variables, words in (
        ({"EMBER_REQUIRE_SIGNATURE": "1"}, "EMBER_TRUSTED_KEYS"),
        ({"EMBER_REQUIRE_ENCRYPTION": "1"}, "EMBER_PACKAGE_KEY"),
        ({"EMBER_TRUSTED_KEYS": "release=short"}, "EMBER_TRUSTED_KEYS="),
        ({"EMBER_PACKAGE_KEY": "hunter2"}, "EMBER_PACKAGE_KEY is wrong"),
    ):
        process = start_process("predict", [binaries.predict], environment(EMBER_STORE=str(tmp_path), **variables))
        assert process.wait() == 2
        assert words in process.log() and "hunter2" not in process.log()
