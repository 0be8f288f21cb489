"""Hugging Face and sentence-transformers folders, each with `reference.json`: what the library that reads it makes of
some texts.

`reference.json` holds
- `made_by`: programs and versions;
- `kind`: `model` (`last_hidden_state`), `sentence` (`embedding` as the folder's modules make it, `pooled` before a
  normalisation), `classifier` or `reranker` (`logits`; `scores` after the folder's activation function);
- `texts`: texts (or pairs) with the `ids` and `type_ids` of the folder's tokenizer, cut to `max_tokens`;
- `cases`: batches, `inputs` by name and `outputs` by name, each tensor as {"dtype", "shape", "data"}.
"""

import json
import pathlib
from importlib.metadata import version

import sentence_transformers as st
import torch
import transformers as t

import architectures
import references
import texts

MADE_BY = ", ".join(f"{name} {version(name)}" for name in ("transformers", "sentence-transformers", "torch"))
INTENTS = {0: "card", 1: "transfer", 2: "cash"}
HEADS = {
    "bert": "BertForSequenceClassification",
    "distilbert": "DistilBertForSequenceClassification",
    "electra": "ElectraForSequenceClassification",
    "roberta": "RobertaForSequenceClassification",
    "xlm_roberta": "XLMRobertaForSequenceClassification",
    "mpnet": "MPNetForSequenceClassification",
    "modernbert": "ModernBertForSequenceClassification",
}
# The lengths that models accept; RoBERTa and MPNet count positions from 2.
LIMITS = dict(roberta=38, xlm_roberta=38, mpnet=38)
# Pooling flags as sentence-transformers has written them since its first versions.
POOLING = ["cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken"]


