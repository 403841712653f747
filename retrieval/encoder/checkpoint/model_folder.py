"""A sentence-transformers folder, as both its eras write it: what is in it, and what makes its encoder the same.

Only JSON is parsed here, so that a process that runs a converted encoder never imports torch.  Python modules named
by a folder are never imported: a part that is not known by its name is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retrieval.encoder.checkpoint.architectures import architecture_of
from retrieval.encoder.model.model_shape import Architecture, DenseShape, HeadShape
from retrieval.errors import EncoderError, UnsupportedCheckpoint

POOLINGS = ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")
OLD_POOLING_KEYS = {  # in the order in which several are joined
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
DENSE_ACTIVATIONS = ("Tanh", "Identity", "ReLU", "GELU", "SiLU", "Sigmoid")
PASSAGE_PROMPTS = ("document", "passage", "corpus")
PICKLES = ("pytorch_model.bin", "model.bin", "pytorch_model.bin.index.json", "pytorch_model.pt")
DEFAULT_MAX_TOKENS = 512
INT8_FOLDER = "int8"  # where `attendex quantize` puts its graph


@dataclass(frozen=True)
class EncoderFolder:
    """What a folder says.  `transformer` is where the attention stack's config.json and weights lie."""

    path: Path
    transformer: Path
    config: Mapping[str, Any]
    architecture: Architecture | None  # None: a family that only the fallback runs
    head: HeadShape
    max_tokens: int  # special tokens included
    lower_case: bool
    query_prompt: str
    passage_prompt: str
    include_prompt: bool  # whether a prompt's tokens count in pooling

    @property
    def int8_graph(self) -> Path | None:
        """The graph that `attendex quantize` wrote; None in a folder of floats."""
        graph = self.path / INT8_FOLDER / "model.xml"
        return graph if graph.is_file() else None

    @property
    def dimension(self) -> int:
        width = self.architecture.width if self.architecture else _width(self.config)
        full = self.head.dense[-1].outputs if self.head.dense else width * len(self.head.poolings)
        return min(full, self.head.truncate or full)


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; {} where there is no such file."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise UnsupportedCheckpoint(f"{path}: not readable as JSON ({error})") from error
    if not isinstance(value, dict):
        raise UnsupportedCheckpoint(f"{path}: a JSON object is needed, not a {type(value).__name__}")
    return value


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a module's folder, the index of a split checkpoint followed."""
    single = folder / "model.safetensors"
    if single.is_file():
        return [single]
    names = _split_names(folder / "model.safetensors.index.json")
    if names and all(name == Path(name).name and (folder / name).is_file() for name in names):
        return [folder / name for name in sorted(names)]
    pickles = [name for name in PICKLES if (folder / name).exists()]
    if pickles:
        raise UnsupportedCheckpoint(
            f"{folder}: only {pickles[0]} is there, a pickle, which can run code when it is read, so it is refused; "
            "use a revision with model.safetensors, or convert it with safetensors where you trust its source"
        )
    raise UnsupportedCheckpoint(f"{folder}: model.safetensors is missing")


def _split_names(index: Path) -> set[str]:
    """The files that the index of a split checkpoint names; none where there is no index."""
    files = read_json(index).get("weight_map", {})
    if not isinstance(files, dict) or not all(isinstance(name, str) for name in files.values()):
        raise UnsupportedCheckpoint(f"{index}: weight_map must name a file for each weight; fetch the folder again")
    return set(files.values())


def open_folder(path: Path) -> EncoderFolder:
    """Read and check a folder's JSON; the weights stay closed."""
    if not path.is_dir():
        raise EncoderError(f"{path}: no such encoder folder")
    try:
        return _opened(path)
    except (TypeError, AttributeError, KeyError, ValueError) as error:
        raise UnsupportedCheckpoint(
            f"{path}: a value in its JSON files is not of the kind that it must be ({error}); fetch the folder again"
        ) from error


