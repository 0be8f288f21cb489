"""Contenders that take turns, text by text: a machine's speed changes from minute to minute."""

import random
import statistics

WARM_UP = 20


def in_turns(contenders, texts):
    """By name, the milliseconds that each contender says it took for each text. Who comes after whom changes."""
    times = {name: [] for name in contenders}
    order, shuffled = list(contenders), random.Random(0)
    for text in [*texts[:WARM_UP], *texts]:
        shuffled.shuffle(order)
        for name in order:
            times[name].append(contenders[name](text))
    return {name: own[WARM_UP:] for name, own in times.items()}


def spread(ours, theirs):
    """The median of the ratios of neighbours, and their tenths."""
    ratios = sorted(a / b for a, b in zip(ours, theirs, strict=True))
    low, high = ratios[len(ratios) // 10], ratios[-1 - len(ratios) // 10]
    return f"{statistics.median(ratios):.2f} ({low:.2f}–{high:.2f})"
