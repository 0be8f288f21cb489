"""Fixtures: the real binaries, what they serve, and the clouds around them."""

import itertools
import os
import re
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from support import clouds, language, large, object_store
from support.faults import FAST
from support.object_store import BUCKET, Shop
from support.packages import MODELS, Command, Package, variant
from support.processes import FAKE_AWS, ROOT, RUNNING, MotoServer, Process, Server, environment, target_folder
from support.queues import Queue, Results
from support.store import Bucket
from support.texts import ENCODERS

os.environ.update(FAKE_AWS)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.failed:
        for process in RUNNING:
            report.sections.append((f"log of {process.name}, last lines", process.log()[-2000:]))
    return report


@dataclass(frozen=True)
class Binaries:
    emberlite: Path
    # The functions by their names.
    functions: dict[str, Path]

    @property
    def predict(self) -> Path:
        return self.functions["predict"]


@pytest.fixture(scope="session")
def binaries() -> Binaries:
    """The binaries that `cargo build --workspace` made."""
    folder = target_folder()
    functions = {name: folder / name for name in ("predict", "embed", "classify", "generate", "consume")}
    found = Binaries(folder / "emberlite", functions)
    for binary in (found.emberlite, *functions.values()):
        assert binary.is_file(), f"{binary} is not there: run cargo build --workspace, or cargo xtask test"
    return found


@pytest.fixture(scope="session")
def log_file(tmp_path_factory):
    """A new path for the log of a process of this name."""
    folder, numbers = tmp_path_factory.mktemp("logs"), itertools.count()
    return lambda name: folder / f"{next(numbers)}-{re.sub(r'[^a-z0-9]+', '-', name)}.log"


@pytest.fixture
def emberlite(binaries, tmp_path) -> Command:
    """The command, run in a folder of its own."""
    return Command(binaries.emberlite, tmp_path)


@pytest.fixture(scope="session")
def packages(binaries, tmp_path_factory) -> dict[str, Package]:
    """The demo models, packed now."""
    folder = tmp_path_factory.mktemp("packages")
    command = Command(binaries.emberlite, folder)
    return {model: command.pack(ROOT / "models" / model, folder / f"{model}.ember") for model in MODELS}


@pytest.fixture(scope="session")
def second_package(binaries, tmp_path_factory) -> Package:
    """Another package of the model diagnosis."""
    folder = tmp_path_factory.mktemp("second")
    return variant(Command(binaries.emberlite, folder), "diagnosis", "The second package.", folder)


@pytest.fixture(scope="session")
def tower(binaries):
    """A large package, whose files go away with the tests."""
    with tempfile.TemporaryDirectory() as folder:
        yield large.pack(Command(binaries.emberlite, Path(folder), seconds=900), Path(folder), large.MEBIBYTES)


@pytest.fixture(scope="session")
def served(binaries, log_file):
    """`emberlite serve` in the checkout, as its README says: the demo models, and the page at `.url`."""
    command = [binaries.emberlite, "serve", "--port", "0"]
    server = Server("emberlite serve", command, log_file("serve"), environment(EMBER_LOG_FORMAT="json"))
    yield server
    server.stop()


@pytest.fixture
def served_alone(serve) -> Server:
    """`emberlite serve` in the checkout, of which nobody has asked anything yet."""
    return serve()


@pytest.fixture
def serve(binaries, log_file):
    """Starts `emberlite serve` with these sources."""
    started = []

    def start(*sources, **variables: str) -> Server:
        command = [binaries.emberlite, "serve", *sources, "--port", "0"]
        env = environment(EMBER_LOG_FORMAT="json", **variables)
        started.append(Server("emberlite serve", command, log_file("serve"), env))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture(scope="session")
def text_store(binaries, tmp_path_factory) -> Path:
    """A store with small encoders in single precision, one for each kind of task."""
    folder = tmp_path_factory.mktemp("encoders")
    command = Command(binaries.emberlite, folder)
    for name, encoder in ENCODERS.items():
        package = folder / f"{name}.ember"
        command.json("pack", encoder.path, "--name", name, "--quantize", "none", "-o", package)
        command.json("push", package, "--store", folder / "store")
    return folder / "store"


@pytest.fixture(scope="session")
def text_servers(binaries, log_file, text_store):
    """The functions that take texts, as HTTP servers, by their names."""
    started = {}
    for name in ("embed", "classify"):
        env = environment(PORT="0", EMBER_HOST="127.0.0.1", EMBER_STORE=str(text_store))
        started[name] = Server(name, [binaries.functions[name]], log_file(name), env)
    yield started
    for server in started.values():
        server.stop()


@pytest.fixture(scope="session")
def language_store(binaries, tmp_path_factory) -> Path:
    """A store with two language models: `writer` has a chat template, `base` has none."""
    folder = tmp_path_factory.mktemp("language")
    command = Command(binaries.emberlite, folder)
    for name in ("writer", "base"):
        source, package = language.write_folder(folder / name, chat=name == "writer"), folder / f"{name}.ember"
        command.json("pack", source, "--name", name, "--quantize", "none", "-o", package)
        command.json("push", package, "--store", folder / "store")
    return folder / "store"


