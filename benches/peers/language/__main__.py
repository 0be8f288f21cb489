"""Emberlite and llama.cpp on the same weights: random ones in SmolLM2-135M's shape, 4-bit and 8-bit, one and two threads.

Both are servers, asked over HTTP by the same client, in turn; the one whose turn it is not is stopped (SIGSTOP). What is
told is what a client sees: the time to the first token of a prompt, the pace of those that follow, the time from starting the
process to the first token.
"""

import argparse
import pathlib
import random
import statistics

from server import emberlite, llama

VOCABULARY = 49152
CONTEXT = 1024
PROMPT = 256
SHORT_PROMPT = 64
DECODED = 128
FIRST_PROMPT = 16
COMMON_PROMPTS = 32
KV_BYTES_PER_TOKEN = 30 * 2 * 3 * 64 * 2


class Bench:
    def __init__(self, arguments):
        self.generate, self.stores = arguments.generate, arguments.stores
        self.llama_server, self.models = arguments.llama_server, arguments.models
        self.rounds = arguments.rounds
        self.random = random.Random(1)

    def ours(self, name, threads):
        return emberlite(self.generate, self.stores / name, threads, CONTEXT)

    def its(self, name, threads, warm_up=True):
        return llama(self.llama_server, self.models / f"{name}.gguf", threads, CONTEXT, warm_up)

    def prompt(self, tokens):
        """Tokens of three letters or so: never the end, no byte alone."""
        return [self.random.randrange(300, VOCABULARY) for _ in range(tokens)]

    def pace(self, name, threads):
        with self.ours(name, threads) as ours, self.its(name, threads) as its:
            servers = {"ours": ours, "its": its}
            for server in servers.values():
                server.write(self.prompt(PROMPT), 8)
                server.stop()
            prefill, decode = ({who: [] for who in servers} for _ in range(2))
            same = 0
            for _ in range(self.rounds):
                prompts = [self.prompt(PROMPT), self.prompt(SHORT_PROMPT)]
                for who, server in servers.items():
                    with server.turn():
                        server.write(self.prompt(4), 4)
                        prefill[who].append(server.write(prompts[0], 1).first * 1000)
                        written = server.write(prompts[1], DECODED)
                        decode[who].append((written.tokens - 1) / (written.last - written.first))
            for _ in range(COMMON_PROMPTS):
                prompt, texts = self.prompt(SHORT_PROMPT), []
                for server in servers.values():
                    with server.turn():
                        texts.append(server.write(prompt, 1).text)
                same += texts[0] == texts[1]
            what = f"{name}, {threads} thread{'s' if threads > 1 else ''}"
            row(f"{what}: decode, tokens a second", decode["ours"], decode["its"])
            row(f"{what}: prompt of {PROMPT} to first token, ms", prefill["ours"], prefill["its"])
            return f"{what}: {same} of {COMMON_PROMPTS}"

    def memory(self, name, threads):
        """The most memory of a process that answered once: no cache of earlier prompts."""
        peaks = []
        for start in (self.ours, self.its):
            with start(name, threads) as server:
                server.write(self.prompt(PROMPT), DECODED)
                peaks.append(server.peak_bytes() / 1e6)
        ours, its = peaks
        package = sum(file.stat().st_size for file in (self.stores / name).rglob("*.ember")) / 1e6
        cached = (PROMPT + DECODED) * KV_BYTES_PER_TOKEN / 1e6
        what = f"{name}, {threads} threads: peak memory after one answer, MB; package {package:.1f}, keys and values {cached:.1f}"
        print(f"| {what} | {ours:.0f} | {its:.0f} | {ours / its:.2f} |", flush=True)

    def starts(self, name, threads):
        """From starting the process to the first token of a short prompt; files are in the page cache."""
        times = {"ours": [], "its": []}
        for _ in range(self.rounds // 2 + 1):
            prompt = self.prompt(FIRST_PROMPT)
            for who, start in {"ours": self.ours, "its": lambda *which: self.its(*which, warm_up=False)}.items():
                with start(name, threads) as server:
                    first = server.write(prompt, 1)
                    times[who].append((first.asked + first.first - server.started) * 1000)
        row(f"{name}, {threads} threads: process start to first token, ms", times["ours"][1:], times["its"][1:])


def row(what, ours, its):
    ratios = [one / other for one, other in zip(ours, its)]
    print(f"| {what} | {spread(ours)} | {spread(its)} | {spread(ratios)} |", flush=True)


def spread(values):
    low, middle, high = statistics.quantiles(values, n=4)
    digits = 0 if middle >= 100 else 1 if middle >= 10 else 2
    return f"{middle:.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--generate", required=True, type=pathlib.Path, help="the binary of the function generate")
    parser.add_argument("--stores", required=True, type=pathlib.Path, help="the folder of the stores q4 and q8")
    parser.add_argument("--llama-server", required=True, type=pathlib.Path, help="llama.cpp's binary")
    parser.add_argument("--models", required=True, type=pathlib.Path, help="the folder that model.py wrote")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--only", nargs="*", default=["q4", "q8"], help="which formats")
    parser.add_argument("--threads", nargs="*", type=int, default=[1, 2])
    arguments = parser.parse_args()
    bench = Bench(arguments)
    print("| SmolLM2-135M's shape | Emberlite | llama.cpp | ratio |\n|---|--:|--:|--:|", flush=True)
    agreement = [bench.pace(name, threads) for name in arguments.only for threads in arguments.threads]
    for name in arguments.only:
        bench.starts(name, max(arguments.threads))
        bench.memory(name, max(arguments.threads))
    print(f"\nThe likeliest token after {SHORT_PROMPT} random ones is the same: {'; '.join(agreement)}.")


if __name__ == "__main__":
    main()
