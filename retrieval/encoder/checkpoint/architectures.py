"""Which published checkpoints are understood: from their config.json to our shape, from our weights' names to theirs.

A layout is a row of `LAYOUTS`, keyed by `model_type`.  The names on the left of its table are ours; several names on
the right are joined along the first dimension (queries, keys and values are one projection here).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from retrieval.encoder.model.model_shape import Architecture, LayerKind
from retrieval.errors import UnsupportedCheckpoint

Config: TypeAlias = Mapping[str, Any]

ACTIVATION_NAMES = ("gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "silu", "swish")


@dataclass(frozen=True, slots=True)
class CheckpointLayout:
    """How one family of checkpoints names its numbers and its weights.  `{i}` stands for the layer."""

    shape: Callable[[Config], Architecture]
    whole: Mapping[str, str]
    layer: Mapping[str, tuple[str, ...]]
    unused: tuple[str, ...] = ("pooler.", "embeddings.position_ids")  # heads that no encoder needs


def architecture_of(config: Config) -> Architecture | None:
    """The shape that a config.json describes; None where the family is unknown (the fallback's business)."""
    layout = LAYOUTS.get(config.get("model_type", ""))
    if layout is None:
        return None
    try:
        shape = layout.shape(config)
    except KeyError as error:
        raise UnsupportedCheckpoint(f"config.json of a {config['model_type']} model lacks {error}") from error
    return shape if shape.activation in ACTIVATION_NAMES else None


def _bert(config: Config) -> Architecture:
    kind = config.get("position_embedding_type", "absolute")
    if kind not in ("absolute", None):
        raise UnsupportedCheckpoint(f"position_embedding_type {kind!r} is not supported (only 'absolute' is)")
    if config.get("is_decoder"):
        raise UnsupportedCheckpoint("the checkpoint is a decoder (is_decoder is true); an encoder is needed")
    return Architecture(
        vocabulary=config["vocab_size"],
        width=config["hidden_size"],
        heads=config["num_attention_heads"],
        inner=config["intermediate_size"],
        layers=(LayerKind(),) * config["num_hidden_layers"],
        max_positions=config["max_position_embeddings"],
        activation=config.get("hidden_act", "gelu"),
        norm_eps=config.get("layer_norm_eps", 1e-12),
        token_types=config.get("type_vocab_size", 2),
    )


def _after_padding(config: Config, padding: int, **changes: Any) -> Architecture:
    """BERT whose position table begins after the row of the padding token."""
    shape = {each: getattr(_bert(config), each) for each in Architecture.__slots__}
    offset = padding + 1
    return Architecture(
        **shape | {"position_offset": offset, "max_positions": config["max_position_embeddings"] - offset} | changes
    )


def _roberta(config: Config) -> Architecture:
    padding = config.get("pad_token_id")
    eps = config.get("layer_norm_eps", 1e-12)
    return _after_padding(config, 1 if padding is None else padding, norm_eps=eps)


def _mpnet(config: Config) -> Architecture:
    return _after_padding(config, 1, token_types=0, relative_buckets=config.get("relative_attention_num_buckets", 32))


def _distilbert(config: Config) -> Architecture:
    return Architecture(
        vocabulary=config["vocab_size"],
        width=config["dim"],
        heads=config["n_heads"],
        inner=config["hidden_dim"],
        layers=(LayerKind(),) * config["n_layers"],
        max_positions=config["max_position_embeddings"],
        activation=config.get("activation", "gelu"),
    )


def _modernbert(config: Config) -> Architecture:
    return Architecture(
        vocabulary=config["vocab_size"],
        width=config["hidden_size"],
        heads=config["num_attention_heads"],
        inner=config["intermediate_size"],
        layers=tuple(_modernbert_layer(config, kind) for kind in _modernbert_kinds(config)),
        max_positions=config["max_position_embeddings"],
        activation=config.get("hidden_activation", "gelu"),
        norm_eps=config.get("norm_eps", 1e-5),
        positions="none",
        pre_norm=True,
        gated=True,
        attention_biased=config.get("attention_bias", False),
        inner_biased=config.get("mlp_bias", False),
        norm_biased=config.get("norm_bias", False),
    )


def _modernbert_kinds(config: Config) -> list[str]:
    every = config.get("global_attn_every_n_layers", 3)
    usual = ["sliding_attention" if i % every else "full_attention" for i in range(config["num_hidden_layers"])]
    return list(config.get("layer_types") or usual)


def _modernbert_layer(config: Config, kind: str) -> LayerKind:
    local = kind == "sliding_attention"
    rope = (config.get("rope_parameters") or {}).get(kind) or {}
    if rope.get("rope_type", "default") != "default" or config.get("rope_scaling"):
        raise UnsupportedCheckpoint(f"rotary positions of type {rope.get('rope_type', 'scaled')!r} are not supported")
    old_name, usual = ("local_rope_theta", 10_000.0) if local else ("global_rope_theta", 160_000.0)
    base = rope.get("rope_theta") or config.get(old_name) or usual
    return LayerKind(window=config.get("local_attention", 128) // 2 if local else None, rotary_base=float(base))


def _attendex(config: Config) -> Architecture:
    """An encoder trained from scratch here: the shape's own fields, the weights under their own names."""
    given = dict(config["architecture"])
    return Architecture(**given | {"layers": tuple(LayerKind(**layer) for layer in given["layers"])})


def _linear(ours: str, *theirs: str) -> dict[str, tuple[str, ...]]:
    return {f"{ours}.{part}": tuple(f"{name}.{part}" for name in theirs) for part in ("weight", "bias")}


_EMBEDDINGS = {
    "embeddings.words.weight": "embeddings.word_embeddings.weight",
    "embeddings.places.table.weight": "embeddings.position_embeddings.weight",
    "embeddings.types.weight": "embeddings.token_type_embeddings.weight",
    "embeddings.norm.weight": "embeddings.LayerNorm.weight",
    "embeddings.norm.bias": "embeddings.LayerNorm.bias",
}

_INNER = {
    **_linear("inner.up", "encoder.layer.{i}.intermediate.dense"),
    **_linear("inner.down", "encoder.layer.{i}.output.dense"),
    **_linear("inner_norm", "encoder.layer.{i}.output.LayerNorm"),
}

_BERT_LAYER = {
    **_linear(
        "attention.qkv",
        "encoder.layer.{i}.attention.self.query",
        "encoder.layer.{i}.attention.self.key",
        "encoder.layer.{i}.attention.self.value",
    ),
    **_linear("attention.out", "encoder.layer.{i}.attention.output.dense"),
    **_linear("attention_norm", "encoder.layer.{i}.attention.output.LayerNorm"),
    **_INNER,
}

_MPNET_LAYER = {
    **_linear("attention.qkv", *(f"encoder.layer.{{i}}.attention.attn.{part}" for part in "qkv")),
    **_linear("attention.out", "encoder.layer.{i}.attention.attn.o"),
    **_linear("attention_norm", "encoder.layer.{i}.attention.LayerNorm"),
    **_INNER,
}

_DISTILBERT_LAYER = {
    **_linear("attention.qkv", *(f"transformer.layer.{{i}}.attention.{part}_lin" for part in "qkv")),
    **_linear("attention.out", "transformer.layer.{i}.attention.out_lin"),
    **_linear("attention_norm", "transformer.layer.{i}.sa_layer_norm"),
    **_linear("inner.up", "transformer.layer.{i}.ffn.lin1"),
    **_linear("inner.down", "transformer.layer.{i}.ffn.lin2"),
    **_linear("inner_norm", "transformer.layer.{i}.output_layer_norm"),
}

_MODERNBERT = {
    "embeddings.words.weight": "embeddings.tok_embeddings.weight",
    "embeddings.norm.weight": "embeddings.norm.weight",
    "embeddings.norm.bias": "embeddings.norm.bias",
    "final_norm.weight": "final_norm.weight",
    "final_norm.bias": "final_norm.bias",
}

_MODERNBERT_LAYER = {
    **_linear("attention.qkv", "layers.{i}.attn.Wqkv"),
    **_linear("attention.out", "layers.{i}.attn.Wo"),
    **_linear("attention_norm", "layers.{i}.attn_norm"),
    **_linear("inner.up", "layers.{i}.mlp.Wi"),
    **_linear("inner.down", "layers.{i}.mlp.Wo"),
    **_linear("inner_norm", "layers.{i}.mlp_norm"),
}

_ROBERTA = CheckpointLayout(_roberta, _EMBEDDINGS, _BERT_LAYER)

LAYOUTS: Mapping[str, CheckpointLayout] = {
    "attendex": CheckpointLayout(_attendex, {}, {}),
    "bert": CheckpointLayout(_bert, _EMBEDDINGS, _BERT_LAYER),
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
    "camembert": _ROBERTA,
    "distilbert": CheckpointLayout(_distilbert, _EMBEDDINGS, _DISTILBERT_LAYER),
    "mpnet": CheckpointLayout(
        _mpnet, {**_EMBEDDINGS, "relative.table.weight": "encoder.relative_attention_bias.weight"}, _MPNET_LAYER
    ),
    "modernbert": CheckpointLayout(_modernbert, _MODERNBERT, _MODERNBERT_LAYER),
}


def names_of(layout: CheckpointLayout, ours: str) -> tuple[str, ...]:
    """Their names of our weight `ours` ("layers.3.inner.up.bias"), without a prefix."""
    if not layout.whole:
        return (ours,)
    if ours in layout.whole:
        return (layout.whole[ours],)
    _, number, rest = ours.split(".", 2)
    return tuple(name.format(i=number) for name in layout.layer[rest])
