"""Read the JSON of a sentence-transformers folder.

The folder has the old or the new format.  This module parses JSON only, so that a process that runs a converted encoder
never imports torch.  It never imports a Python module that a folder names: it refuses parts whose type name it does not
know.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from retrieval.encoder.checkpoint.architectures import check_size, read_architecture
from retrieval.encoder.checkpoint.folder_json import checked_folder, list_modules, read_json
from retrieval.encoder.model.model_shape import Architecture, DenseShape, HeadShape
from retrieval.errors import UnsupportedCheckpoint

POOLINGS = ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")
OLD_POOLING_KEYS = {  # in the order in which several poolings are concatenated
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
VOCABULARY_FILES = ("vocab.txt", "vocab.json", "merges.txt", "special_tokens_map.json")  # without tokenizer.json
STATIC_TABLES = ("embedding.weight", "embeddings")  # tensor of token vectors: of sentence-transformers, of model2vec
LABEL_HEADS = ("ForSequenceClassification", "ForTokenClassification", "ForQuestionAnswering", "ForMultipleChoice")
OTHER_MODELS = {  # of sentence-transformers, by model_type in config_sentence_transformers.json
    "CrossEncoder": "a cross-encoder reranks: give it to `attendex serve --reranker`",
    "SparseEncoder": "it gives weights of terms: give it to `attendex index --sparse`",
}
DEFAULT_MAX_TOKENS = 512
INT8_FOLDER = "int8"  # of the graph that `attendex quantize` writes


@dataclass(frozen=True)
class EncoderFolder:
    """The configuration of an encoder."""

    path: Path
    transformer: Path  # the folder of the attention stack's config.json and weights, or of the static embedding
    config: Mapping[str, Any]
    architecture: Architecture | None  # None: static embeddings, or a family that only AutoModelRuntime runs
    head: HeadShape
    max_tokens: int  # special tokens included
    lower_case: bool
    query_prompt: str
    passage_prompt: str
    include_prompt: bool  # whether a prompt's tokens count in pooling
    static_width: int = 0  # of the token vectors of a static embedding, which has no attention; 0 for all others
    markers: tuple[str, ...] = ()  # texts that the tokenizer reads as one token each, if its vocabulary has them

    @property
    def int8_graph(self) -> Path | None:
        """The graph that `attendex quantize` wrote; None if there is none."""
        graph = self.path / INT8_FOLDER / "model.xml"
        return graph if graph.is_file() else None

    @property
    def dimension(self) -> int:
        width = self.architecture.width if self.architecture else self.static_width or _width(self.config)
        full = self.head.dense[-1].outputs if self.head.dense else width * len(self.head.poolings)
        return min(full, self.head.truncate or full)


def weight_files(folder: Path) -> list[Path]:
    """List the safetensors files of a folder: one, or those in a split's index."""
    single = folder / "model.safetensors"
    if single.is_file():
        return [single]
    names = _split_names(folder / "model.safetensors.index.json")
    if names and all(name == Path(name).name and (folder / name).is_file() for name in names):
        return [folder / name for name in sorted(names)]
    pickles = [name for name in PICKLES if (folder / name).exists()]
    if pickles:
        raise UnsupportedCheckpoint(
            f"{folder}: has its weights in {pickles[0]} only, a pickle, which can run code when it is read; "
            "use a revision with model.safetensors, or convert the file with safetensors if you trust its source"
        )
    raise UnsupportedCheckpoint(f"{folder}: model.safetensors is missing; fetch the folder again")


def _split_names(index: Path) -> set[str]:
    """Return the file names in the index of a split checkpoint, if there is one."""
    files = read_json(index).get("weight_map", {})
    if not isinstance(files, dict) or not all(isinstance(name, str) for name in files.values()):
        raise UnsupportedCheckpoint(f"{index}: weight_map must name a file for each weight; fetch the folder again")
    return set(files.values())


def open_folder(path: Path) -> EncoderFolder:
    """Read and check the JSON of a folder, without reading the weights."""
    with checked_folder(path):
        return _read_folder(path)


def _read_folder(path: Path) -> EncoderFolder:
    outer = read_json(path / "config_sentence_transformers.json")
    _refuse_other_models(path, outer)
    modules = _read_modules(path)
    if modules.static:
        return _static_folder(path, modules)
    transformer = path / modules.transformer
    config = read_json(transformer / "config.json")
    if not config:
        raise UnsupportedCheckpoint(f"{transformer}: config.json is missing; give the path of an encoder folder")
    _refuse_label_heads(path, config)
    architecture = read_architecture(config)
    refuse_remote_code(transformer / "config.json", ("AutoModel",) if architecture else ("AutoModel", "AutoConfig"))
    pooling = read_json(path / modules.pooling / "config.json", required=True) if modules.pooling is not None else {}
    own = read_own_config(transformer) if modules.pooling is not None else {}
    prompts = read_prompts(path, outer)
    head = _head(path, modules, pooling, outer)
    check_widths(path, architecture.width if architecture else _width(config), head)
    return EncoderFolder(
        path=path,
        transformer=transformer,
        config=config,
        architecture=architecture,
        head=head,
        max_tokens=read_max_tokens(transformer, own, config, architecture),
        lower_case=bool(own.get("do_lower_case")),
        query_prompt=prompts.get("query", ""),
        passage_prompt=passage_prompt(prompts),
        include_prompt=bool(pooling.get("include_prompt", True)),
    )


