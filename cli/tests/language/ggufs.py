"""Tiny language models as GGUF files, each beside a JSON file of the same name: what transformers makes of the file.

The weights are those of `folders.py`'s architectures, rounded by the package gguf. transformers reads the file itself:
its logits and its tokens are the reference, in the form that `folders.py` describes. `blocks.gguf` holds a tensor of each
type that is read; `blocks.json` what gguf makes of it.
"""

import json
import pathlib
import sys
from importlib.metadata import version

import gguf
import numpy as np
import torch
import transformers as t
from gguf import GGMLQuantizationType as Type

import folders

MADE_BY = ", ".join(f"{name} {version(name)}" for name in ("transformers", "gguf", "torch"))
KINDS = [Type.F32, Type.F16, Type.BF16, Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1, Type.Q8_0]
# The package writes no blocks of these: they are random bytes, with scales that are numbers.
RAW = {Type.Q4_K: [0, 2], Type.Q5_K: [0, 2], Type.Q6_K: [208]}
# Their scales, so that random bytes are weights of about 0.05, around zero.
SCALES = {Type.Q4_K: [4e-4, 3e-3], Type.Q6_K: [4e-5]}
NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6

MODEL = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
LAYER = {
    "input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
    "post_attention_layernorm": "ffn_norm",
}
GEMMA = LAYER | {
    "post_attention_layernorm": "post_attention_norm", "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
}


def rename(name: str, layer_names: dict) -> str:
    stem, kind = name.rsplit(".", 1)
    if stem in MODEL:
        return f"{MODEL[stem]}.{kind}"
    _, _, layer, part = stem.split(".", 3)
    return f"blk.{layer}.{layer_names[part]}.{kind}"


