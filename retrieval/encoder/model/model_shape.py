"""The shape of an encoder, in plain records that import no library."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LayerKind:
    """Attention settings that may differ from layer to layer."""

    window: int | None = None  # tokens to which a token attends on each side; None for all
    rotary_base: float = 0.0  # 0 for no rotation


@dataclass(frozen=True, slots=True)
class Architecture:
    """A stack of attention layers over token embeddings."""

    vocabulary: int
    width: int
    num_heads: int
    inner: int  # width of the feed-forward part
    layers: tuple[LayerKind, ...]
    max_positions: int  # most tokens of a text
    activation: str = "gelu"
    norm_eps: float = 1e-12
    positions: str = "learned"  # or "sinusoidal", or "none" if only rotations or biases encode positions
    position_offset: int = 0  # rows of the position table before that of the first token
    token_types: int = 0  # rows of the table; the model uses the first only
    relative_buckets: int = 0  # of MPNet's bias; 0 for none
    pre_norm: bool = False  # normalise before each part, not after it
    gated: bool = False  # feed-forward with a gate (GeGLU)
    attention_biased: bool = True
    inner_biased: bool = True
    norm_biased: bool = True


@dataclass(frozen=True, slots=True)
class DenseShape:
    """A projection after pooling, in `folder`; `activation` is a class of torch.nn."""

    inputs: int
    outputs: int
    activation: str
    biased: bool = True
    residual: bool = False
    folder: str = ""


@dataclass(frozen=True, slots=True)
class SpladeShape:
    """The steps from the last hidden state to a weight for each token.

    First comes the head of a masked language model: a projection with an activation, a normalisation, and the scores of
    all tokens.  The weight of a token is `log(1 + max(0, score))`, pooled over the text.
    """

    activation: str
    pooling: str  # "max" or "sum"
    log_twice: bool = False  # log(1 + weight) in place of the weight
    projection_biased: bool = True
    norm_biased: bool = True


@dataclass(frozen=True, slots=True)
class HeadShape:
    """The steps after the last hidden state, from pooling to normalisation."""

    poolings: tuple[str, ...]
    dense: tuple[DenseShape, ...] = ()
    truncate: int | None = None
    normalize: bool = True
