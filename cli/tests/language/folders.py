"""Tiny language models with random weights as Hugging Face folders, each with `reference.json`: what transformers makes
of some prompts, in single precision.

`reference.json` holds
- `made_by`: programs and versions;
- `context_tokens`, `end_tokens`, `begin_token`: what an importer should find;
- `texts`: texts with the `ids` of the folder's tokenizer;
- `greedy`: the ids of a `prompt` and of the 64 tokens that follow greedily (`least_gap`: how far the second best logit
  was from the best at least);
- `prompts`: `ids`, and the `logits` after some of their `places`.
"""

import json
import pathlib
import shutil
from importlib.metadata import version

import torch
import transformers as t
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

MADE_BY = ", ".join(f"{name} {version(name)}" for name in ("transformers", "torch"))
LENGTHS = [1, 5, 24, 72]
SHOWN = 4
GREEDY = 64
PROMPT = [17, 99, 42, 8, 123, 60]
# Two best logits nearer than this could change places with the order of an addition.
GAP = 0.003

CORPUS = """
Once upon a time there was a little girl named Lily. She loved to play outside in the park.
One day she saw a big red ball. "Can I have the ball?" she asked. Her mother said yes.
The sun was warm and the wind was cold, so Tom and Lily went home to eat soup.
Ben had 12 toy cars and 345 blocks; he gave 6 cars to Sam, who was very happy.
Größe, café, naïve. It's what they're for, isn't it?
""".strip().splitlines()

SAMPLES = ["Once upon a time", "Lily had 12 red balls.", " It's cold!\n\nIsn't it?", "<|im_start|>user\nBen<|im_end|>"]
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

SIZES = dict(
    vocab_size=160, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, max_position_embeddings=128, bos_token_id=1, eos_token_id=2, pad_token_id=0,
    initializer_range=0.25,
)


class Unsettled(Exception):
    """A greedy text that depends on a last digit."""


def tokenizer(begins: bool) -> t.PreTrainedTokenizerFast:
    specials = ["<pad>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"]
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=SIZES["vocab_size"], special_tokens=specials, show_progress=False)
    made.train_from_iterator(CORPUS, trainer)
    if begins:
        made.post_processor = processors.TemplateProcessing(
            single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 1)]
        )
    return t.PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token="<s>", eos_token="</s>", pad_token="<pad>", model_max_length=128
    )


def spread(model) -> None:
    """Norms and biases that differ from what they are born with, or nothing would show that they are read."""
    generator = torch.Generator().manual_seed(5)
    for name, weights in model.named_parameters():
        if weights.ndim == 1:
            weights.data += 0.3 * torch.randn(weights.shape, generator=generator)


def greedy(model, prompt: list[int]) -> dict:
    ids, gap, cache = list(prompt), float("inf"), None
    with torch.no_grad():
        for _ in range(GREEDY):
            new = ids if cache is None else ids[-1:]
            answer = model(torch.tensor([new]), past_key_values=cache, use_cache=True)
            cache = answer.past_key_values
            best = answer.logits[0, -1].topk(2)
            gap = min(gap, float(best.values[0] - best.values[1]))
            ids.append(int(best.indices[0]))
            if gap <= GAP:
                break
    return {"prompt": prompt, "ids": ids[len(prompt):], "least_gap": round(gap, 5)}