def permuted(weights: np.ndarray, heads: int) -> np.ndarray:
    """Neighbouring rows of a head turn together in llama.cpp's Llama, its halves in transformers'."""
    split = weights.reshape(heads, 2, weights.shape[0] // heads // 2, *weights.shape[1:])
    return split.swapaxes(1, 2).reshape(weights.shape)


def pieces(writer, prefix=True) -> int:
    """A vocabulary of SentencePiece: bytes, and pieces of the corpus with scores by their frequency."""
    tokens, scores, kinds = ["<unk>", "<s>", "</s>"], [0.0] * 3, [UNKNOWN, CONTROL, CONTROL]
    tokens += [f"<0x{byte:02X}>" for byte in range(256)]
    scores += [0.0] * 256
    kinds += [BYTE] * 256
    text = "".join("\u2581" + line.replace(" ", "\u2581") for line in folders.CORPUS)
    counts = {}
    for length in range(1, 6):
        for start in range(len(text) - length + 1):
            piece = text[start : start + length]
            counts[piece] = counts.get(piece, 0) + 1
    single = sorted(piece for piece in counts if len(piece) == 1)
    several = sorted((piece for piece in counts if len(piece) > 1), key=lambda piece: (-counts[piece] * len(piece), piece))
    for place, piece in enumerate(several[:60] + single):
        tokens.append(piece), scores.append(-float(place)), kinds.append(NORMAL)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores(scores)
    writer.add_token_types(kinds)
    writer.add_add_bos_token(True)
    writer.add_add_space_prefix(prefix)
    return len(tokens)


def byte_pairs(writer, pre: str) -> int:
    tokenizer = json.loads((pathlib.Path(__file__).parent / "folders/qwen2/tokenizer.json").read_text())
    vocabulary = sorted(tokenizer["model"]["vocab"].items(), key=lambda item: item[1])
    added = {token["content"] for token in tokenizer["added_tokens"]}
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list([token for token, _ in vocabulary])
    writer.add_token_types([CONTROL if token in added else NORMAL for token, _ in vocabulary])
    writer.add_token_merges([" ".join(merge) for merge in tokenizer["model"]["merges"]])
    writer.add_add_bos_token(False)
    return len(vocabulary)


def packed(array: np.ndarray, kind: Type, random: np.random.Generator) -> np.ndarray:
    """Blocks of a type with the weights rounded to it, or with random ones where the package does not round to it."""
    if kind not in SCALES:
        return gguf.quants.quantize(array, kind)
    width, size = gguf.GGML_QUANT_SIZES[kind]
    data = random.integers(0, 256, size=(*array.shape[:-1], array.shape[-1] // width, size), dtype=np.uint8)
    for place, scale in zip(RAW[kind], SCALES[kind]):
        data[..., place : place + 2] = np.frombuffer(np.float16(scale).tobytes(), np.uint8)
    return data.reshape(*array.shape[:-1], -1)


def make(root: pathlib.Path, name: str, kind: str, arch: str, weights: Type, words, ends: list[int], embeddings=None,
         seed=1, **settings) -> None:
    """A file of an architecture; rounding may ask for another seed."""
    path = root / f"{name}.gguf"
    writer = gguf.GGUFWriter(path, arch)
    vocabulary = words(writer)
    config = getattr(t, f"{kind}Config")(**(folders.SIZES | {"vocab_size": vocabulary} | settings))
    model, seed = folders.settled(kind, config, torch.float16, seed)
    random = np.random.default_rng(seed)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(vocabulary)
    head_width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    writer.add_key_length(head_width)
    writer.add_value_length(head_width)
    writer.add_rope_dimension_count(head_width)
    rope = config.rope_parameters
    writer.add_rope_freq_base(rope.get("full_attention", rope)["rope_theta"])
    if arch == "gemma3":
        writer.add_sliding_window(config.sliding_window)
    if arch == "gemma2":
        writer.add_sliding_window(config.sliding_window)
        writer.add_attn_logit_softcapping(config.attn_logit_softcapping)
        writer.add_final_logit_softcapping(config.final_logit_softcapping)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_chat_template(folders.TEMPLATE)
    for tensor, values in model.state_dict().items():
        if tensor == "lm_head.weight" and config.tie_word_embeddings:
            continue
        array = values.float().numpy()
        if arch == "llama" and ".q_proj." in tensor:
            array = permuted(array, config.num_attention_heads)
        if arch == "llama" and ".k_proj." in tensor:
            array = permuted(array, config.num_key_value_heads)
        if arch.startswith("gemma") and tensor.endswith("norm.weight"):
            array = array + 1
        type_of = Type.F32 if array.ndim == 1 else weights
        if embeddings is not None and tensor in ("model.embed_tokens.weight", "lm_head.weight"):
            type_of = embeddings
        names = GEMMA if arch in ("gemma2", "gemma3") else LAYER
        writer.add_tensor(rename(tensor, names), packed(array, type_of, random), raw_dtype=type_of)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    try:
        reference(root, name, ends, config)
    except folders.Unsettled:
        make(root, name, kind, arch, weights, words, ends, embeddings, seed + 1, **settings)


def reference(root: pathlib.Path, name: str, ends: list[int], config) -> None:
    """Settings are given, since transformers leaves out some of a file's: the width of Qwen3's heads, for one."""
    file = f"{name}.gguf"
    config._attn_implementation = "eager"
    model = folders.model_class(type(config).__name__.removesuffix("Config")).from_pretrained(
        root, gguf_file=file, config=config, dtype=torch.float32
    )
    words = t.AutoTokenizer.from_pretrained(root, gguf_file=file)
    # Before a space SentencePiece and llama.cpp put another one, transformers none.
    samples = [text for text in folders.SAMPLES if not text.startswith(" ")]
    texts = [{"text": text, "ids": words(text)["input_ids"]} for text in samples]
    begin = 1 if texts[0]["ids"][0] == 1 else None
    folders.MADE_BY = MADE_BY
    rest = {"context_tokens": config.max_position_embeddings, "end_tokens": ends, "begin_token": begin}
    folders.describe(root / f"{name}.json", model.eval(), texts, rest)
    print(name, type(model).__name__)


def blocks(root: pathlib.Path) -> None:
    random = np.random.default_rng(1)
    writer = gguf.GGUFWriter(root / "blocks.gguf", "llama")
    expected = {}
    for kind in KINDS:
        data = gguf.quants.quantize(random.normal(size=(2, 256)).astype(np.float32), kind)
        expected[kind.name] = (data, kind)
    for kind, halves in RAW.items():
        size = gguf.GGML_QUANT_SIZES[kind][1]
        data = random.integers(0, 256, size=(2, size), dtype=np.uint8)
        for place in halves:
            data[:, place : place + 2] = np.array([[0.01], [-0.02]], dtype=np.float16).view(np.uint8)
        expected[kind.name] = (data, kind)
    numbers = {}
    for name, (data, kind) in expected.items():
        writer.add_tensor(name, data, raw_dtype=kind)
        dense = gguf.quants.dequantize(data, kind).reshape(2, 256)
        numbers[name] = [float(f"{value:.8g}") for value in dense.ravel()]
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    lines = ",\n".join(f'"{name}": {json.dumps(values)}' for name, values in numbers.items())
    (root / "blocks.json").write_text(f'{{"made_by": "{MADE_BY}",\n{lines}\n}}\n')


def main(root: pathlib.Path, only: list[str]) -> None:
    root.mkdir(exist_ok=True)
    qwen = lambda writer: byte_pairs(writer, "qwen2")
    gemma = lambda writer: pieces(writer, prefix=False)
    made = {
        "blocks": lambda name: blocks(root),
        "llama_f16": lambda name: make(root, name, "Llama", "llama", Type.F16, pieces, [2]),
        "llama_q8_0": lambda name: make(root, name, "Llama", "llama", Type.Q8_0, pieces, [2], intermediate_size=64),
        "llama_q4_0": lambda name: make(root, name, "Llama", "llama", Type.Q4_0, pieces, [2], embeddings=Type.Q8_0,
                                        intermediate_size=64),
        "llama_q4_k": lambda name: make(root, name, "Llama", "llama", Type.Q4_K, pieces, [2], embeddings=Type.Q6_K,
                                        hidden_size=256, intermediate_size=256, num_hidden_layers=1,
                                        tie_word_embeddings=True),
        "qwen2_bf16": lambda name: make(root, name, "Qwen2", "qwen2", Type.BF16, qwen, [2, 4], tie_word_embeddings=True),
        "qwen3_f16": lambda name: make(root, name, "Qwen3", "qwen3", Type.F16, qwen, [2, 4], head_dim=16),
        "gemma2_f16": lambda name: make(root, name, "Gemma2", "gemma2", Type.F16, gemma, [2], head_dim=8,
                                        query_pre_attn_scalar=8, sliding_window=16),
        "gemma3_f16": lambda name: make(root, name, "Gemma3Text", "gemma3", Type.F16, gemma, [2], head_dim=8,
                                        query_pre_attn_scalar=8, sliding_window=16, num_hidden_layers=6,
                                        intermediate_size=32),
    }
    for name, one in made.items():
        if not only or name in only:
            one(name)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(pathlib.Path(__file__).parent / "gguf", sys.argv[1:])
