"""Read the JSON of a cross-encoder's folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retrieval.encoder.checkpoint.architectures import read_architecture
from retrieval.encoder.checkpoint.folder_json import checked_folder, read_json
from retrieval.encoder.checkpoint.model_folder import (
    EncoderFolder,
    read_max_tokens,
    read_own_config,
    refuse_remote_code,
)
from retrieval.encoder.model.model_shape import DenseShape, HeadShape
from retrieval.errors import UnsupportedCheckpoint

MAX_PAIR_TOKENS = 512  # of query and passage together, special tokens included; longer pairs are truncated


@dataclass(frozen=True, slots=True)
class PairHead:
    """The two projections after the first token's state: tensor names, activation."""

    tensors: tuple[str, str]
    activation: str


_ROBERTA = PairHead(("classifier.dense", "classifier.out_proj"), "Tanh")
HEADS: Mapping[str, PairHead] = {  # of the model_types that run converted
    "bert": PairHead(("pooler.dense", "classifier"), "Tanh"),
    "distilbert": PairHead(("pre_classifier", "classifier"), "ReLU"),
    **dict.fromkeys(("roberta", "xlm-roberta", "camembert", "mpnet"), _ROBERTA),
}


def open_cross_encoder(path: Path) -> EncoderFolder | None:
    """Read and check the JSON of a cross-encoder; None if only transformers runs it.

    The folder's vectors are scores: one number for each pair.  Raises UnsupportedCheckpoint.
    """
    config = read_json(path / "config.json")
    if not config:
        raise UnsupportedCheckpoint(f"{path}: no cross-encoder: config.json is missing; name a transformers folder")
    with checked_folder(path):
        return _read_folder(path, config)


def is_cross_encoder(path: Path) -> bool:
    """Check whether a folder describes a model that scores pairs or gives labels."""
    if read_json(path / "config_sentence_transformers.json").get("model_type") == "CrossEncoder":
        return True
    named = read_json(path / "config.json").get("architectures") or ()
    whole = (path / "modules.json").exists()  # an encoder may have been trained from such a model
    return not whole and any(str(name).endswith("ForSequenceClassification") for name in named)


def check_labels(path: Path, labels: int) -> None:
    """Raise UnsupportedCheckpoint unless the model gives one score for a pair."""
    if labels != 1:
        raise UnsupportedCheckpoint(
            f"{path}: the model gives {labels} scores for a pair; use a cross-encoder that gives one"
        )


def _read_folder(path: Path, config: Mapping[str, Any]) -> EncoderFolder | None:
    head = HEADS.get(config.get("model_type", ""))
    architecture = read_architecture(config) if head else None
    if head is None or architecture is None:
        return None
    refuse_remote_code(path / "config.json", ("AutoModelForSequenceClassification",))
    _refuse_prompts(path)
    check_labels(path, int(config.get("num_labels") or len(config.get("id2label") or (0, 1))))
    width, own = architecture.width, read_own_config(path)
    dense = (DenseShape(width, width, head.activation), DenseShape(width, 1, "Identity"))
    return EncoderFolder(
        path=path,
        transformer=path,
        config=config,
        architecture=architecture,
        head=HeadShape(("cls",), dense, normalize=False),
        max_tokens=min(MAX_PAIR_TOKENS, read_max_tokens(path, own, config, architecture)),
        lower_case=bool(own.get("do_lower_case")),
        query_prompt="",
        passage_prompt="",
        include_prompt=True,
    )


def _refuse_prompts(path: Path) -> None:
    file = path / "config_sentence_transformers.json"
    if prompt := read_json(file).get("default_prompt_name"):
        raise UnsupportedCheckpoint(f"{file}: default_prompt_name is {prompt!r}; use a cross-encoder without a prompt")
