"""The supported checkpoint families, with their configuration and weight names.

`LAYOUTS` has a row for each `model_type`.  A row maps our name of a weight to the checkpoint's names.  Tensors of
several names are joined along the first dimension (our model has one projection for queries, keys and values).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from retrieval.encoder.model.model_shape import Architecture, LayerKind
from retrieval.errors import UnsupportedCheckpoint

Config: TypeAlias = Mapping[str, Any]

MAX_LAYERS = 1_000
MAX_SIZE = 1 << 24  # of the vocabulary and of all widths
SIZES = {"vocabulary": 1, "width": 1, "num_heads": 1, "inner": 1, "max_positions": 1, "token_types": 0}  # least values
ACTIVATION_NAMES = ("gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "silu", "swish")


@dataclass(frozen=True, slots=True)
class CheckpointLayout:
    """The configuration and weight names of a family; `{i}` is the layer's number."""

    shape: Callable[[Config], Architecture]
    model_weights: Mapping[str, str]  # outside the layers
    layer_weights: Mapping[str, tuple[str, ...]]
    unused: tuple[str, ...] = ("pooler.", "embeddings.position_ids")  # prefixes of weights that no encoder needs


def read_architecture(config: Config) -> Architecture | None:
    """Return the architecture of a config.json; None if its family is not known."""
    layout = LAYOUTS.get(config.get("model_type", ""))
    if layout is None:
        return None
    try:
        shape = layout.shape(config)
    except KeyError as error:
        kind = config["model_type"]
        raise UnsupportedCheckpoint(f"config.json of a {kind} model lacks {error}; fetch the folder again") from error
    _check_shape(shape)
    return shape if shape.activation in ACTIVATION_NAMES else None


def check_size(
    name: str, value: object, *, minimum: int = 1, maximum: int = MAX_SIZE, file: str | Path = "config.json"
) -> int:
    """Return a size of a file, or raise UnsupportedCheckpoint beyond its bounds."""
    if not isinstance(value, int) or isinstance(value, bool) or not minimum <= value <= maximum:
        raise UnsupportedCheckpoint(
            f"{file}: {name} is {value!r}, not a whole number from {minimum:,} to {maximum:,}; fetch the folder again"
        )
    return value


def _check_shape(shape: Architecture) -> None:
    """Check all numbers, before memory is allocated for them."""
    check_size("number of layers", len(shape.layers), maximum=MAX_LAYERS)
    for name, least in SIZES.items():
        check_size(name, getattr(shape, name), minimum=least)
    head_width, rest = divmod(shape.width, shape.num_heads)
    if rest or (head_width % 2 and any(layer.rotary_base for layer in shape.layers)):
        problem = f"a width of {shape.width} cannot be divided among {shape.num_heads} attention heads"
    elif not (math.isfinite(shape.norm_eps) and shape.norm_eps > 0):
        problem = f"the epsilon of normalisation is {shape.norm_eps}, not a positive number"
    elif any(layer.window is not None and layer.window < 0 for layer in shape.layers):
        problem = "an attention window is negative"
    else:
        return
    raise UnsupportedCheckpoint(f"config.json: {problem}; fetch the folder again")


def _layers(config: Config, name: str) -> tuple[LayerKind, ...]:
    return (LayerKind(),) * check_size(name, config[name], maximum=MAX_LAYERS)


def _bert(config: Config) -> Architecture:
    kind = config.get("position_embedding_type", "absolute")
    if kind not in ("absolute", None):
        raise UnsupportedCheckpoint(f"position_embedding_type {kind!r} is not supported; use one with 'absolute'")
    if config.get("is_decoder"):
        raise UnsupportedCheckpoint("the checkpoint is a decoder (is_decoder is true); use an encoder")
    return Architecture(
        vocabulary=config["vocab_size"],
        width=config["hidden_size"],
        num_heads=config["num_attention_heads"],
        inner=config["intermediate_size"],
        layers=_layers(config, "num_hidden_layers"),
        max_positions=config["max_position_embeddings"],
        activation=config.get("hidden_act", "gelu"),
        norm_eps=config.get("layer_norm_eps", 1e-12),
        token_types=config.get("type_vocab_size", 2),
    )