def _opened(path: Path) -> EncoderFolder:
    modules = _modules(path)
    transformer = path / modules.transformer
    config = read_json(transformer / "config.json")
    if not config:
        raise UnsupportedCheckpoint(f"{transformer}: config.json is missing; is this an encoder folder?")
    outer = read_json(path / "config_sentence_transformers.json")
    architecture = architecture_of(config)
    refuse_remote_code(transformer / "config.json", ("AutoModel",) if architecture else ("AutoModel", "AutoConfig"))
    pooling = read_json(path / modules.pooling / "config.json") if modules.pooling is not None else {}
    own = _own_config(transformer) if modules.pooling is not None else {}
    prompts = _prompts(path, outer)
    return EncoderFolder(
        path=path,
        transformer=transformer,
        config=config,
        architecture=architecture,
        head=_head(path, modules, pooling, outer),
        max_tokens=_max_tokens(transformer, own, config, architecture),
        lower_case=bool(own.get("do_lower_case")),
        query_prompt=prompts.get("query", ""),
        passage_prompt=next((prompts[name] for name in PASSAGE_PROMPTS if name in prompts), ""),
        include_prompt=bool(pooling.get("include_prompt", True)),
    )


@dataclass(frozen=True, slots=True)
class _Modules:
    """Folders of a modules.json's parts, relative to it."""

    transformer: str = ""
    pooling: str | None = None
    dense: tuple[str, ...] = ()
    normalize: bool = False


def _modules(path: Path) -> _Modules:
    """The parts in their order; a folder without modules.json is a plain checkpoint, pooled by the mean."""
    listed = _listed_modules(path)
    if not listed:
        return _Modules()
    kept = [(kind, str(each.get("path", ""))) for each in listed if (kind := _kind(path, each)) != "Dropout"]
    kinds, folders = [kind for kind, _ in kept], [folder for _, folder in kept]
    _check_order(path, kinds)
    for folder in folders:
        if not (path / folder).resolve().is_relative_to(path.resolve()):
            raise UnsupportedCheckpoint(f"{path / 'modules.json'}: the path {folder!r} leads out of the folder")
    return _Modules(
        transformer=folders[0],
        pooling=folders[1],
        dense=tuple(folder for folder, kind in zip(folders, kinds, strict=True) if kind == "Dense"),
        normalize="Normalize" in kinds,
    )


