"""Trains `storyteller`: a small language model that continues stories. Writes what the README lists."""

import argparse
import json
import math
import random
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

import reference
from muon import Muon
from texts import Wishes, novels, passages, plays, stories

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE.parent))
from common import write_recipe  # noqa: E402

SEED = 0
VOCABULARY = 2048
BEGIN, END, WISH, STORY = "<|begin|>", "<|end|>", "<|wish|>", "<|story|>"
CONTEXT = 512
# A step reads this many tokens, in windows of one length: of the whole context in every fifth step, of half of it else.
BATCH_TOKENS = 3072
WINDOW, LONG_EVERY = 256, 5
STEPS = 2000
MATRIX_RATE, OTHER_RATE = 0.02, 4e-3
# The rates rise over these steps, stay for this share of all, and fall to zero with the last.
WARM_UP_STEPS, LEVEL = 40, 0.5
DECAY, DROPOUT = 0.1, 0.1
LOOK_EVERY = 100
# How often a window comes from each kind of text, and how often it is wishes with what fulfils them.
SHARES = {"stories": 0.18, "novels": 0.70, "plays": 0.12}
WISHED = 0.5
# The last part of every text is held out.
HELD_OUT = {"stories": 0.08, "novels": 0.03, "plays": 0.03}
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}<|story|>{{ message['content'] | trim }}{{ eos_token }}"
    "{% else %}<|wish|>{{ message['content'] | trim }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}<|story|>{% endif %}"
)
CHATS = {
    "The Scarecrow": "Tell me a story about the Scarecrow and the road.",
    "Alice": "A story about Alice and the Queen, please.",
    "Romeo": "A scene with Romeo and Juliet.",
}
BEGINNINGS = {
    "Once upon a time": "Once upon a time there was a little girl",
    "A dark castle": "It was very dark in the castle, and",
}


@dataclass
class Book:
    """A text as the model reads it: each passage's tokens, and the wishes for it."""

    kind: str
    passages: list[str]
    tokens: list[list[int]]


def main() -> None:
    options = arguments()
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    start = time.monotonic()
    train, held_out = split(read(options))
    tokenizer = byte_pairs([text for _, texts in train for text in texts])
    books, others = ([Book(kind, texts, encoded(tokenizer, texts)) for kind, texts in part] for part in (train, held_out))
    for kind in SHARES:
        print(f"{kind}: {amount(books, kind)} tokens, {amount(others, kind)} held out", flush=True)
    windows = Windows(books, tokenizer)
    model = LlamaForCausalLM(configuration())
    print(f"{sum(weights.numel() for weights in model.parameters())} weights", flush=True)
    fit(model, windows, options.steps, start)

    write_folder(HERE / "model", model, tokenizer)
    write_recipe(HERE / "pack.toml", recipe())
    stored = LlamaForCausalLM.from_pretrained(HERE / "model", dtype=torch.float32).eval()
    for kind in SHARES:
        print(f"held-out {kind}: perplexity {perplexity(stored, others, kind):.2f} a token, weights in 16 bits")
    reference.main()
    print(f"{time.monotonic() - start:.0f} s")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    data = ROOT / "../shared/data"
    parser.add_argument("--stories", type=Path, default=data / "wizard_of_oz/oz.txt")
    parser.add_argument("--plays", type=Path, default=data / "tinyshakespeare/input.txt")
    parser.add_argument(
        "--novels",
        type=Path,
        default=Path("/usr/lib/R/site-library/janeaustenr/data/Rdata.rdb"),
        help="Rdata.rdb of the R package janeaustenr, as Debian's r-cran-janeaustenr installs it",
    )
    parser.add_argument("--steps", type=int, default=STEPS)
    return parser.parse_args()


def read(options: argparse.Namespace) -> list[tuple[str, list[str]]]:
    kinds = {"stories": stories(options.stories), "novels": novels(options.novels), "plays": plays(options.plays)}
    return [(kind, passages(text)) for kind, texts in kinds.items() for text in texts]