def _static_folder(path: Path, modules: _Modules) -> EncoderFolder:
    outer = read_json(path / "config_sentence_transformers.json")
    table = path / modules.transformer
    truncation = read_json(table / "tokenizer.json").get("truncation") or {}
    prompts = read_prompts(path, outer)
    return EncoderFolder(
        path=path,
        transformer=table,
        config={},
        architecture=None,
        head=_head(path, modules, {}, outer),
        max_tokens=least_limit(truncation.get("max_length")),
        lower_case=False,
        query_prompt=prompts.get("query", ""),
        passage_prompt=passage_prompt(prompts),
        include_prompt=True,
        static_width=_static_width(table),
    )


def _static_width(folder: Path) -> int:
    """Return the width of the table of token vectors, from the header of its file."""
    for path in weight_files(folder):
        try:
            with safe_open(path, "numpy") as file:
                for name in set(STATIC_TABLES).intersection(file.keys()):
                    return int(file.get_slice(name).get_shape()[-1])
        except (SafetensorError, OSError) as error:
            raise UnsupportedCheckpoint(f"{path}: unreadable safetensors ({error}); fetch the folder again") from error
    raise UnsupportedCheckpoint(f"{folder}: the weights lack {' or '.join(STATIC_TABLES)}; fetch the folder again")


@dataclass(frozen=True, slots=True)
class _Modules:
    """The parts that modules.json lists; their folders are relative to it."""

    transformer: str = ""
    static: bool = False  # `transformer` is the folder of a static embedding
    pooling: str | None = None
    dense: tuple[str, ...] = ()
    normalize: bool = False


def _read_modules(path: Path) -> _Modules:
    """Read modules.json; without it, a folder is of model2vec or pooled by the mean."""
    file = path / "modules.json"
    if not file.exists():
        config = read_json(path / "config.json")
        static = config.get("model_type") == "model2vec"
        return _Modules(static=static, normalize=static and bool(config.get("normalize")))
    listed = list_modules(path)
    kinds, folders = [module.kind for module in listed], [module.folder for module in listed]
    _check_order(path, kinds)
    static = kinds[0] == "StaticEmbedding"
    return _Modules(
        transformer=folders[0],
        static=static,
        pooling=None if static else folders[1],
        dense=tuple(folder for folder, kind in zip(folders, kinds, strict=True) if kind == "Dense"),
        normalize="Normalize" in kinds,
    )


def _check_order(path: Path, kinds: list[str]) -> None:
    if kinds in (["StaticEmbedding"], ["StaticEmbedding", "Normalize"]):
        return
    middle = kinds[2:-1] if kinds[-1:] == ["Normalize"] else kinds[2:]
    if kinds[:2] != ["Transformer", "Pooling"] or any(kind != "Dense" for kind in middle):
        raise UnsupportedCheckpoint(
            f"{path / 'modules.json'}: the modules ({', '.join(kinds) or 'Dropout only'}) are not supported; "
            "use a folder with Transformer, Pooling, any number of Dense, and Normalize, in this order, or with "
            "StaticEmbedding and Normalize"
        )


def _refuse_other_models(path: Path, outer: Mapping[str, Any]) -> None:
    """Raise UnsupportedCheckpoint for a folder of another class of models."""
    kind = outer.get("model_type")
    if kind in OTHER_MODELS:
        raise UnsupportedCheckpoint(f"{path}: a {kind} is not an encoder of vectors; {OTHER_MODELS[kind]}")


def _refuse_label_heads(path: Path, config: Mapping[str, Any]) -> None:
    """Raise UnsupportedCheckpoint for a model that gives labels, not vectors."""
    whole = (path / "modules.json").exists()  # an encoder may have been trained from such a model
    named = [str(name) for name in config.get("architectures") or () if not whole and str(name).endswith(LABEL_HEADS)]
    if named:
        raise UnsupportedCheckpoint(
            f"{path / 'config.json'}: {', '.join(named)} is not an encoder; {OTHER_MODELS['CrossEncoder']}"
        )