def save(folder: pathlib.Path, architecture: str, head: str | None = None, layers: int = 1, **settings):
    """Writes configuration, weights and tokenizer; gives the model and its tokenizer back."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer_file = folder / "tokenizer.json"
    kept = tokenizer_file.read_text() if tokenizer_file.exists() else None
    make, names = texts.TOKENIZERS[architecture]
    limit = LIMITS.get(architecture, architectures.POSITIONS)
    # The trainers do not give the same vocabulary twice: what is there stays.
    raw = texts.Tokenizer.from_str(kept) if kept else make()
    raw.no_truncation(), raw.no_padding()
    tokenizer = t.PreTrainedTokenizerFast(tokenizer_object=raw, model_max_length=limit, **names)
    model = architectures.build(architecture, head, num_hidden_layers=layers, **settings)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model, tokenizer


def encode(tokenizer, samples: list, limit: int) -> list[dict]:
    encoded = []
    for sample in samples:
        pair = sample if isinstance(sample, list) else [sample]
        one = tokenizer(*pair, truncation=True, max_length=limit, return_token_type_ids=True)
        encoded.append({"text": sample, "ids": one["input_ids"], "type_ids": one["token_type_ids"]})
    return encoded


def batches(encoded: list[dict], padding: int, types: bool):
    """One text alone, and all of them padded to the longest."""
    for group in [encoded[:1], encoded]:
        longest = max(len(one["ids"]) for one in group)
        pad = lambda values, value: values + [value] * (longest - len(values))
        made = {
            "input_ids": torch.tensor([pad(one["ids"], padding) for one in group]),
            "attention_mask": torch.tensor([pad([1] * len(one["ids"]), 0) for one in group]),
        }
        if types:
            made["token_type_ids"] = torch.tensor([pad(one["type_ids"], 0) for one in group])
        yield made


def describe(folder, kind, tokenizer, encoded, limit, types, run) -> None:
    """Writes what `run` gives for each batch."""
    cases = []
    with torch.no_grad():
        # A hidden state of every token would be long: only short texts then.
        longest = 20 if kind == "model" else limit
        short = [one for one in encoded if len(one["ids"]) <= longest]
        for made in batches(short, tokenizer.pad_token_id, types):
            outputs = {name: references.tensor(value) for name, value in run(made).items()}
            cases.append({"inputs": {name: references.tensor(ids) for name, ids in made.items()}, "outputs": outputs})
    rest = {"kind": kind, "max_tokens": limit, "texts": encoded, "cases": cases}
    references.write(folder / "reference.json", MADE_BY, rest)
    for leftover in ["README.md", "special_tokens_map.json"]:
        (folder / leftover).unlink(missing_ok=True)
    for weights in folder.rglob("*.safetensors"):
        weights.chmod(0o644)


def base(folder: pathlib.Path, architecture: str, **settings) -> None:
    model, tokenizer = save(folder, architecture, layers=architectures.LAYERS, **settings)
    limit = tokenizer.model_max_length
    encoded = encode(tokenizer, texts.SAMPLES, limit)
    types = getattr(model.config, "type_vocab_size", 0) > 1
    run = lambda made: {"last_hidden_state": model(**made).last_hidden_state}
    describe(folder, "model", tokenizer, encoded, limit, types, run)


def classifier(folder: pathlib.Path, architecture: str, problem: str | None, labels: dict, **settings) -> None:
    model, tokenizer = save(
        folder, architecture, HEADS[architecture], problem_type=problem, num_labels=len(labels), id2label=labels,
        label2id={label: index for index, label in labels.items()}, **settings,
    )
    logits(folder, "classifier", model, tokenizer, texts.SAMPLES)


def reranker(folder: pathlib.Path, architecture: str, extra: dict, activation) -> None:
    model, tokenizer = save(folder, architecture, HEADS[architecture], num_labels=1)
    change(folder / "config.json", lambda config: config.update(extra))
    logits(folder, "reranker", model, tokenizer, texts.SAMPLE_PAIRS, activation)


def logits(folder, kind, model, tokenizer, samples, activation=None) -> None:
    limit = tokenizer.model_max_length
    encoded = encode(tokenizer, samples, limit)
    types = getattr(model.config, "type_vocab_size", 0) > 1

    def run(made):
        found = model(**made).logits
        return {"logits": found} | ({"scores": activation(found)} if activation else {})

    describe(folder, kind, tokenizer, encoded, limit, types, run)


def published(folder: pathlib.Path) -> None:
    """Spells a ModernBERT's settings as version 4 of transformers did, and the models published with it."""
    def edit(config):
        for key in ["rope_parameters", "layer_types"]:
            del config[key]
        config.update(global_rope_theta=160000.0, local_rope_theta=10000.0, transformers_version="4.48.0")

    expected = t.AutoModel.from_pretrained(folder).config
    change(folder / "config.json", edit)
    got = t.AutoModel.from_pretrained(folder).config
    assert got.rope_parameters == expected.rope_parameters and got.layer_types == expected.layer_types


