"""The texts that `storyteller` reads: public-domain books, cut into passages, and the wishes that passages fulfil."""

import random
import re
import struct
import zlib
from collections import Counter
from pathlib import Path

# A passage ends with the first paragraph that brings it past this many words.
PASSAGE_WORDS = 70
# A longer paragraph is cut between sentences.
LONGEST_WORDS = 140
# The file of stories was wrapped at this column; a line that had room for the next word ends a paragraph.
WRAPPED_AT = 64
# What stands between two excerpts in the file of stories.
SEAM = re.compile(r'",?\n(?:[ \],\n\[]|\.\.\.)*(?: {4})"')
# The excerpts overlap: what is said twice in a row is kept once.
TWICE = re.compile(r"(.{24,500}?)\0?\1", re.DOTALL)
HEADING = re.compile(r"[^a-z]{0,48}$|Chapter|Volume|by$|Jane Austen|Finis|The End")
PLAIN = str.maketrans({"“": '"', "”": '"', "‘": "'", "’": "'", "`": "'", "…": "...", "\xa0": " ", "_": "", "*": ""})


def stories(file: Path) -> list[list[str]]:
    """Excerpts of novels (Oz, Alice, Dracula, Monte Cristo) as lists of paragraphs."""
    text = TWICE.sub(r"\1", SEAM.sub("\0", file.read_text(encoding="utf-8")))
    text = text.removesuffix('"\n  ]\n]').removesuffix('"\n  ]\n]\n')
    return [unwrapped(part) for part in text.split("\0") if part.strip()]


def unwrapped(text: str) -> list[str]:
    paragraphs = [""]
    for line in text.splitlines():
        line = line.strip()
        if not line or line.startswith(("[", "]")):
            continue
        has_room = len(paragraphs[-1].rsplit("\n", 1)[-1]) + 1 + len(line.split()[0]) <= WRAPPED_AT
        if has_room:
            paragraphs.append(line)
        else:
            paragraphs[-1] += f"\n{line}"
    return [tidy(paragraph) for paragraph in paragraphs if paragraph]


def novels(file: Path) -> list[list[str]]:
    """The novels of the R package `janeaustenr` (its `Rdata.rdb`) as lists of paragraphs, without headings."""
    packed, books = file.read_bytes(), []
    while packed:
        unpacking = zlib.decompressobj()
        # Four bytes that tell the length unpacked come first.
        lines = r_strings(unpacking.decompress(packed[4:]))
        packed = unpacking.unused_data
        paragraphs = "\n".join(lines).split("\n\n")
        books.append([tidy(one) for one in paragraphs if one.strip() and not HEADING.match(one.strip())])
    return books


def r_strings(data: bytes) -> list[str]:
    """The character vector that R serialized, in its binary form of version 3."""
    (encoding,) = struct.unpack_from(">i", data, 14)
    at = 18 + encoding
    _, count = struct.unpack_from(">ii", data, at)
    at += 8
    made = []
    for _ in range(count):
        _, length = struct.unpack_from(">ii", data, at)
        at += 8
        made.append(data[at : at + max(length, 0)].decode("utf-8", "replace"))
        at += max(length, 0)
    return made


def plays(file: Path) -> list[list[str]]:
    """Shakespeare's plays as one list of speeches, each beginning with who speaks; lines stay lines."""
    return [[one.strip().translate(PLAIN) for one in file.read_text(encoding="utf-8").split("\n\n") if one.strip()]]


def tidy(paragraph: str) -> str:
    """One line, with plain quotation marks, and dashes as `—` between words."""
    text = re.sub(r"\s*(?:--+|—)+\s*", "—", " ".join(paragraph.translate(PLAIN).split()))
    return re.sub(r'—(["\'])(?=\w)', r"— \1", text)


def passages(paragraphs: list[str]) -> list[str]:
    """Consecutive paragraphs, a line each, put together to pieces of some length."""
    made, current, words = [], [], 0
    for piece in (piece for paragraph in paragraphs for piece in cut(paragraph)):
        current.append(piece)
        words += len(piece.split())
        if words >= PASSAGE_WORDS:
            made.append("\n".join(current))
            current, words = [], 0
    if current:
        made.append("\n".join(current))
    return made


def cut(paragraph: str) -> list[str]:
    if len(paragraph.split()) <= LONGEST_WORDS:
        return [paragraph]
    pieces, words = [[]], 0
    for sentence in re.split(r"(?<=[.!?;])(?<!Mr\.)(?<!Mrs\.)(?<!Dr\.)\s+", paragraph):
        if words >= PASSAGE_WORDS:
            pieces.append([])
            words = 0
        pieces[-1].append(sentence)
        words += len(sentence.split())
    return [" ".join(piece) for piece in pieces]


# What a passage is about: names, and what a small word announces.
NAME = re.compile(r"(?<=[a-z,;] )((?:(?:Mr|Mrs|Miss|Sir|Lady|Captain|Uncle|Aunt|Mock|White|Wicked|Tin|Monte)\.? )?[A-Z][a-z]{2,})")
THING = re.compile(
    r"\b(?:a|an|the|his|her|my|their|our|your|this|that) ([a-z]{4,})"
    r"(?=[.,;:!?\"—]| (?:and|or|of|to|in|on|at|with|for|from|as|by|was|were|is|had|has|who|which|that|when|said|came|went|would|could)\b)"
)
TITLES = {"Miss", "Mrs", "Mr", "Sir", "Lady", "Captain", "Uncle", "Aunt", "White", "Mock", "Tin", "Wicked"}
SPEAKER = re.compile(r"^([A-Z][A-Za-z ]{2,24}):$", re.MULTILINE)
# A word that more than this share of the passages announces says nothing of one.
COMMON = 0.01
WISHES = (
    "Tell me a story about {}.",
    "A story about {}, please.",
    "A story about {}",
    "Write about {}.",
    "I want to hear about {}.",
    "What happened to {}?",
    "Tell me about {}.",
    "{}",
    "Something with {}.",
    "Go on, with {}.",
)
SCENES = ("A scene with {}.", "A scene between {}, please.", "Write a scene with {}.", "{}")


class Wishes:
    """Makes the wish that a passage fulfils, of what the passage is about."""

    def __init__(self, known: list[str]):
        self.seen = Counter(word for text in known for word in set(THING.findall(text)))
        self.most = COMMON * len(known)

    def about(self, text: str, order: random.Random) -> list[str]:
        """One wish, seldom two in a row; none for a passage that is about nothing that could be told."""
        speakers = list(dict.fromkeys(SPEAKER.findall(text)))
        if speakers:
            return [order.choice(SCENES).format(listed([name.title() for name in speakers[:3]]))]
        names = [name for name in dict.fromkeys(NAME.findall(text)) if name not in TITLES]
        things = [word for word in dict.fromkeys(THING.findall(text)) if self.seen[word] <= self.most]
        subjects = order.sample(names, min(len(names), order.randint(0, 2)))
        subjects += [f"the {word}" for word in order.sample(things, min(len(things), order.randint(0, 2)))]
        if not subjects:
            subjects = names[:1] or [f"the {word}" for word in things[:1]]
        if not subjects:
            return []
        order.shuffle(subjects)
        split = len(subjects) > 1 and order.random() < 0.1
        parts = [subjects[:1], subjects[1:]] if split else [subjects]
        return [order.choice(WISHES).format(listed(part)) for part in parts]


def listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
