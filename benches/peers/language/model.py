"""A language model in SmolLM2-135M's shape with random weights, as GGUF files: `q4.gguf` (Q4_0) and `q8.gguf` (Q8_0).

Embeddings and logits share one matrix, in the same format as the rest, so that both programs read the same bytes a token.
"""

import itertools
import pathlib
import string
import sys

import gguf
import numpy as np

VOCABULARY = 49152
WIDTH = 576
INNER = 1536
LAYERS = 30
HEADS, KEY_HEADS, HEAD_WIDTH = 9, 3, 64
CONTEXT = 2048
FORMATS = {"q4": gguf.GGMLQuantizationType.Q4_0, "q8": gguf.GGMLQuantizationType.Q8_0}
FILE_TYPES = {"q4": gguf.LlamaFileType.MOSTLY_Q4_0, "q8": gguf.LlamaFileType.MOSTLY_Q8_0}
END = "<|endoftext|>"


def byte_letters():
    """The letters that stand for the 256 bytes in a vocabulary of GPT-2's form."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = itertools.count(256)
    return [chr(byte) if byte in plain else chr(next(others)) for byte in range(256)]


def vocabulary():
    """Tokens and merges: one end, the bytes, then words of two, three and four letters, each a shorter word and a letter."""
    tokens, merges = [END, *byte_letters()], []
    words = list(string.ascii_lowercase)
    while len(tokens) < VOCABULARY:
        longer = []
        for word, letter in itertools.product(words, string.ascii_lowercase):
            if len(tokens) == VOCABULARY:
                break
            merges.append(f"{word} {letter}")
            longer.append(word + letter)
            tokens.append(word + letter)
        words = longer
    return tokens, merges


def weights():
    random = np.random.default_rng(0)

    def matrix(outputs, inputs, gain=1.0):
        return random.standard_normal((outputs, inputs), np.float32) * np.float32(gain / np.sqrt(inputs))

    yield "token_embd.weight", matrix(VOCABULARY, WIDTH, 4.0)
    yield "output_norm.weight", np.ones(WIDTH, np.float32)
    for layer in range(LAYERS):
        part = f"blk.{layer}."
        yield part + "attn_norm.weight", np.ones(WIDTH, np.float32)
        yield part + "ffn_norm.weight", np.ones(WIDTH, np.float32)
        yield part + "attn_q.weight", matrix(HEADS * HEAD_WIDTH, WIDTH)
        yield part + "attn_k.weight", matrix(KEY_HEADS * HEAD_WIDTH, WIDTH)
        yield part + "attn_v.weight", matrix(KEY_HEADS * HEAD_WIDTH, WIDTH)
        yield part + "attn_output.weight", matrix(WIDTH, HEADS * HEAD_WIDTH)
        yield part + "ffn_gate.weight", matrix(INNER, WIDTH)
        yield part + "ffn_up.weight", matrix(INNER, WIDTH)
        yield part + "ffn_down.weight", matrix(WIDTH, INNER)


def write(path, name):
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_name("random-135m")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KEY_HEADS)
    writer.add_rope_dimension_count(HEAD_WIDTH)
    writer.add_rope_freq_base(100_000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(VOCABULARY)
    writer.add_file_type(FILE_TYPES[name])
    tokens, merges = vocabulary()
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.CONTROL] + [gguf.TokenType.NORMAL] * (len(tokens) - 1))
    writer.add_token_merges(merges)
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    writer.add_add_bos_token(False)
    for tensor, values in weights():
        if values.ndim == 1:
            writer.add_tensor(tensor, values)
        else:
            writer.add_tensor(tensor, gguf.quants.quantize(values, FORMATS[name]), raw_dtype=FORMATS[name])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    folder = pathlib.Path(sys.argv[1])
    for name in FORMATS:
        path = folder / f"{name}.gguf"
        if not path.exists():
            part = path.with_suffix(".part")
            write(part, name)
            part.rename(path)