def refuse_remote_code(file: Path, needed: Collection[str]) -> None:
    """Raise UnsupportedCheckpoint if a file names Python code for a `needed` class.

    Many checkpoints of supported families name code for other classes of transformers.
    """
    named = read_json(file).get("auto_map") or {}
    found = needed if isinstance(named, list) else [name for name in needed if name in named]
    if found:
        raise UnsupportedCheckpoint(
            f"{file}: {', '.join(found)} needs Python code from its own repository (auto_map), which Attendex never "
            "runs; choose a checkpoint whose architecture and tokenizer are part of transformers"
        )


def read_prompts(path: Path, outer: Mapping[str, Any]) -> dict[str, str]:
    """Return the prompts of a folder by name, without empty ones."""
    prompts = outer.get("prompts") or {}
    if not isinstance(prompts, dict) or not all(isinstance(text, str | None) for text in prompts.values()):
        raise UnsupportedCheckpoint(
            f"{path / 'config_sentence_transformers.json'}: prompts must be an object of texts, not {prompts!r}; "
            "correct the file or fetch the folder again"
        )
    return {name: text for name, text in prompts.items() if text}


def passage_prompt(prompts: Mapping[str, str]) -> str:
    """Return the prompt of passages, which has several names."""
    return next((prompts[name] for name in PASSAGE_PROMPTS if name in prompts), "")


def read_own_config(transformer: Path) -> dict[str, Any]:
    """Read sentence_bert_config.json, which older folders name after their model."""
    paths = sorted(transformer.glob("sentence_*_config.json"))
    return read_json(paths[0]) if paths else {}


def read_max_tokens(
    transformer: Path, own: Mapping[str, Any], config: Mapping[str, Any], shape: Architecture | None
) -> int:
    """Return the limit of the folder, else tokenizer, and at most of the model."""
    stated = own.get("max_seq_length") or read_json(transformer / "tokenizer_config.json").get("model_max_length")
    positions = shape.max_positions if shape else config.get("max_position_embeddings", -1)
    return least_limit(stated, positions)


def least_limit(*limits: float | None) -> int:
    """Return the least of the limits that are stated and possible, in tokens."""
    return min((int(limit) for limit in limits if limit and 0 < limit < 1e9), default=DEFAULT_MAX_TOKENS)


def _head(path: Path, modules: _Modules, pooling: Mapping[str, Any], outer: Mapping[str, Any]) -> HeadShape:
    """Normalise vectors unless the folder says that scores are inner products."""
    inner_product = str(outer.get("similarity_fn_name") or "cosine").startswith("dot")
    return HeadShape(
        poolings=_poolings(path, pooling),
        dense=tuple(read_dense(path, folder) for folder in modules.dense),
        truncate=_truncate_dim(path, outer),
        normalize=modules.normalize or not inner_product,
    )


def _truncate_dim(path: Path, outer: Mapping[str, Any]) -> int | None:
    value = outer.get("truncate_dim")
    return check_size("truncate_dim", value, file=path / "config_sentence_transformers.json") if value else None


def check_widths(path: Path, width: int, head: HeadShape) -> None:
    """Check that each projection takes what the part before it gives.

    Without poolings the projections take the state of each token.
    """
    width *= len(head.poolings) or 1
    for dense in head.dense:
        file = path / dense.folder / "config.json"
        if check_size("in_features", dense.inputs, file=file) != width:
            raise UnsupportedCheckpoint(f"{file}: in_features is {dense.inputs}, not {width}; fetch the folder again")
        width = check_size("out_features", dense.outputs, file=file)


def _poolings(path: Path, config: Mapping[str, Any]) -> tuple[str, ...]:
    modes = config.get("pooling_mode")
    if modes is None:
        modes = [mode for key, mode in OLD_POOLING_KEYS.items() if config.get(key)] or ["mean"]
    chosen = (modes,) if isinstance(modes, str) else tuple(modes)
    unknown = [mode for mode in chosen if mode not in POOLINGS]
    if unknown or not chosen:
        problem = f"unknown pooling {unknown[0]!r}" if unknown else "pooling_mode is empty"
        raise UnsupportedCheckpoint(f"{path}: {problem}; use a folder with one of {', '.join(POOLINGS)}")
    return chosen


def read_dense(path: Path, folder: str, activation: str = "Tanh") -> DenseShape:
    """Read the configuration of a projection; `activation` is the default."""
    config = read_json(path / folder / "config.json", required=True)
    name = str(config.get("activation_function", activation)).rpartition(".")[2]
    if name not in DENSE_ACTIVATIONS or "in_features" not in config or "out_features" not in config:
        raise UnsupportedCheckpoint(
            f"{path / folder}: the activation is {name!r}; a Dense needs in_features, out_features and an activation "
            f"out of {', '.join(DENSE_ACTIVATIONS)}"
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
    """Return the hidden size, whose key differs among transformers' families."""
    for key in ("hidden_size", "d_model", "dim", "n_embd"):
        if isinstance(config.get(key), int):
            return int(config[key])
    raise UnsupportedCheckpoint("config.json has no hidden size; add hidden_size, d_model or dim")