@pytest.fixture(scope="session")
def generate_server(binaries, log_file, language_store):
    """The function `generate` as an HTTP server; `writer` answers where no model is named."""
    env = environment(PORT="0", EMBER_HOST="127.0.0.1", EMBER_STORE=str(language_store), EMBER_MODEL="writer")
    server = Server("generate", [binaries.functions["generate"]], log_file("generate"), env)
    yield server
    server.stop()


@pytest.fixture
def start_generate(binaries, log_file, language_store):
    """Starts the function `generate` as an HTTP server with these variables."""
    started = []

    def start(**variables: str) -> Server:
        own = {"PORT": "0", "EMBER_HOST": "127.0.0.1", "EMBER_STORE": str(language_store), "EMBER_MODEL": "writer"}
        env = environment(**{**own, **variables})
        started.append(Server("generate", [binaries.functions["generate"]], log_file("generate"), env))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def predict_server(binaries, log_file):
    """Starts the function's binary as an HTTP server with these variables."""
    started = []

    def start(**variables: str) -> Server:
        env = environment(**{"PORT": "0", "EMBER_HOST": "127.0.0.1", **variables})
        started.append(Server("predict", [binaries.predict], log_file("predict"), env))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture(scope="session")
def moto(log_file):
    """Moto's S3 and SQS."""
    program = Path(sys.executable).with_name("moto_server")
    server = MotoServer("moto_server", [program, "-H", "127.0.0.1", "-p", "0"], log_file("moto"), environment())
    yield server
    server.stop()


@pytest.fixture
def bucket(moto) -> Bucket:
    """An empty bucket."""
    return Bucket(moto)


@pytest.fixture
def results(moto) -> Results:
    """An empty bucket for inputs and results."""
    return Results(moto)


@pytest.fixture
def queue(moto) -> Queue:
    """An empty queue."""
    return Queue(moto)


@pytest.fixture
def dead_letters(moto) -> Queue:
    """An empty queue for messages that can't be answered."""
    return Queue(moto)


@pytest.fixture
def pushed(bucket, packages, emberlite) -> Bucket:
    """A bucket that diagnosis was pushed to."""
    emberlite.json("push", packages["diagnosis"].file, "--store", bucket.url, env=bucket.env)
    return bucket


@pytest.fixture
def shop(packages):
    """A running store; its faults are still to be told."""
    shop = Shop(packages["diagnosis"])
    with object_store.serve(shop) as address:
        shop.env = {"EMBER_STORE": f"s3://{BUCKET}", "EMBER_S3_ENDPOINT": f"http://{address}", **FAST}
        yield shop
        shop.released.set()


@pytest.fixture
def function(predict_server, shop):
    """Starts the function on the store."""
    return lambda **variables: predict_server(**{**shop.env, **variables})


@pytest.fixture
def lambda_function(binaries, log_file):
    """Starts the function's binary under `cargo lambda watch` with these variables."""
    program = Path(sys.executable).with_name("cargo-lambda")
    started = []

    def start(name: str = "predict", **variables: str) -> clouds.Function:
        logs = log_file("cargo-lambda"), log_file("function")
        started.append(clouds.Function(binaries.functions[name], program, logs, **variables))
        return started[-1]

    yield start
    for function in started:
        function.stop()


@pytest.fixture
def runtime_interface():
    """A runtime interface that sets real deadlines."""
    with clouds.runtime_interface() as interface:
        yield interface


@pytest.fixture
def consume_on_lambda(binaries, runtime_interface, start_process):
    """Starts the function consume with these variables; its models are those of the checkout."""

    def start(**variables: str) -> clouds.Invoked:
        env = environment(
            AWS_LAMBDA_RUNTIME_API=runtime_interface.address,
            AWS_LAMBDA_FUNCTION_NAME="consume",
            AWS_LAMBDA_FUNCTION_MEMORY_SIZE="1769",
            AWS_LAMBDA_FUNCTION_VERSION="$LATEST",
            **{"EMBER_CACHE_DIR": "none", "EMBER_STORE": str(ROOT), **variables},
        )
        return clouds.Invoked(runtime_interface, start_process("consume", [binaries.functions["consume"]], env))

    return start


@pytest.fixture
def consume(consume_on_lambda, results, dead_letters) -> clouds.Invoked:
    """The function consume with a bucket for results and a dead-letter queue."""
    return consume_on_lambda(**results.env, EMBER_DEAD_LETTER_QUEUE_URL=dead_letters.url)


@pytest.fixture
def consume_over_http(binaries, log_file):
    """Starts the function consume as an HTTP server with these variables; its models are those of the checkout."""
    started = []

    def start(**variables: str) -> Server:
        own = {"EMBER_STORE": str(ROOT), "EMBER_HOST": "127.0.0.1", "PORT": "0"}
        env = environment(**{**own, **variables})
        started.append(Server("consume", [binaries.functions["consume"]], log_file("consume"), env))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def start_process(log_file):
    """Starts any other program."""
    started = []

    def start(name: str, command: list, env: dict[str, str], **kwargs) -> Process:
        started.append(Process(name, command, log_file(name), env, **kwargs))
        return started[-1]

    yield start
    for process in started:
        process.stop()
