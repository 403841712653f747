"""Write a trained encoder as a folder in the layout of sentence-transformers.

The folder is a copy of the base folder with other weights, a card and a record of the training.  It appears complete or
not at all.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from retrieval.encoder.checkpoint.architectures import LAYOUTS, checkpoint_names
from retrieval.encoder.checkpoint.model_folder import EncoderFolder
from retrieval.encoder.checkpoint.weights import read_tensors
from retrieval.encoder.runtime.quantization import files_left_out, refuse_existing
from retrieval.errors import EncoderError, StorageError
from retrieval.training.trainable import TrainableEncoder
from retrieval.util.temporaries import temporary_folder

CARD = "README.md"
RECORD = "attendex_training.json"
WEIGHTS = "model.safetensors"


def write_encoder(encoder: TrainableEncoder, out: Path, card: str, record: Mapping[str, Any]) -> None:
    """Write the encoder to a new folder.  Raises EncoderError if that cannot be done."""
    refuse_existing(out)
    folder = encoder.folder
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with temporary_folder(out, private=False) as temporary:
            shutil.copytree(folder.path, temporary, dirs_exist_ok=True, ignore=files_left_out)
            _write_weights(encoder, temporary)
            (temporary / CARD).write_text(card, encoding="utf-8")
            (temporary / RECORD).write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            if out.exists():
                out.rmdir()
            temporary.rename(out)
    except (OSError, StorageError) as error:
        raise EncoderError(f"{out} cannot be written: {error}") from error


def _write_weights(encoder: TrainableEncoder, out: Path) -> None:
    folder = encoder.folder
    transformer = out / folder.transformer.relative_to(folder.path)
    for old in (*transformer.glob("model*.safetensors"), *transformer.glob("model.safetensors.index.json")):
        old.unlink()
    _save(_transformer_tensors(encoder), transformer / WEIGHTS)
    for dense, shape in zip(encoder.head.dense, folder.head.dense, strict=True):
        _save(dict(dense.state_dict()), out / shape.folder / WEIGHTS)


def _transformer_tensors(encoder: TrainableEncoder) -> dict[str, Tensor]:
    """Return the weights by their names in the base checkpoint, with unused ones."""
    folder = encoder.folder
    layout = LAYOUTS[folder.config["model_type"]]
    stored = read_tensors(folder.transformer)
    prefix = _prefix(folder, stored)
    for name, tensor in encoder.transformer.state_dict().items():
        names = checkpoint_names(layout, name)
        for part, other in zip(tensor.chunk(len(names)), names, strict=True):
            stored[_stored_name(stored, prefix + other)] = part.clone()
    return stored


def _prefix(folder: EncoderFolder, stored: Mapping[str, Tensor]) -> str:
    """Return the prefix of the base model's weights, such as "bert."."""
    known = checkpoint_names(LAYOUTS[folder.config["model_type"]], "embeddings.words.weight")[0]
    return next((name.removesuffix(known) for name in stored if name.endswith(known)), "")


def _stored_name(stored: Mapping[str, Tensor], name: str) -> str:
    """Return the name in the file, where LayerNorm may have gamma and beta."""
    old = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
    return name if name in stored else old


def _save(tensors: Mapping[str, Tensor], path: Path) -> None:
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, path, {"format": "pt"})
