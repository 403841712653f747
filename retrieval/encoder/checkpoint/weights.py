"""Safetensors in, modules out.  Nothing else is ever read: a pickle can run code."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from retrieval.encoder.checkpoint.architectures import LAYOUTS, names_of
from retrieval.encoder.checkpoint.model_folder import EncoderFolder, weight_files
from retrieval.encoder.model.pooling import Head
from retrieval.encoder.model.transformer import Transformer
from retrieval.errors import UnsupportedCheckpoint

logger = logging.getLogger(__name__)

HEADS = ("cls.", "lm_head.", "head.", "decoder.", "classifier.", "vocab_", "mlm.")  # of training, not of encoding


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """All tensors of the safetensors files of `folder`."""
    tensors: dict[str, Tensor] = {}
    for path in weight_files(folder):
        try:
            tensors |= load_file(path)
        except (SafetensorError, OSError) as error:
            raise UnsupportedCheckpoint(f"{path}: not a readable safetensors file ({error})") from error
    return tensors


def load_transformer(folder: EncoderFolder) -> Transformer:
    """The attention stack of a known layout, in float32."""
    assert folder.architecture is not None, "the caller sends unknown families to the fallback"
    with torch.device("meta"):  # no memory for weights that the checkpoint brings
        module = Transformer(folder.architecture)
    layout = LAYOUTS[folder.config["model_type"]]
    found = _without_prefix(read_tensors(folder.transformer), names_of(layout, "embeddings.words.weight")[0])
    state: dict[str, Tensor] = {}
    for ours, parameter in module.state_dict().items():
        parts = [_pick(found, name, folder.transformer) for name in names_of(layout, ours)]
        state[ours] = _checked(torch.cat(parts) if len(parts) > 1 else parts[0], parameter, ours, folder.transformer)
    left = [name for name in found if not name.startswith((*HEADS, *layout.unused))]
    if left:
        logger.warning("%s: %d weights have no use here: %s", folder.transformer, len(left), ", ".join(left[:5]))
    module.load_state_dict(state, assign=True)
    return module.eval()


def load_head(folder: EncoderFolder) -> Head:
    """Pooling and projections, in float32."""
    with torch.device("meta"):
        head = Head(folder.head)
    for dense, shape in zip(head.dense, folder.head.dense, strict=True):
        where = folder.path / shape.folder
        found = read_tensors(where)
        state = {
            name: _checked(_pick(found, name, where), old, name, where) for name, old in dense.state_dict().items()
        }
        dense.load_state_dict(state, assign=True)
    return head.eval()


def _without_prefix(tensors: Mapping[str, Tensor], known: str) -> dict[str, Tensor]:
    """Names as they are below the base model: "bert.embeddings.…" becomes "embeddings.…"."""
    prefix = next((name.removesuffix(known) for name in tensors if name.endswith(known)), "")
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}


def _pick(found: dict[str, Tensor], name: str, where: Path) -> Tensor:
    """Take a tensor out of `found`; checkpoints of old call the parts of a normalisation gamma and beta."""
    old = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
    for each in (name, old):
        if each in found:
            return found.pop(each)
    raise UnsupportedCheckpoint(f"{where}: the weights lack {name!r}; is this the checkpoint of its config.json?")


def _checked(tensor: Tensor, like: Tensor, name: str, where: Path) -> Tensor:
    if tensor.shape != like.shape:
        have, want = tuple(tensor.shape), tuple(like.shape)
        raise UnsupportedCheckpoint(f"{where}: {name} has the shape {have}, config.json asks for {want}")
    return tensor.to(torch.float32)
