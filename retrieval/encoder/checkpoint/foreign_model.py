"""Load a model that only transformers knows; check its sizes, then its weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from retrieval.encoder.checkpoint.folder_json import read_json
from retrieval.encoder.checkpoint.model_folder import weight_files
from retrieval.encoder.checkpoint.weights import is_finite
from retrieval.errors import UnsupportedCheckpoint

OPTIONS = {"local_files_only": True, "trust_remote_code": False}
COUNTED = ("layer", "block", "depth", "expert")  # in the names of numbers that multiply the parts of a model
MAX_GROWTH = 2  # parameters of a model for each number in its files; tied weights are stored once


def load_foreign_model(folder: Path, model_class: Any, *, unused: tuple[str, ...] = (), **changes: object) -> Any:
    """Load a folder with a class of transformers such as AutoModel, in float32.

    `unused` are prefixes of weights that may be missing; `changes` are values that replace those of config.json.
    Raises UnsupportedCheckpoint.
    """
    from transformers import AutoConfig
    from transformers.utils import logging

    logging.disable_progress_bar()  # it would stand between the lines of a command
    files = weight_files(folder)  # refuse pickles before transformers opens the folder
    try:
        stored = _stored_sizes(files)
        _check_counts(folder, len(stored))
        config = AutoConfig.from_pretrained(str(folder), **OPTIONS, **changes)
        _check_size(folder, sum(stored), model_class, config)
        model, report = model_class.from_pretrained(
            str(folder), config=config, use_safetensors=True, dtype=torch.float32, output_loading_info=True, **OPTIONS
        )
    except UnsupportedCheckpoint:
        raise
    except Exception as error:  # the library raises errors of many classes for damaged files
        raise UnsupportedCheckpoint(
            f"{folder}: transformers cannot load it ({type(error).__name__}: {error}); fetch the folder again"
        ) from error
    missing = sorted(name for name in report["missing_keys"] if not name.startswith(unused))
    if missing:  # the library would fill them with random numbers
        raise UnsupportedCheckpoint(
            f"{folder}: the weights lack {missing[0]!r} ({len(missing)} in all); use a checkpoint of this kind of model"
        )
    damaged = next((name for name, weight in model.state_dict().items() if not is_finite(weight)), None)
    if damaged:
        raise UnsupportedCheckpoint(f"{folder}: {damaged} has numbers that are not finite; fetch the weights again")
    return model.eval()


def _check_counts(folder: Path, tensors: int) -> None:
    """Compare config.json with the number of stored tensors, before a model is built."""
    for name, value in _numbers(read_json(folder / "config.json")):
        if value > tensors and any(word in name for word in COUNTED):
            raise UnsupportedCheckpoint(
                f"{folder / 'config.json'}: {name} is {value}, but the weights have {tensors} tensors; "
                "fetch the folder again"
            )


def _check_size(folder: Path, stored: int, model_class: Any, config: Any) -> None:
    """Compare the model's parameters with the stored ones, before memory is allocated."""
    with torch.device("meta"):
        if hasattr(model_class, "from_config"):  # AutoModel and its like
            empty = model_class.from_config(config, trust_remote_code=False)
        else:
            empty = model_class(config)
    needed = sum(parameter.numel() for parameter in empty.parameters())
    if needed > MAX_GROWTH * stored:
        raise UnsupportedCheckpoint(
            f"{folder / 'config.json'}: asks for {needed:,} numbers, but the weights lack most: they have {stored:,}; "
            "use the checkpoint that its config.json describes"
        )


def _stored_sizes(files: list[Path]) -> list[int]:
    """Return the number of elements of each tensor, from the headers of the files."""
    sizes = []
    for path in files:
        with safe_open(path, framework="pt") as weights:
            sizes += [torch.Size(weights.get_slice(name).get_shape()).numel() for name in weights.keys()]  # noqa: SIM118
    return sizes


def _numbers(config: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Yield the whole numbers of a configuration and of those inside it, by name."""
    for name, value in config.items():
        if isinstance(value, dict):
            yield from _numbers(value)
        elif isinstance(value, int):
            yield name, value
