"""Texts that the tokenizers are trained on, and the tokenizers, one for each family."""

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from architectures import VOCABULARY

CORPUS = """
My card has not arrived yet and I need it before Friday.
Why was my transfer declined? The money left my account, but the shop says it never came.
I lost my phone; how do I change the number of my account?
Please cancel the payment of 250 euro that I made this morning.
The exchange rate looks wrong: you took 12.75 more than it says.
How long does a transfer from another bank take? It was sent on Monday.
Can I top up with a card that is not in my name?
The machine kept my card and gave me no cash.
""".strip().splitlines()

SAMPLES = [
    "My card has not arrived.",
    "How long does a transfer take?",
    "cancel the payment of 250 euro, please",
    "Why?",
    "The exchange rate looks wrong: you took more than it says. I lost my phone; how do I change the number?",
    "größe 数字 unknown ☃",
]

SAMPLE_PAIRS = [
    ["How long does a transfer take?", "It takes three days from another bank."],
    ["How long does a transfer take?", "The machine kept my card."],
    ["Why?", "The exchange rate looks wrong: you took more than it says. I lost my phone; how do I change it?"],
]


def wordpiece(specials: list[str], template: tuple[str, str]) -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(vocab_size=VOCABULARY, special_tokens=specials, show_progress=False)
    return finish(tokenizer, trainer, template)


def byte_level(specials: list[str], template: tuple[str, str]) -> Tokenizer:
    """Its alphabet is what the corpus needs: all 256 bytes would fill the vocabulary."""
    tokenizer = Tokenizer(models.BPE(unk_token=specials[-1]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=specials, show_progress=False)
    return finish(tokenizer, trainer, template)


def unigram(specials: list[str], template: tuple[str, str]) -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=VOCABULARY - 1, special_tokens=specials, unk_token="<unk>", show_progress=False
    )
    return finish(tokenizer, trainer, template)


def finish(tokenizer: Tokenizer, trainer, template: tuple[str, str]) -> Tokenizer:
    tokenizer.train_from_iterator(CORPUS, trainer)
    single, pair = template
    names = {name for name in (single + " " + pair).replace(":0", "").replace(":1", "").split() if name[0] != "$"}
    tokenizer.post_processor = processors.TemplateProcessing(
        single=single, pair=pair, special_tokens=[(name, tokenizer.token_to_id(name)) for name in sorted(names)]
    )
    return tokenizer


BERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
BERT_TEMPLATE = ("[CLS] $A [SEP]", "[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1")
MODERNBERT_TEMPLATE = ("[CLS] $A [SEP]", "[CLS]:0 $A:0 [SEP]:0 $B:0 [SEP]:0")
ROBERTA = ["<s>", "<pad>", "</s>", "<unk>"]
ROBERTA_TEMPLATE = ("<s> $A </s>", "<s> $A </s> </s> $B </s>")
MPNET = ["<s>", "<pad>", "</s>", "[UNK]"]

BERT_NAMES = dict(pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]")
ROBERTA_NAMES = dict(
    pad_token="<pad>", unk_token="<unk>", bos_token="<s>", eos_token="</s>", cls_token="<s>", sep_token="</s>"
)

TOKENIZERS = {
    "bert": (lambda: wordpiece(BERT, BERT_TEMPLATE), BERT_NAMES),
    "distilbert": (lambda: wordpiece(BERT, BERT_TEMPLATE), BERT_NAMES),
    "electra": (lambda: wordpiece(BERT, BERT_TEMPLATE), BERT_NAMES),
    "modernbert": (lambda: byte_level([*BERT[:1], *BERT[2:], "[UNK]"], MODERNBERT_TEMPLATE), BERT_NAMES),
    "roberta": (lambda: byte_level(ROBERTA, ROBERTA_TEMPLATE), ROBERTA_NAMES),
    "xlm_roberta": (lambda: unigram(ROBERTA, ROBERTA_TEMPLATE), ROBERTA_NAMES),
    "mpnet": (lambda: wordpiece(MPNET, ROBERTA_TEMPLATE), ROBERTA_NAMES | dict(unk_token="[UNK]")),
}