def change(path: pathlib.Path, edit) -> None:
    value = json.loads(path.read_text())
    edit(value)
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def sentence(folder, architecture, pooling: list[str], *, normalize: bool, dense: int | None = None,
             limit: int | None = None) -> None:
    """A folder as sentence-transformers wrote it in its first years, and as most models are published."""
    _, tokenizer = save(folder, architecture)
    limit = limit or tokenizer.model_max_length
    width = architectures.WIDTH * len(pooling)
    modules = [("", "Transformer"), ("1_Pooling", "Pooling")]
    flags = {f"pooling_mode_{mode}": mode in pooling for mode in POOLING}
    put(folder / "1_Pooling/config.json", {"word_embedding_dimension": architectures.WIDTH} | flags)
    put(folder / "sentence_bert_config.json", {"max_seq_length": limit, "do_lower_case": False})
    if dense:
        modules.append((f"{len(modules)}_Dense", "Dense"))
        layer = architectures.settle(st.sentence_transformer.modules.Dense(width, dense))
        (folder / modules[-1][0]).mkdir(exist_ok=True)
        layer.save(str(folder / modules[-1][0]))
        change(folder / modules[-1][0] / "config.json",
               lambda config: config.update(activation_function="torch.nn.modules.activation.Tanh"))
    if normalize:
        modules.append((f"{len(modules)}_Normalize", "Normalize"))
    put(folder / "modules.json", [
        {"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for index, (path, kind) in enumerate(modules)
    ])
    embeddings(folder, limit)


def sentence_now(folder, architecture) -> None:
    """A folder as the version of sentence-transformers in requirements.txt writes it."""
    save(folder, architecture)
    modules = st.sentence_transformer.modules
    transformer = modules.Transformer(str(folder), max_seq_length=24)
    pooling = modules.Pooling(transformer.get_embedding_dimension(), pooling_mode="mean")
    model = st.SentenceTransformer(modules=[transformer, pooling, modules.Normalize()], device="cpu")
    model.save(str(folder))
    embeddings(folder, 24)


def embeddings(folder, limit: int) -> None:
    model = st.SentenceTransformer(str(folder), device="cpu")
    tokenizer = model.tokenizer
    encoded = encode(tokenizer, texts.SAMPLES, limit)
    types = getattr(model[0].auto_model.config, "type_vocab_size", 0) > 1

    def run(made):
        features = dict(made)
        for module in model:
            if "Normalize" not in type(module).__name__:
                features = module(features)
        pooled = features["sentence_embedding"]
        normalized = "Normalize" in type(model[-1]).__name__
        embedding = torch.nn.functional.normalize(pooled, dim=1) if normalized else pooled
        return {"pooled": pooled, "embedding": embedding}

    describe(folder, "sentence", tokenizer, encoded, limit, types, run)
    described = json.loads((folder / "reference.json").read_text())["cases"][1]["outputs"]["embedding"]
    expected = model.encode(texts.SAMPLES)
    got = torch.tensor(described["data"]).reshape(described["shape"]).numpy()
    assert abs(expected - got).max() < 1e-5, f"{folder.name}: the library's own answer differs"


def put(path: pathlib.Path, value) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n")


def make(root: pathlib.Path) -> None:
    for architecture in HEADS:
        base(root / architecture, architecture)
        classifier(root / f"{architecture}_classifier", architecture, "single_label_classification", INTENTS)
        print(architecture)
    base(root / "bert_gelu_tanh", "bert", hidden_act="gelu_new")
    classifier(root / "bert_multi_label", "bert", "multi_label_classification", INTENTS)
    classifier(root / "bert_regression", "bert", "regression", {0: "LABEL_0"})
    classifier(root / "modernbert_mean_classifier", "modernbert", None, INTENTS, classifier_pooling="mean")
    classifier(root / "modernbert_biased_classifier", "modernbert", None, INTENTS, attention_bias=True, mlp_bias=True,
               norm_bias=True, classifier_bias=True, classifier_activation="relu")
    sentence(root / "bert_sentence", "bert", ["mean_tokens"], normalize=True, limit=24)
    sentence(root / "roberta_sentence_cls", "roberta", ["cls_token"], normalize=True)
    sentence(root / "xlm_roberta_sentence_plain", "xlm_roberta", ["mean_tokens"], normalize=False)
    sentence(root / "mpnet_sentence", "mpnet", ["mean_tokens"], normalize=True)
    sentence(root / "distilbert_sentence_dense", "distilbert", ["mean_tokens"], normalize=True, dense=16)
    sentence(root / "bert_sentence_max", "bert", ["max_tokens"], normalize=False)
    sentence(root / "bert_sentence_two_poolings", "bert", ["cls_token", "mean_tokens"], normalize=True)
    sentence_now(root / "modernbert_sentence", "modernbert")
    identity, sigmoid = torch.nn.Identity(), torch.nn.Sigmoid()
    reranker(root / "bert_reranker", "bert",
             {"sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity", "version": "4.0.1"}}, identity)
    reranker(root / "roberta_reranker", "roberta",
             {"sbert_ce_default_activation_function": "torch.nn.modules.activation.Sigmoid"}, sigmoid)
    reranker(root / "xlm_roberta_reranker", "xlm_roberta", {}, sigmoid)
    published(root / "modernbert")


if __name__ == "__main__":
    make(pathlib.Path(__file__).parent / "folders")