def _listed_modules(path: Path) -> list[dict[str, Any]]:
    where = path / "modules.json"
    if not where.exists():
        return []
    try:
        listed = json.loads(where.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UnsupportedCheckpoint(f"{where}: not readable as JSON ({error})") from error
    if not isinstance(listed, list) or not listed or not all(isinstance(each, dict) for each in listed):
        raise UnsupportedCheckpoint(f"{where}: a list of modules is needed")
    return listed


def _kind(path: Path, module: Mapping[str, Any]) -> str:
    """ "Pooling" for "sentence_transformers.….Pooling"; code from elsewhere is refused, not imported."""
    full = str(module.get("type", ""))
    if not full.startswith("sentence_transformers."):
        raise UnsupportedCheckpoint(
            f"{path / 'modules.json'}: the module type {full!r} is code of its own, which is never run; "
            "only sentence-transformers' Transformer, Pooling, Dense and Normalize are read"
        )
    return full.rpartition(".")[2]


def _check_order(path: Path, kinds: list[str]) -> None:
    middle = kinds[2:-1] if kinds[-1:] == ["Normalize"] else kinds[2:]
    if kinds[:2] != ["Transformer", "Pooling"] or any(kind != "Dense" for kind in middle):
        raise UnsupportedCheckpoint(
            f"{path / 'modules.json'}: the modules {', '.join(kinds) or 'without any but Dropout'} are not supported; "
            "Transformer, Pooling, any number of Dense, and Normalize are, in this order"
        )


def refuse_remote_code(file: Path, needed: Collection[str]) -> None:
    """Raise where a JSON file names Python code of its own for one of the `needed` classes of transformers.

    Code that nothing here would ask for may be named: many checkpoints of usual layouts name some.
    """
    named = read_json(file).get("auto_map") or {}
    found = needed if isinstance(named, list) else [each for each in needed if each in named]
    if found:
        raise UnsupportedCheckpoint(
            f"{file}: {', '.join(found)} needs Python code from its own repository (auto_map), which is never run; "
            "choose a checkpoint whose architecture and tokenizer are part of transformers"
        )


def _prompts(path: Path, outer: Mapping[str, Any]) -> dict[str, str]:
    """The prompts by name."""
    prompts = outer.get("prompts") or {}
    if not isinstance(prompts, dict) or not all(isinstance(text, str | None) for text in prompts.values()):
        raise UnsupportedCheckpoint(
            f"{path / 'config_sentence_transformers.json'}: prompts must be texts by name; found {prompts!r}"
        )
    return {name: text for name, text in prompts.items() if text}


def _own_config(transformer: Path) -> dict[str, Any]:
    """sentence_bert_config.json, which older folders name after their model."""
    paths = sorted(transformer.glob("sentence_*_config.json"))
    return read_json(paths[0]) if paths else {}


def _max_tokens(
    transformer: Path, own: Mapping[str, Any], config: Mapping[str, Any], shape: Architecture | None
) -> int:
    """The folder's own limit, else the tokenizer's, never more than the model has positions."""
    stated = own.get("max_seq_length") or read_json(transformer / "tokenizer_config.json").get("model_max_length")
    positions = shape.max_positions if shape else config.get("max_position_embeddings", -1)
    limits = [int(limit) for limit in (stated, positions) if limit and 0 < limit < 1e9]
    return min(limits, default=DEFAULT_MAX_TOKENS)


def _head(path: Path, modules: _Modules, pooling: Mapping[str, Any], outer: Mapping[str, Any]) -> HeadShape:
    """Vectors are made length one, except where the folder says that its scores are plain inner products."""
    by_length = str(outer.get("similarity_fn_name") or "cosine").startswith("dot")
    return HeadShape(
        poolings=_poolings(path, pooling),
        dense=tuple(_dense(path, folder) for folder in modules.dense),
        truncate=int(outer["truncate_dim"]) if outer.get("truncate_dim") else None,
        normalize=modules.normalize or not by_length,
    )


def _poolings(path: Path, config: Mapping[str, Any]) -> tuple[str, ...]:
    modes = config.get("pooling_mode")
    if modes is None:
        modes = [mode for key, mode in OLD_POOLING_KEYS.items() if config.get(key)] or ["mean"]
    chosen = (modes,) if isinstance(modes, str) else tuple(modes)
    unknown = [mode for mode in chosen if mode not in POOLINGS]
    if unknown or not chosen:
        said = f"unknown pooling {unknown[0]!r}" if unknown else "pooling_mode is empty"
        raise UnsupportedCheckpoint(f"{path}: {said}; known are {', '.join(POOLINGS)}")
    return chosen


def _dense(path: Path, folder: str) -> DenseShape:
    config = read_json(path / folder / "config.json")
    name = str(config.get("activation_function", "Tanh")).rpartition(".")[2]
    if name not in DENSE_ACTIVATIONS or "in_features" not in config or "out_features" not in config:
        raise UnsupportedCheckpoint(
            f"{path / folder}: a Dense needs in_features, out_features and an activation of "
            f"{', '.join(DENSE_ACTIVATIONS)}; found {name!r}"
        )
    return DenseShape(
        inputs=config["in_features"],
        outputs=config["out_features"],
        activation=name,
        biased=config.get("bias", True),
        residual=config.get("use_residual", False),
        folder=folder,
    )


def _width(config: Mapping[str, Any]) -> int:
    """Of a model that only transformers knows; the names differ by family."""
    for key in ("hidden_size", "d_model", "dim", "n_embd"):
        if isinstance(config.get(key), int):
            return int(config[key])
    raise UnsupportedCheckpoint("config.json names no hidden size (hidden_size, d_model, dim)")


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of(paths: list[Path], root: Path) -> str:
    """SHA-256 of one file, or of the sorted lines "digest  name" of several."""
    if len(paths) == 1:
        return digest(paths[0])
    lines = sorted(f"{digest(path)}  {path.relative_to(root).as_posix()}\n" for path in paths)
    return hashlib.sha256("".join(lines).encode()).hexdigest()
