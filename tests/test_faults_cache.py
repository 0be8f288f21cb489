"""Faults of the folder that keeps packages: what is not whole is never taken, what is left over goes away."""

import resource
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.faults import ask, assert_right
from support.packages import flipped
from support.processes import Server, environment, free_port, wait_until

KEPT = "package kept in the cache folder"
NOT_KEPT = "package not kept in the cache folder"


@pytest.fixture
def cached(function, tmp_path):
    """Starts the function with a cache folder, which is `tmp_path / "cache"`."""
    return lambda **variables: function(EMBER_CACHE_DIR=str(tmp_path / "cache"), **variables)


@pytest.fixture
def cache_file(tmp_path, shop):
    return tmp_path / "cache" / f"{shop.digest}.ember"


def test_a_package_is_kept_after_the_first_answer_and_taken_by_the_next_start(cached, shop, cache_file):
    server = cached()
    assert_right(ask(server), shop)
    server.wait_for_record(message=KEPT)
    assert cache_file.read_bytes() == shop.package
    assert list(cache_file.parent.iterdir()) == [cache_file]
    read = len(shop.ranges(shop.key))
    assert_right(ask(cached()), shop)
    assert len(shop.ranges(shop.key)) == read


BROKEN = {
    "empty": lambda package: b"",
    "cut short": lambda package: package[:20_000],
    "a flipped byte": lambda package: flipped(package, len(package) - 100),
    "as long, of zeros": lambda package: package[:20_000] + bytes(len(package) - 20_000),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_a_kept_package_that_is_not_whole_is_never_taken(cached, shop, cache_file, broken):
    cache_file.parent.mkdir()
    cache_file.write_bytes(broken(shop.package))
    server = cached()
    assert_right(ask(server), shop)
    server.wait_for_record(message=KEPT)
    assert cache_file.read_bytes() == shop.package


def test_what_another_process_left_goes_away_though_the_package_is_there(cached, shop, cache_file):
    cache_file.parent.mkdir()
    cache_file.write_bytes(shop.package)
    left = cache_file.with_suffix(".0123456789abcdef.part")
    left.write_bytes(shop.package[:20_000])
    server = cached()
    assert_right(ask(server), shop)
    wait_until(lambda: not left.exists(), "what was left is removed", process=server)
    assert shop.ranges(shop.key) == []


def file_size_limit(limit: int, handling):
    """Lets a process write no more than so many bytes into a file; what the signal does that one gets who tries."""

    def before_exec():
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        signal.signal(signal.SIGXFSZ, handling)

    return before_exec


@pytest.mark.parametrize("handling", [signal.SIG_IGN, signal.SIG_DFL], ids=["ignored", "deadly"])
def test_a_write_beyond_the_largest_file_leaves_nothing_behind(binaries, log_file, shop, cache_file, handling):
    folder = cache_file.parent
    env = environment(**shop.env, PORT="0", EMBER_HOST="127.0.0.1", EMBER_CACHE_DIR=str(folder))
    limit = file_size_limit(len(shop.package) // 2, handling)
    server = Server("predict", [binaries.predict], log_file("predict"), env, preexec_fn=limit)
    try:
        assert_right(ask(server), shop)
        server.wait_for_record(level="WARN", message=NOT_KEPT)
        assert list(folder.iterdir()) == []
        assert_right(ask(server), shop)
    finally:
        server.stop()


def test_a_folder_that_nobody_can_write_to_is_gone_without(function, shop):
    server = function(EMBER_CACHE_DIR="/proc")
    assert_right(ask(server), shop)
    server.wait_for_record(level="WARN", message=NOT_KEPT)


def test_two_processes_that_fill_one_folder_at_once_leave_one_whole_package(cached, shop, cache_file):
    servers = [cached(), cached()]
    with ThreadPoolExecutor(2) as pool:
        for response in pool.map(ask, servers):
            assert_right(response, shop)
    wait_until(cache_file.exists, "the package is kept", process=servers[0])
    assert cache_file.read_bytes() == shop.package
    for server in servers:
        server.stop()
    assert list(cache_file.parent.iterdir()) == [cache_file]


def test_a_folder_store_needs_no_network_and_no_cache(predict_server, tmp_path, packages, emberlite):
    emberlite.json("push", packages["diagnosis"].file, "--store", tmp_path / "store")
    server = predict_server(
        EMBER_STORE=str(tmp_path / "store"),
        EMBER_S3_ENDPOINT=f"http://127.0.0.1:{free_port()}",
        EMBER_CACHE_DIR=str(tmp_path / "cache"),
        AWS_CA_BUNDLE=str(tmp_path / "nowhere.pem"),
    )
    assert ask(server).status_code == 200
    assert not (tmp_path / "cache").exists()
