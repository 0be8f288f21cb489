"""A language model to test with: a tiny Llama of random weights whose tokens are bytes, as a Hugging Face folder."""

import json
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

SPECIAL = ["<pad>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"]
MERGES = [("h", "e"), ("i", "n"), ("Ġ", "t"), ("Ġt", "he"), ("Ġ", "a"), ("o", "n"), ("e", "r")]
CONTEXT = 4096


@dataclass(frozen=True)
class Size:
    """How large the model is."""

    width: int = 32
    layers: int = 2
    heads: int = 4
    key_heads: int = 2
    head_width: int = 8
    inner: int = 64
    # By how much its weights deviate from zero.
    deviation: float = 0.3


TINY = Size()

CHAT_TEMPLATE = """\
{%- if tools %}
<|im_start|>tools
{{ tools | tojson }}<|im_end|>
{% endif %}
{% for message in messages %}
{% if message.role not in ['system', 'user', 'assistant', 'tool'] %}
{{ raise_exception('There is no role ' + message.role) }}
{% endif %}
<|im_start|>{{ message.role }}
{{ message.content }}<|im_end|>
{% endfor %}
{% if add_generation_prompt %}
<|im_start|>assistant
{% endif %}
"""


def byte_characters() -> list[str]:
    """The characters that stand for bytes in byte-level vocabularies."""
    printed = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = iter(range(0x100, 0x200))
    return [chr(byte) if byte in printed else chr(next(others)) for byte in range(256)]


VOCABULARY = [*SPECIAL, *byte_characters(), *("".join(merge) for merge in MERGES)]


def tokenizer() -> dict:
    added = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    first = [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": index, "content": text, **added} for index, text in enumerate(SPECIAL)],
        "normalizer": None,
        "pre_tokenizer": level,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": first,
            "pair": [*first, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}},
        },
        "decoder": level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {text: index for index, text in enumerate(VOCABULARY)},
            "merges": [list(merge) for merge in MERGES],
        },
    }


def weights(seed: int, size: Size) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)

    def matrix(outputs: int, inputs: int) -> np.ndarray:
        return (random.standard_normal((outputs, inputs)) * size.deviation).astype(np.float32)

    width, queries, keys = size.width, size.heads * size.head_width, size.key_heads * size.head_width
    tensors = {
        "model.embed_tokens.weight": matrix(len(VOCABULARY), width),
        "model.norm.weight": np.ones(width, np.float32),
        "lm_head.weight": matrix(len(VOCABULARY), width),
    }
    for layer in range(size.layers):
        name = f"model.layers.{layer}"
        tensors |= {
            f"{name}.input_layernorm.weight": np.ones(width, np.float32),
            f"{name}.post_attention_layernorm.weight": np.ones(width, np.float32),
            f"{name}.self_attn.q_proj.weight": matrix(queries, width),
            f"{name}.self_attn.k_proj.weight": matrix(keys, width),
            f"{name}.self_attn.v_proj.weight": matrix(keys, width),
            f"{name}.self_attn.o_proj.weight": matrix(width, queries),
            f"{name}.mlp.gate_proj.weight": matrix(size.inner, width),
            f"{name}.mlp.up_proj.weight": matrix(size.inner, width),
            f"{name}.mlp.down_proj.weight": matrix(width, size.inner),
        }
    return tensors


def write_safetensors(tensors: dict[str, np.ndarray], path: Path) -> None:
    header, offset = {}, 0
    for name, tensor in tensors.items():
        shape = list(tensor.shape)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [offset, offset + tensor.nbytes]}
        offset += tensor.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors.values():
            file.write(tensor.data)


def write_folder(folder: Path, chat: bool = True, seed: int = 1, size: Size = TINY) -> Path:
    """Writes the model; `chat` says whether it has a chat template."""
    folder.mkdir(parents=True)
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "attention_bias": False,
        "mlp_bias": False,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "head_dim": size.head_width,
        "hidden_act": "silu",
        "hidden_size": size.width,
        "intermediate_size": size.inner,
        "max_position_embeddings": CONTEXT,
        "num_attention_heads": size.heads,
        "num_hidden_layers": size.layers,
        "num_key_value_heads": size.key_heads,
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
        "vocab_size": len(VOCABULARY),
    }
    settings = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
    if chat:
        settings["chat_template"] = CHAT_TEMPLATE
    files = {
        "config.json": config,
        "generation_config.json": {"bos_token_id": 1, "eos_token_id": [2, 4]},
        "tokenizer.json": tokenizer(),
        "tokenizer_config.json": settings,
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content))
    write_safetensors(weights(seed, size), folder / "model.safetensors")
    return folder


def tokens(text: str) -> list[int]:
    """The tokens of a text without merges, such as one of digits and capitals."""
    characters = byte_characters()
    return [VOCABULARY.index(characters[byte]) for byte in text.encode()]