def split(texts: list[tuple[str, list[str]]]) -> tuple[list, list]:
    train, held_out = [], []
    for kind, parts in texts:
        kept = len(parts) - round(len(parts) * HELD_OUT[kind])
        train.append((kind, parts[:kept]))
        held_out.append((kind, parts[kept:]))
    return train, held_out


def byte_pairs(texts: list[str]) -> Tokenizer:
    """Byte pairs in the form of GPT-2, which begin every text with BEGIN."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = [AddedToken(token, special=True) for token in (BEGIN, END, WISH, STORY)]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    begin = tokenizer.token_to_id(BEGIN)
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{BEGIN} $A", special_tokens=[(BEGIN, begin)])
    return tokenizer


def encoded(tokenizer: Tokenizer, texts: list[str]) -> list[list[int]]:
    return [encoding.ids for encoding in tokenizer.encode_batch(texts, add_special_tokens=False)]


def amount(books: list[Book], kind: str) -> int:
    return sum(len(tokens) for book in books if book.kind == kind for tokens in book.tokens)


def configuration() -> LlamaConfig:
    return LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=192,
        intermediate_size=320,
        num_hidden_layers=3,
        num_attention_heads=6,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=CONTEXT,
        rms_norm_eps=1e-5,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
        initializer_range=0.02,
    )


class Windows:
    """Windows of consecutive passages of one book: as they stand, or each after the wish that it fulfils."""

    def __init__(self, books: list[Book], tokenizer: Tokenizer):
        self.kinds = {kind: [book for book in books if book.kind == kind and book.tokens] for kind in SHARES}
        self.sizes = {kind: [len(book.tokens) for book in books] for kind, books in self.kinds.items()}
        self.tokenizer = tokenizer
        self.wishes = Wishes([text for book in books for text in book.passages])
        self.order = random.Random(SEED)
        self.begin, self.end, self.wish, self.story = map(tokenizer.token_to_id, (BEGIN, END, WISH, STORY))
        self.line = tokenizer.encode("\n", add_special_tokens=False).ids

    def batch(self, rows: int, length: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens and what follows each, both [rows, length]; what need not be learnt is -100."""
        windows = [self.window(length + 1) for _ in range(rows)]
        tokens = torch.tensor([[token for token, _ in window] for window in windows])
        wanted = torch.tensor([[token if learnt else -100 for token, learnt in window] for window in windows])
        return tokens[:, :-1], wanted[:, 1:]

    def window(self, length: int) -> list[tuple[int, bool]]:
        (kind,) = self.order.choices(list(SHARES), SHARES.values())
        wished = self.order.random() < WISHED
        made = []
        while len(made) < length:
            (book,) = self.order.choices(self.kinds[kind], self.sizes[kind])
            made.append((self.begin, False))
            for at in range(self.order.randrange(len(book.tokens)), len(book.tokens)):
                made += self.fulfilled(book, at) if wished else [(token, True) for token in (*book.tokens[at], *self.line)]
                if len(made) >= length:
                    break
        return made[:length]

    def fulfilled(self, book: Book, at: int) -> list[tuple[int, bool]]:
        made = []
        for wish in self.wishes.about(book.passages[at], self.order):
            asked = self.tokenizer.encode(wish, add_special_tokens=False).ids
            made += [(token, False) for token in (self.wish, *asked)]
        return made + [(self.story, False)] + [(token, True) for token in (*book.tokens[at], self.end)]


