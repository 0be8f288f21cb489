"""The architectures of text encoders, each at its tiniest, with random weights that make a difference.

Every model is 32 wide, with 2 layers of 4 heads (8 wide each). A parameter's values follow from its name alone.
"""

import zlib

import torch
import transformers as t

VOCABULARY = 160
WIDTH = 32
INNER = 48
LAYERS = 2
HEADS = 4
POSITIONS = 40

SIZES = dict(
    vocab_size=VOCABULARY,
    hidden_size=WIDTH,
    num_hidden_layers=LAYERS,
    num_attention_heads=HEADS,
    intermediate_size=INNER,
    max_position_embeddings=POSITIONS,
)
ROBERTA = SIZES | dict(pad_token_id=1, bos_token_id=0, eos_token_id=2, type_vocab_size=1)


def bert():
    return t.BertModel, t.BertConfig(**SIZES)


def distilbert():
    return t.DistilBertModel, t.DistilBertConfig(
        vocab_size=VOCABULARY, dim=WIDTH, hidden_dim=INNER, n_layers=LAYERS, n_heads=HEADS,
        max_position_embeddings=POSITIONS,
    )


def roberta():
    return t.RobertaModel, t.RobertaConfig(**ROBERTA)


def xlm_roberta():
    return t.XLMRobertaModel, t.XLMRobertaConfig(**ROBERTA)


def mpnet():
    return t.MPNetModel, t.MPNetConfig(**SIZES, pad_token_id=1, bos_token_id=0, eos_token_id=2)


def albert():
    return t.AlbertModel, t.AlbertConfig(**SIZES, embedding_size=16, num_hidden_groups=1)


def electra():
    return t.ElectraModel, t.ElectraConfig(**SIZES, embedding_size=16)


def deberta_v2():
    return t.DebertaV2Model, t.DebertaV2Config(
        **SIZES, type_vocab_size=0, relative_attention=True, position_buckets=8, norm_rel_ebd="layer_norm",
        share_att_key=True, pos_att_type=["p2c", "c2p"], position_biased_input=False, max_relative_positions=-1,
    )


def modernbert():
    """Its first layer attends to everything, its second to a window that is shorter than the tests' texts."""
    return t.ModernBertModel, t.ModernBertConfig(
        **SIZES, global_attn_every_n_layers=2, local_attention=8, pad_token_id=0, cls_token_id=1, sep_token_id=2,
        bos_token_id=1, eos_token_id=2,
    )


def t5_encoder():
    return t.T5EncoderModel, t.T5Config(
        vocab_size=VOCABULARY, d_model=WIDTH, d_kv=WIDTH // HEADS, d_ff=INNER, num_layers=LAYERS, num_heads=HEADS,
        relative_attention_num_buckets=8, relative_attention_max_distance=16, feed_forward_proj="gated-gelu",
        is_encoder_decoder=False, use_cache=False,
    )


def clip_text():
    return t.CLIPTextModel, t.CLIPTextConfig(**SIZES, bos_token_id=0, eos_token_id=3, pad_token_id=1)


ALL = {
    "bert": bert,
    "distilbert": distilbert,
    "roberta": roberta,
    "xlm_roberta": xlm_roberta,
    "mpnet": mpnet,
    "albert": albert,
    "electra": electra,
    "deberta_v2": deberta_v2,
    "modernbert": modernbert,
    "t5_encoder": t5_encoder,
    "clip_text": clip_text,
}


def settle(model: torch.nn.Module) -> torch.nn.Module:
    """Gives every parameter random values by its name, as large as makes outputs differ from text to text."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            random = torch.Generator().manual_seed(zlib.crc32(name.encode()))
            values = torch.randn(parameter.shape, generator=random)
            if "embedding" in name.lower() or "shared" in name:
                scale, offset = 0.6, 0.0
            elif "norm" in name.lower() and name.endswith("weight"):
                scale, offset = 0.2, 1.0
            elif parameter.ndim == 1:
                scale, offset = 0.2, 0.0
            else:
                scale, offset = 1.5 / parameter.shape[-1] ** 0.5, 0.0
            parameter.copy_(values * scale + offset)
    return model.eval()


def build(name: str, head: str | None = None, **settings) -> torch.nn.Module:
    """The model called `name`; `head` is the class of transformers that puts a head on it."""
    kind, config = ALL[name]()
    for key, value in settings.items():
        setattr(config, key, value)
    if getattr(config, "layer_types", None):
        config.layer_types = config.layer_types[: config.num_hidden_layers]
    if head:
        kind = getattr(t, head)
    config._attn_implementation = settings.get("attn_implementation", "eager")
    return settle(kind(config))
