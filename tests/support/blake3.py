"""BLAKE3, plainly written, for packages of some kilobytes that a test makes by itself."""

import struct

IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
PERMUTATION = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
COLUMNS = ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15))
DIAGONALS = ((0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14))
CHUNK_START, CHUNK_END, PARENT, ROOT = 1, 2, 4, 8
CHUNK, BLOCK = 1024, 64
MASK = 0xFFFFFFFF


def digest(data: bytes) -> str:
    """The digest in hexadecimal."""
    return struct.pack("<8I", *_subtree(data, 0, ROOT)).hex()


def _subtree(data: bytes, first_chunk: int, root: int) -> tuple[int, ...]:
    if len(data) <= CHUNK:
        return _chunk(data, first_chunk, root)
    # The left side has the most chunks that are a power of two and leave something to the right.
    left_chunks = 1 << ((len(data) - 1) // CHUNK).bit_length() - 1
    left = _subtree(data[: left_chunks * CHUNK], first_chunk, 0)
    right = _subtree(data[left_chunks * CHUNK :], first_chunk + left_chunks, 0)
    return _compress(IV, left + right, 0, BLOCK, PARENT | root)


def _chunk(data: bytes, number: int, root: int) -> tuple[int, ...]:
    value, blocks = IV, [data[at : at + BLOCK] for at in range(0, len(data), BLOCK)] or [b""]
    for index, block in enumerate(blocks):
        is_last = index == len(blocks) - 1
        flags = (CHUNK_START if index == 0 else 0) | (CHUNK_END | root if is_last else 0)
        value = _compress(value, struct.unpack("<16I", block.ljust(BLOCK, b"\0")), number, len(block), flags)
    return value


def _compress(value, words, counter: int, length: int, flags: int) -> tuple[int, ...]:
    state = [*value, *IV[:4], counter & MASK, counter >> 32, length, flags]
    for _ in range(7):
        for index, (a, b, c, d) in enumerate(COLUMNS + DIAGONALS):
            for word, turn_d, turn_b in ((words[2 * index], 16, 12), (words[2 * index + 1], 8, 7)):
                state[a] = (state[a] + state[b] + word) & MASK
                state[d] = _turn(state[d] ^ state[a], turn_d)
                state[c] = (state[c] + state[d]) & MASK
                state[b] = _turn(state[b] ^ state[c], turn_b)
        words = [words[index] for index in PERMUTATION]
    return tuple(state[index] ^ state[index + 8] for index in range(8))


def _turn(word: int, bits: int) -> int:
    return (word >> bits | word << 32 - bits) & MASK