def fit(model: LlamaForCausalLM, windows: Windows, steps: int, start: float) -> None:
    """Trains for so many steps: the last weights are the model's, and no held-out text has a say."""
    for layer in model.model.layers:
        for part in (layer.self_attn.o_proj, layer.mlp.down_proj):
            part.register_forward_hook(lambda part, _, output: F.dropout(output, DROPOUT, part.training))
    matrices = [weights for name, weights in model.named_parameters() if weights.ndim == 2 and "embed" not in name]
    rest = [weights for name, weights in model.named_parameters() if weights.ndim != 2 or "embed" in name]
    optimizers = [
        Muon(matrices, lr=MATRIX_RATE, weight_decay=DECAY),
        torch.optim.AdamW(rest, lr=OTHER_RATE, betas=(0.9, 0.95), weight_decay=0.01),
    ]
    schedules = [torch.optim.lr_scheduler.LambdaLR(one, lambda done: rate(done, steps)) for one in optimizers]
    losses = []
    model.train()
    for step in range(1, steps + 1):
        length = WINDOW if step % LONG_EVERY else CONTEXT
        tokens, wanted = windows.batch(BATCH_TOKENS // length, length)
        logits = model(input_ids=tokens, use_cache=False).logits
        loss = F.cross_entropy(logits.flatten(0, 1), wanted.flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for one in (*optimizers, *schedules):
            one.step()
        model.zero_grad(set_to_none=True)
        losses.append(loss.item())
        if step % LOOK_EVERY == 0:
            seconds = time.monotonic() - start
            print(f"step {step}: loss {sum(losses) / len(losses):.3f}, {seconds:.0f} s", flush=True)
            losses = []
    model.eval()


def rate(done: int, steps: int) -> float:
    """The share of the full rates after this many of all steps: up, level, then down to nothing."""
    return min((done + 1) / WARM_UP_STEPS, 1.0, (steps - done) / (steps * (1 - LEVEL)))


@torch.no_grad()
def perplexity(model: LlamaForCausalLM, books: list[Book], kind: str) -> float:
    """Per token, over windows of the whole context that begin with BEGIN; as the text stands, without wishes."""
    total, count = 0.0, 0
    for tokens in held_out_tokens(books, kind):
        for at in range(0, len(tokens), CONTEXT - 1):
            window = torch.tensor([[0, *tokens[at : at + CONTEXT - 1]]])
            logits = model(input_ids=window, use_cache=False).logits[0, :-1]
            total += F.cross_entropy(logits, window[0, 1:], reduction="sum").item()
            count += window.shape[1] - 1
    return math.exp(total / count)


def held_out_tokens(books: list[Book], kind: str) -> list[list[int]]:
    return [sum(book.tokens, []) for book in books if book.kind == kind and book.tokens]


def write_folder(folder: Path, model: LlamaForCausalLM, tokenizer: Tokenizer) -> None:
    """A Hugging Face folder, its weights in 16 bits."""
    folder.mkdir(exist_ok=True)
    model.generation_config = GenerationConfig(
        bos_token_id=0, eos_token_id=1, pad_token_id=1, do_sample=True, temperature=0.7, top_p=0.9, repetition_penalty=1.1
    )
    model.to(torch.float16).save_pretrained(folder)
    whole = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=BEGIN, eos_token=END, pad_token=END, model_max_length=CONTEXT
    )
    whole.chat_template = CHAT_TEMPLATE
    whole.save_pretrained(folder)


def recipe() -> dict:
    chats = {title: {"messages": [{"role": "user", "content": wish}]} for title, wish in CHATS.items()}
    beginnings = {title: {"prompt": prompt} for title, prompt in BEGINNINGS.items()}
    return {
        "model": "model",
        "name": "storyteller",
        "task": "generate",
        "description": "Goes on with a story, or tells one about what you wish for, in the words of old books.",
        "licence": "MIT OR Apache-2.0",
        "quantize": {"scheme": "q4-calibrated", "calibration": {"file": "calibration.txt"}},
        "perplexity": {"file": "tale.txt"},
        "examples": [{"title": title, "input": given} for title, given in {**chats, **beginnings}.items()],
    }


if __name__ == "__main__":
    main()
