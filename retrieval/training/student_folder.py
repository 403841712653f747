"""The folder of a smaller encoder, with weights taken from a larger one.

Layers are picked at equal distances, tokens are left out, and a projection shortens the vectors.  The folder is not as
good as its teacher before it is taught (`distillation.py`).
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from retrieval.encoder.checkpoint.architectures import LAYOUTS, checkpoint_names
from retrieval.encoder.checkpoint.folder_json import read_json
from retrieval.encoder.checkpoint.model_folder import VOCABULARY_FILES, EncoderFolder
from retrieval.encoder.checkpoint.weights import read_tensors
from retrieval.encoder.runtime.quantization import files_left_out
from retrieval.errors import EncoderError, InputError
from retrieval.training.smaller_vocabulary import write_smaller_tokenizer

LAYER_COUNTS = {"distilbert": "n_layers"}  # names of the number of layers in config.json, by model_type
LAYER_COUNT = "num_hidden_layers"  # of the other families
UNEQUAL = ("attendex", "modernbert")  # families whose layers may differ from each other
LAYER_NUMBER = re.compile(r"(?:(?<=\.)|^)(layers?)\.(\d+)\.")
MODULES = "modules.json"
WEIGHTS = "model.safetensors"


@dataclass(frozen=True, slots=True)
class StudentShape:
    """The size of a student; 0 layers, and no tokens, mean all of the teacher."""

    layers: int = 0
    tokens: Sequence[int] = ()  # ids that are kept, in ascending order


def check_shape(folder: EncoderFolder, layers: int, dimension: int) -> None:
    """Raise InputError for a shape that the teacher cannot give."""
    assert folder.architecture is not None, "the caller trains known architectures"
    available = len(folder.architecture.layers)
    if layers and not 1 <= layers < available:
        raise InputError(f"--layers {layers}: {folder.path.name} has {available} layers; choose 1 to {available - 1}")
    if layers and folder.config["model_type"] in UNEQUAL:
        raise InputError(f"--layers {layers}: the layers of {folder.path.name} are not alike; leave --layers out")
    if dimension and not 1 <= dimension < folder.dimension:
        raise InputError(
            f"--dimension {dimension}: {folder.path.name} has vectors of {folder.dimension} numbers; "
            f"choose 1 to {folder.dimension - 1}"
        )
    if dimension and folder.head.truncate:
        raise InputError(f"--dimension {dimension}: {folder.path.name} has shortened vectors; leave --dimension out")


def picked_layers(available: int, wanted: int) -> list[int]:
    """Return the numbers of `wanted` layers at equal distances, the last included."""
    return [(i + 1) * available // wanted - 1 for i in range(wanted)]


def write_student(folder: EncoderFolder, shape: StudentShape, projection: Tensor | None, out: Path) -> None:
    """Write the student's folder, untaught, to the existing folder `out`.

    projection: (dimension, the teacher's dimension), which shortens the vectors; None: they keep their length.
    """
    shutil.copytree(folder.path, out, dirs_exist_ok=True, ignore=files_left_out)
    transformer = out / folder.transformer.relative_to(folder.path)
    config = dict(folder.config)
    tensors = read_tensors(folder.transformer)
    if shape.layers:
        assert folder.architecture is not None
        tensors = _with_layers(tensors, picked_layers(len(folder.architecture.layers), shape.layers))
        config[LAYER_COUNTS.get(config["model_type"], LAYER_COUNT)] = shape.layers
    if shape.tokens:
        tensors = _with_tokens(tensors, folder, shape.tokens)
        _shrink_vocabulary(folder, shape.tokens, config, transformer)
    (transformer / "config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    for old in (*transformer.glob("model*.safetensors"), *transformer.glob("model.safetensors.index.json")):
        old.unlink()
    save_file({name: each.contiguous() for name, each in tensors.items()}, transformer / WEIGHTS, {"format": "pt"})
    if projection is not None:
        _add_projection(projection, out)


def _with_layers(tensors: Mapping[str, Tensor], picked: Sequence[int]) -> dict[str, Tensor]:
    """Return the tensors outside the layers, and those of the picked layers."""
    kept: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        found = LAYER_NUMBER.search(name)
        if found is None:
            kept[name] = tensor
        elif int(found[2]) in picked:
            number = picked.index(int(found[2]))
            kept[f"{name[: found.start()]}{found[1]}.{number}.{name[found.end() :]}"] = tensor
    return kept


def _with_tokens(tensors: Mapping[str, Tensor], folder: EncoderFolder, tokens: Sequence[int]) -> dict[str, Tensor]:
    """Return the tensors with the vectors of the kept tokens alone."""
    known = checkpoint_names(LAYOUTS[folder.config["model_type"]], "embeddings.words.weight")[0]
    return {
        name: tensor[torch.tensor(tokens)].clone() if name.endswith(known) else tensor
        for name, tensor in tensors.items()
    }


def _shrink_vocabulary(folder: EncoderFolder, tokens: Sequence[int], config: dict[str, Any], transformer: Path) -> None:
    """Write the smaller tokenizer, and change the ids in the configuration."""
    write_smaller_tokenizer(folder, tokens, transformer)
    for name in (*VOCABULARY_FILES[:3], "sentencepiece.bpe.model", "tokenizer.model", "spiece.model"):
        (transformer / name).unlink(missing_ok=True)
    new = {old: i for i, old in enumerate(tokens)}
    config["vocab_size"] = len(tokens)
    for name, value in config.items():
        if name.endswith("_token_id") and isinstance(value, int):
            config[name] = new.get(value, value)
    settings = read_json(transformer / "tokenizer_config.json")
    if "added_tokens_decoder" in settings:
        renumbered = {str(new[int(old)]): token for old, token in settings["added_tokens_decoder"].items()}
        settings["added_tokens_decoder"] = renumbered
        (transformer / "tokenizer_config.json").write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")


def _add_projection(projection: Tensor, out: Path) -> None:
    """Add a linear part before the normalisation, as sentence-transformers reads it."""
    path = out / MODULES
    if not path.is_file():
        raise EncoderError(f"{out}: {MODULES} is missing, so --dimension cannot be used; leave it out")
    modules = json.loads(path.read_text(encoding="utf-8"))
    size, inputs = projection.shape
    name = "student_Dense"
    dense = {"in_features": inputs, "out_features": size, "bias": False}
    (out / name).mkdir()
    activation = {"activation_function": "torch.nn.modules.linear.Identity"}
    (out / name / "config.json").write_text(json.dumps(dense | activation, indent=1) + "\n", encoding="utf-8")
    save_file({"linear.weight": projection.contiguous()}, out / name / WEIGHTS, {"format": "pt"})
    at = next((i for i, part in enumerate(modules) if part["type"].endswith("Normalize")), len(modules))
    modules.insert(at, {"path": name, "type": "sentence_transformers.models.Dense"})
    numbered = [part | {"idx": i, "name": str(i)} for i, part in enumerate(modules)]
    path.write_text(json.dumps(numbered, indent=1) + "\n", encoding="utf-8")
