"""Many messages, some of them poison, some sent twice, through processes of which some are killed.

EMBER_SOAK_MESSAGES says how many; 10000 take some minutes.
"""

import json
import os
import random
import signal
import time

import pytest

from support import reference
from support.messages import classify, predict
from support.processes import ROOT, Server, environment, wait_until
from support.queues import Queue

MESSAGES = int(os.environ.get("EMBER_SOAK_MESSAGES", "1000"))
POISON, DUPLICATES = 0.01, 0.05
PROCESSES, KILLED = 4, 2
# How many may lie in the queue.
WAITING = 200
SEED = 6


def good(count: int) -> dict[str, str]:
    """Messages that can be answered, by their ids."""
    rows = reference.random_rows("diagnosis", count, seed=SEED)
    texts = ("My phone was stolen", "Where is my card?", "Why was I charged a fee?")

    def message(number: int) -> dict:
        name = str(number)
        return classify(texts[number % 3], id=name) if number % 5 == 0 else predict(rows[number], id=name)

    return {str(number): json.dumps(message(number)) for number in range(count)}


def poison(count: int) -> list[str]:
    kinds = (
        lambda number: f'{{"number": {number}',
        lambda number: json.dumps({"model": "nobody", "input": number}),
        lambda number: json.dumps(predict([number] * 3)),
        lambda number: json.dumps({"task": "paint", "model": "digits", "input": number}),
    )
    return [kinds[number % len(kinds)](number) for number in range(count)]


@pytest.mark.timeout(60 + MESSAGES // 5)
def test_every_good_message_has_one_result_and_every_bad_one_is_a_dead_letter(
    binaries, log_file, moto, results, dead_letters
):
    chance = random.Random(SEED)
    bad = poison(round(MESSAGES * POISON))
    wanted = good(MESSAGES - len(bad) - round(MESSAGES * DUPLICATES))
    twice = chance.sample(sorted(wanted.values()), round(MESSAGES * DUPLICATES))
    bodies = [*wanted.values(), *bad, *twice]
    chance.shuffle(bodies)
    queue = Queue(moto)

    env = environment(
        **{"EMBER_STORE": str(ROOT), "EMBER_HOST": "127.0.0.1", "PORT": "0", "EMBER_THREADS": "1"},
        # What a killed process had in hand comes back soon.
        **{"EMBER_QUEUE_URL": queue.url, "EMBER_QUEUE_VISIBILITY_SECONDS": "5"},
        **{**results.env, "EMBER_DEAD_LETTER_QUEUE_URL": dead_letters.url},
    )
    # Each when so many messages are sent.
    kills = sorted(chance.sample(range(MESSAGES // 5, MESSAGES - 10), KILLED))
    servers = []
    try:
        for number in range(PROCESSES):
            servers.append(Server(f"consume {number}", [binaries.functions["consume"]], log_file("consume"), env))
        victims = chance.sample(servers, KILLED)
        start = time.monotonic()
        for sent in range(0, MESSAGES, 10):
            queue.send_all(bodies[sent : sent + 10])
            # Moto looks at every message that is there for each request.
            wait_until(lambda: queue.waiting() < WAITING, "there is room for more", 120)
            if kills and sent >= kills[0]:
                kills.pop(0)
                victims.pop().signal(signal.SIGKILL)
        wait_until(queue.is_empty, "the queue is empty", 120)
    finally:
        for server in servers:
            server.stop()
    took = time.monotonic() - start
    print(f"{MESSAGES} messages in {took:.1f} s, {MESSAGES / took:.0f} a second")

    assert not kills and not victims
    found = results.all()
    assert sorted(line["id"] for line in found) == sorted(wanted)
    assert len(results.keys()) == len(wanted)
    # One that was sent there just before its process was killed may be there twice.
    assert {letter["body"] for letter in dead_letters.take()} == set(bad)
