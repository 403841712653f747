"""Load the model from safetensors files only, because a pickle can run code."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from retrieval.encoder.checkpoint.architectures import LAYOUTS, checkpoint_names
from retrieval.encoder.checkpoint.model_folder import EncoderFolder, weight_files
from retrieval.encoder.checkpoint.sparse_folder import PREDICTION_HEADS, SparseFolder
from retrieval.encoder.model.pooling import PoolingHead
from retrieval.encoder.model.splade import SpladeHead
from retrieval.encoder.model.transformer import Transformer
from retrieval.errors import UnsupportedCheckpoint

logger = logging.getLogger(__name__)

TRAINING_HEADS = (  # no encoder needs them
    *("cls.", "lm_head.", "head.", "decoder.", "classifier.", "pre_classifier.", "vocab_", "mlm."),
)


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """Read all tensors of the safetensors files of `folder`."""
    tensors: dict[str, Tensor] = {}
    for path in weight_files(folder):
        try:
            tensors |= load_file(path)
        except (SafetensorError, OSError) as error:
            raise UnsupportedCheckpoint(f"{path}: unreadable safetensors ({error}); fetch the folder again") from error
    return tensors


def load_transformer(folder: EncoderFolder) -> Transformer:
    """Load the attention stack of a known architecture, in float32."""
    assert folder.architecture is not None, "the caller runs unknown families with AutoModelRuntime"
    with torch.device("meta"):  # allocate no memory: the checkpoint's tensors become the weights
        module = Transformer(folder.architecture)
    layout = LAYOUTS[folder.config["model_type"]]
    found = _model_tensors(folder)
    state: dict[str, Tensor] = {}
    for name, parameter in module.state_dict().items():
        parts = [_take(found, part, folder.transformer) for part in checkpoint_names(layout, name)]
        state[name] = _checked(torch.cat(parts) if len(parts) > 1 else parts[0], parameter, name, folder.transformer)
    unused = [name for name in found if not name.startswith((*TRAINING_HEADS, *layout.unused))]
    if unused:
        logger.warning("%s: %d weights are not used: %s", folder.transformer, len(unused), ", ".join(unused[:5]))
    module.load_state_dict(state, assign=True)
    return module.eval()


def load_head(folder: EncoderFolder) -> PoolingHead:
    """Load pooling and projections, in float32."""
    with torch.device("meta"):
        head = PoolingHead(folder.head)
    for dense, shape in zip(head.dense, folder.head.dense, strict=True):
        path = folder.path / shape.folder
        found = read_tensors(path)
        state = {
            name: _checked(_take(found, name, path), parameter, name, path)
            for name, parameter in dense.state_dict().items()
        }
        dense.load_state_dict(state, assign=True)
    return head.eval()


def load_pair_head(folder: EncoderFolder, tensors: Sequence[str]) -> PoolingHead:
    """Load the head of a cross-encoder, whose projections have the names `tensors`."""
    with torch.device("meta"):
        head = PoolingHead(folder.head)
    found, path = _model_tensors(folder), folder.transformer
    for dense, name in zip(head.dense, tensors, strict=True):
        state = {
            part: _checked(_take(found, part.replace("linear", name), path), weight, name, path)
            for part, weight in dense.state_dict().items()
        }
        dense.load_state_dict(state, assign=True)
    return head.eval()


def load_splade_head(folder: SparseFolder) -> SpladeHead:
    """Load the prediction head; its output may share the table of words."""
    encoder = folder.passages
    assert encoder.architecture is not None
    with torch.device("meta"):
        head = SpladeHead(encoder.architecture, folder.splade)
    found, path = _model_tensors(encoder), encoder.transformer
    names = PREDICTION_HEADS[encoder.config["model_type"]]
    if encoder.config.get("tie_word_embeddings", True):
        words = checkpoint_names(LAYOUTS[encoder.config["model_type"]], "embeddings.words.weight")[0]
        found[f"{names.output}.weight"] = found[words]
    bias = next((name for name in names.biases if name in found), f"{names.output}.bias")
    parts = {"projection": names.projection, "norm": names.norm, "output": names.output}
    state = {}
    for name, parameter in head.state_dict().items():
        module, _, kind = name.partition(".")
        stored = bias if name == "output.bias" else f"{parts[module]}.{kind}"
        state[name] = _checked(_take(found, stored, path), parameter, stored, path)
    head.load_state_dict(state, assign=True)
    return head.eval()


def _model_tensors(folder: EncoderFolder) -> dict[str, Tensor]:
    layout = LAYOUTS[folder.config["model_type"]]
    return _without_prefix(read_tensors(folder.transformer), checkpoint_names(layout, "embeddings.words.weight")[0])


def _without_prefix(tensors: Mapping[str, Tensor], known: str) -> dict[str, Tensor]:
    """Remove the prefix of the base model: "bert.embeddings.…" becomes "embeddings.…"."""
    prefix = next((name.removesuffix(known) for name in tensors if name.endswith(known)), "")
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}


def _take(found: dict[str, Tensor], name: str, path: Path) -> Tensor:
    """Take a tensor; old checkpoints call LayerNorm's parameters gamma and beta."""
    old = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
    for known in (name, old):
        if known in found:
            return found.pop(known)
    raise UnsupportedCheckpoint(f"{path}: the weights lack {name!r}; use the checkpoint that its config.json describes")


def is_finite(tensor: Tensor) -> bool:
    """Check that all numbers are finite, in one pass without a copy."""
    return bool(torch.isfinite(tensor.sum(dtype=torch.float32)))


def _checked(tensor: Tensor, expected: Tensor, name: str, path: Path) -> Tensor:
    if tensor.shape != expected.shape:
        raise UnsupportedCheckpoint(
            f"{path}: {name} has the shape {tuple(tensor.shape)}, but config.json asks for {tuple(expected.shape)}; "
            "use the checkpoint that its config.json describes"
        )
    if not is_finite(tensor):
        raise UnsupportedCheckpoint(f"{path}: {name} has numbers that are not finite; fetch the weights again")
    return tensor.to(torch.float32)
