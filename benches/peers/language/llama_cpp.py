"""Builds llama.cpp's `llama-server` for this CPU, from the sources that the PyPI package llama-cpp-python carries."""

import pathlib
import shutil
import subprocess
import sys
import tarfile

PACKAGE = "llama-cpp-python==0.3.36"
OPTIONS = [
    "CMAKE_BUILD_TYPE=Release",
    "BUILD_SHARED_LIBS=OFF",
    "GGML_NATIVE=ON",
    "LLAMA_BUILD_EXAMPLES=OFF",
    "LLAMA_BUILD_TESTS=OFF",
    "LLAMA_CURL=OFF",
    "LLAMA_OPENSSL=OFF",
]


def build(folder):
    """Leaves `llama-server` in the folder, where it is not there already."""
    server, stamp = folder / "llama-server", folder / "llama-server.txt"
    if stamp.is_file() and stamp.read_text() == PACKAGE:
        return
    work = folder / "llama.cpp"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    print(f"building llama-server from {PACKAGE}: this takes some minutes", flush=True)
    download = ["pip", "download", "--quiet", "--no-deps", "--no-binary", "llama-cpp-python", "--dest", str(work), PACKAGE]
    subprocess.run([sys.executable, "-m", *download], check=True)
    (archive,) = work.glob("*.tar.gz")
    with tarfile.open(archive) as sources:
        sources.extractall(work, filter="data")
    (source,) = work.glob("*/vendor/llama.cpp")
    programs = pathlib.Path(sys.executable).parent
    configure = [programs / "cmake", "-S", source, "-B", work / "build", "-G", "Ninja"]
    configure += [f"-DCMAKE_MAKE_PROGRAM={programs / 'ninja'}", *(f"-D{option}" for option in OPTIONS)]
    subprocess.run(configure, check=True, stdout=subprocess.DEVNULL)
    subprocess.run([programs / "ninja", "-C", work / "build", "llama-server"], check=True, stdout=subprocess.DEVNULL)
    shutil.copy2(work / "build/bin/llama-server", server)
    shutil.rmtree(work)
    stamp.write_text(PACKAGE)


if __name__ == "__main__":
    build(pathlib.Path(sys.argv[1]))