def _after_padding(config: Config, padding: int, **changes: Any) -> Architecture:
    """Return BERT with a position table that begins after the padding token's row."""
    shape = {name: getattr(_bert(config), name) for name in Architecture.__slots__}
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
        num_heads=config["n_heads"],
        inner=config["hidden_dim"],
        layers=_layers(config, "n_layers"),
        max_positions=config["max_position_embeddings"],
        activation=config.get("activation", "gelu"),
    )


def _modernbert(config: Config) -> Architecture:
    return Architecture(
        vocabulary=config["vocab_size"],
        width=config["hidden_size"],
        num_heads=config["num_attention_heads"],
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
    layers = len(_layers(config, "num_hidden_layers"))
    default = ["sliding_attention" if i % every else "full_attention" for i in range(layers)]
    return list(config.get("layer_types") or default)


def _modernbert_layer(config: Config, kind: str) -> LayerKind:
    local = kind == "sliding_attention"
    rope = (config.get("rope_parameters") or {}).get(kind) or {}
    if rope.get("rope_type", "default") != "default" or config.get("rope_scaling"):
        found = rope.get("rope_type", "scaled")
        raise UnsupportedCheckpoint(f"rotary positions of type {found!r} are not supported; use 'default' ones")
    old_name, default = ("local_rope_theta", 10_000.0) if local else ("global_rope_theta", 160_000.0)
    base = rope.get("rope_theta") or config.get(old_name) or default
    return LayerKind(window=config.get("local_attention", 128) // 2 if local else None, rotary_base=float(base))


def _attendex(config: Config) -> Architecture:
    """Read the fields of `Architecture`, with "heads" for `num_heads`."""
    given = dict(config["architecture"])
    layers = tuple(LayerKind(**layer) for layer in given.pop("layers"))
    return Architecture(num_heads=given.pop("heads"), layers=layers, **given)


def _linear(name: str, *checkpoint: str) -> dict[str, tuple[str, ...]]:
    return {f"{name}.{part}": tuple(f"{other}.{part}" for other in checkpoint) for part in ("weight", "bias")}


_EMBEDDINGS = {
    "embeddings.words.weight": "embeddings.word_embeddings.weight",
    "embeddings.positions.table.weight": "embeddings.position_embeddings.weight",
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
    **_linear("attention.qkv", *(f"encoder.layer.{{i}}.attention.self.{part}" for part in ("query", "key", "value"))),
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

LAYOUTS: Mapping[str, CheckpointLayout] = {
    "attendex": CheckpointLayout(
        _attendex, {"embeddings.positions.table.weight": "embeddings.places.table.weight"}, {}
    ),
    "bert": CheckpointLayout(_bert, _EMBEDDINGS, _BERT_LAYER),
    **dict.fromkeys(("roberta", "xlm-roberta", "camembert"), CheckpointLayout(_roberta, _EMBEDDINGS, _BERT_LAYER)),
    "distilbert": CheckpointLayout(_distilbert, _EMBEDDINGS, _DISTILBERT_LAYER),
    "mpnet": CheckpointLayout(
        _mpnet, {**_EMBEDDINGS, "relative.table.weight": "encoder.relative_attention_bias.weight"}, _MPNET_LAYER
    ),
    "modernbert": CheckpointLayout(_modernbert, _MODERNBERT, _MODERNBERT_LAYER),
}


def checkpoint_names(layout: CheckpointLayout, name: str) -> tuple[str, ...]:
    """Return the checkpoint's names of our weight, as "layers.3.inner.up.bias"."""
    if name in layout.model_weights:
        return (layout.model_weights[name],)
    if not layout.layer_weights:
        return (name,)
    _, number, rest = name.split(".", 2)
    return tuple(other.format(i=number) for other in layout.layer_weights[rest])