def prompts(model, vocabulary: int, longest: int) -> list[dict]:
    generator = torch.Generator().manual_seed(7)
    made = []
    for length in LENGTHS:
        ids = torch.randint(5, vocabulary, (min(length, longest),), generator=generator)
        count = len(ids)
        places = list(range(count)) if count <= SHOWN else [(place + 1) * count // SHOWN - 1 for place in range(SHOWN)]
        with torch.no_grad():
            logits = model(ids[None]).logits[0]
        rows = [[float(f"{value:.6g}") for value in logits[place].tolist()] for place in places]
        made.append({"ids": ids.tolist(), "places": places, "logits": rows})
    return made


def describe(path: pathlib.Path, model, texts: list[dict], rest: dict) -> None:
    vocabulary = model.config.vocab_size
    text = greedy(model, PROMPT)
    if text["least_gap"] <= GAP:
        raise Unsettled(f"{path}: two best logits are {text['least_gap']} apart")
    head = {"made_by": MADE_BY} | rest | {"texts": texts, "greedy": text}
    lines = ",\n".join(json.dumps(one, separators=(",", ":")) for one in prompts(model, vocabulary, 128))
    path.write_text(f'{json.dumps(head, ensure_ascii=False)[:-1]}, "prompts": [\n{lines}\n]}}\n')


def change(path: pathlib.Path, **fields) -> None:
    value = json.loads(path.read_text())
    for field, now in fields.items():
        if now is None:
            value.pop(field, None)
        else:
            value[field] = now
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def make(root: pathlib.Path, name: str, kind: str, *, dtype=torch.float32, begins=False, template=None,
         generation=None, shards=None, **settings) -> pathlib.Path:
    """A folder of an architecture; `settings` go before the usual ones."""
    folder = root / name
    kept = {file: (folder / file).read_text() for file in ["tokenizer.json"] if (folder / file).exists()}
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    config = getattr(t, f"{kind}Config")(**(SIZES | settings))
    config._attn_implementation = "eager"
    model, _ = settled(kind, config, dtype)
    if generation:
        model.generation_config = t.GenerationConfig(**generation)
    model.save_pretrained(folder, **({"max_shard_size": shards} if shards else {}))
    words = tokenizer(begins)
    words.chat_template = template
    words.save_pretrained(folder)
    # The trainer does not give the same vocabulary twice: what is there stays.
    for file, text in kept.items():
        (folder / file).write_text(text)
    # Some architectures have tokenizers of their own, which would be none of tokenizer.json.
    words = t.PreTrainedTokenizerFast.from_pretrained(folder)
    texts = [{"text": text, "ids": words(text)["input_ids"]} for text in SAMPLES]
    ends = (generation or {}).get("eos_token_id", 2)
    rest = {
        "context_tokens": config.max_position_embeddings,
        "end_tokens": sorted(set(ends if isinstance(ends, list) else [ends]) | {2}),
        "begin_token": 1 if begins else None,
    }
    reference = model_class(kind).from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    describe(folder / "reference.json", reference.eval(), texts, rest)
    for weights in folder.glob("*.safetensors"):
        weights.chmod(0o644)
    return folder


def model_class(kind: str):
    return getattr(t, f"{kind.removesuffix('Text')}ForCausalLM")


def settled(kind: str, config, dtype, first: int = 1):
    """The first model, and its seed, whose greedy text depends on no last digit."""
    for seed in range(first, 100):
        torch.manual_seed(seed)
        model = model_class(kind)(config).eval()
        spread(model)
        # Rounding the whole model would round its rotations too.
        for weights in model.parameters():
            weights.data = weights.data.to(dtype).to(torch.float32)
        if greedy(model, PROMPT)["least_gap"] > GAP:
            print(f"{kind}: seed {seed}")
            return model.to(dtype), seed
    raise SystemExit(f"{kind}: no seed makes the best logits differ by {GAP}")


def rope(kind: str, **values) -> dict:
    return {"rope_type": kind, "rope_theta": 10000.0} | values


def older(folder: pathlib.Path, **fields) -> None:
    """Spells a folder's rotations as version 4 of transformers did."""
    change(folder / "config.json", rope_parameters=None, transformers_version="4.51.0", **fields)


def all_folders(root: pathlib.Path) -> None:
    make(root, "llama", "Llama", begins=True, template=TEMPLATE,
         generation=dict(eos_token_id=[2, 4], temperature=0.6, top_p=0.9, top_k=20, do_sample=True))
    make(root, "llama_tied_bf16", "Llama", dtype=torch.bfloat16, tie_word_embeddings=True, head_dim=12)
    make(root, "llama_biased_shards", "Llama", dtype=torch.float16, attention_bias=True, mlp_bias=True, shards="20KB")
    older(make(root, "llama_linear", "Llama", dtype=torch.bfloat16, rope_parameters=rope("linear", factor=2.0)),
          rope_theta=10000.0, rope_scaling={"type": "linear", "factor": 2.0})
    llama3 = dict(factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32)
    make(root, "llama_llama3", "Llama", dtype=torch.bfloat16, num_attention_heads=2, num_key_value_heads=1,
         rope_parameters=rope("llama3", **llama3))
    yarn = dict(factor=4.0, original_max_position_embeddings=32, beta_fast=8.0)
    make(root, "llama_yarn", "Llama", dtype=torch.bfloat16, num_attention_heads=2, num_key_value_heads=1,
         rope_parameters=rope("yarn", **yarn))
    make(root, "llama_dynamic", "Llama", dtype=torch.bfloat16, rope_parameters=rope("dynamic", factor=2.0))
    make(root, "mistral", "Mistral", dtype=torch.bfloat16, sliding_window=16)
    make(root, "qwen2", "Qwen2", dtype=torch.bfloat16, tie_word_embeddings=True)
    make(root, "qwen2_window", "Qwen2", dtype=torch.bfloat16, use_sliding_window=True, sliding_window=16,
         max_window_layers=1)
    make(root, "qwen3", "Qwen3", dtype=torch.bfloat16, head_dim=16)
    make(root, "gemma", "Gemma", dtype=torch.bfloat16, head_dim=16, num_key_value_heads=1)
    make(root, "gemma2", "Gemma2", dtype=torch.bfloat16, head_dim=8, query_pre_attn_scalar=12, sliding_window=16,
         attn_logit_softcapping=5.0, final_logit_softcapping=10.0)
    make(root, "gemma3", "Gemma3Text", dtype=torch.bfloat16, head_dim=8, query_pre_attn_scalar=12, sliding_window=16,
         num_hidden_layers=3, layer_types=["sliding_attention", "sliding_attention", "full_attention"],
         rope_parameters={"full_attention": rope("linear", factor=4.0) | {"rope_theta": 1e6},
                          "sliding_attention": rope("default")})


if __name__ == "__main__":
    torch.set_num_threads(1)
    all_folders(pathlib.Path(__file__).parent / "folders")
