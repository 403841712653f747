"""Read the JSON of a SparseEncoder's folder (sentence-transformers).

A SPLADE model encodes queries and passages alike.  An *inference-free* model has a router: passages go through SPLADE,
and a query gets the weights of its tokens from a table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from retrieval.encoder.checkpoint.architectures import ACTIVATION_NAMES, read_architecture
from retrieval.encoder.checkpoint.folder_json import (
    Module,
    check_inside,
    checked_folder,
    list_modules,
    module_kind,
    read_json,
)
from retrieval.encoder.checkpoint.model_folder import (
    EncoderFolder,
    least_limit,
    passage_prompt,
    read_max_tokens,
    read_own_config,
    read_prompts,
    refuse_remote_code,
)
from retrieval.encoder.model.model_shape import HeadShape, SpladeShape
from retrieval.errors import UnsupportedCheckpoint

SPLADE = (["Transformer", "SpladePooling"], ["MLMTransformer", "SpladePooling"])  # the second is the older name
STATIC = ["SparseStaticEmbedding"]
POOLINGS = ("max", "sum")
LOG_TWICE = {"relu": False, "log1p_relu": True}  # by activation_function
MAX_STATIC_TOKENS = 1 << 15  # of a query that is looked up in a table; a query has fewer characters


@dataclass(frozen=True, slots=True)
class PredictionHead:
    """The head of a masked language model: names of its tensors in a checkpoint."""

    projection: str
    norm: str
    output: str
    biases: tuple[str, ...]  # names that the bias of the output may have
    activation_key: str = ""  # in config.json; "" for gelu


_LM_HEAD = PredictionHead("lm_head.dense", "lm_head.layer_norm", "lm_head.decoder", ("lm_head.bias",))
PREDICTION_HEADS: Mapping[str, PredictionHead] = {  # by model_type
    "bert": PredictionHead(
        "cls.predictions.transform.dense",
        "cls.predictions.transform.LayerNorm",
        "cls.predictions.decoder",
        ("cls.predictions.bias",),
        "hidden_act",
    ),
    "distilbert": PredictionHead("vocab_transform", "vocab_layer_norm", "vocab_projector", (), "activation"),
    **dict.fromkeys(("roberta", "xlm-roberta", "camembert", "mpnet"), _LM_HEAD),
    "modernbert": PredictionHead("head.dense", "head.norm", "decoder", (), "classifier_activation"),
}


@dataclass(frozen=True)
class SparseFolder:
    """The configuration of a sparse encoder."""

    path: Path
    passages: EncoderFolder
    splade: SpladeShape
    static_queries: EncoderFolder | None  # tokenizer and table of an inference-free model; None: queries use SPLADE

    @property
    def vocabulary(self) -> int:
        assert self.passages.architecture is not None
        return self.passages.architecture.vocabulary


def is_sparse_encoder(path: Path) -> bool:
    """Check whether a folder describes a SparseEncoder."""
    return read_json(path / "config_sentence_transformers.json").get("model_type") == "SparseEncoder"


def open_sparse_folder(path: Path) -> SparseFolder:
    """Read and check the JSON of a folder.  Raises EncoderError."""
    with checked_folder(path):
        return _read_folder(path)


def _read_folder(path: Path) -> SparseFolder:
    outer = read_json(path / "config_sentence_transformers.json")
    if str(outer.get("similarity_fn_name") or "dot") not in ("dot", "dot_product"):
        raise UnsupportedCheckpoint(
            f"{path}: similarity_fn_name is {outer['similarity_fn_name']!r}; use a sparse encoder with 'dot'"
        )
    prompts = read_prompts(path, outer)
    modules = list_modules(path) if (path / "modules.json").exists() else []
    if _kinds(modules) != ["Router"]:
        return _splade_folder(path, path, modules, prompts)
    root = path / modules[0].folder
    query, document = _routes(root)
    folder = _splade_folder(path, root, document, prompts)
    kinds = _kinds(query)
    if kinds != STATIC:
        raise UnsupportedCheckpoint(
            f"{path}: the route of queries has the modules {', '.join(kinds) or 'none'}; use a model whose queries "
            "have SparseStaticEmbedding, or a SPLADE model without a router"
        )
    return replace(folder, static_queries=_static_queries(path, root / query[0].folder, prompts))


def _kinds(modules: Sequence[Module]) -> list[str]:
    return [module.kind for module in modules]


def _routes(folder: Path) -> list[list[Module]]:
    """Return the modules of the routes of queries and of documents."""
    file = folder / "router_config.json"
    config = read_json(file, required=True)
    routes = []
    for task in ("query", "document"):
        names = [str(name) for name in config["structure"].get(task, ())]
        for name in names:
            check_inside(file, name)
        routes.append([Module(module_kind(file, config["types"][name]), name) for name in names])
    return routes


def _splade_folder(path: Path, root: Path, modules: Sequence[Module], prompts: Mapping[str, str]) -> SparseFolder:
    """Read the modules of SPLADE; their folders are relative to `root`."""
    kinds = _kinds(modules)
    if modules and kinds not in SPLADE:
        raise UnsupportedCheckpoint(
            f"{path}: is no sparse encoder that Attendex knows (modules: {', '.join(kinds)}); use a folder of a "
            "SparseEncoder with SpladePooling"
        )
    transformer = root / modules[0].folder if modules else root
    pooling = read_json(root / modules[1].folder / "config.json", required=True) if modules else {}
    config = read_json(transformer / "config.json", required=True)
    own = read_own_config(transformer)
    architecture = read_architecture(config)
    refuse_remote_code(transformer / "config.json", ("AutoModelForMaskedLM",))
    if architecture is None or config.get("model_type") not in PREDICTION_HEADS:
        raise UnsupportedCheckpoint(
            f"{transformer}: sparse encoders of the family {config.get('model_type')!r} are not supported; use one of "
            f"{', '.join(PREDICTION_HEADS)}"
        )
    passages = EncoderFolder(
        path=path,
        transformer=transformer,
        config=config,
        architecture=architecture,
        head=HeadShape((), normalize=False),
        max_tokens=read_max_tokens(transformer, own, config, architecture),
        lower_case=bool(own.get("do_lower_case")),
        query_prompt=prompts.get("query", ""),
        passage_prompt=passage_prompt(prompts),
        include_prompt=True,
    )
    return SparseFolder(path, passages, _splade_shape(root, config, pooling), None)


def _splade_shape(root: Path, config: Mapping[str, Any], pooling: Mapping[str, Any]) -> SpladeShape:
    kind = config["model_type"]
    key = PREDICTION_HEADS[kind].activation_key
    activation = str(config.get(key) or "gelu") if key else "gelu"
    pooled, log = pooling.get("pooling_strategy", "max"), pooling.get("activation_function", "relu")
    if pooled not in POOLINGS or log not in LOG_TWICE or activation not in ACTIVATION_NAMES:
        raise UnsupportedCheckpoint(
            f"{root}: the pooling {pooled!r} with {log!r} and {activation!r} is unknown; SpladePooling has "
            f"{' or '.join(POOLINGS)} with {' or '.join(LOG_TWICE)}"
        )
    modern = kind == "modernbert"
    return SpladeShape(
        activation,
        pooled,
        LOG_TWICE[log],
        projection_biased=not modern or bool(config.get("classifier_bias", False)),
        norm_biased=not modern or bool(config.get("norm_bias", False)),
    )


def _static_queries(path: Path, table: Path, prompts: Mapping[str, str]) -> EncoderFolder:
    """Describe the tokenizer of a table of weights, which adds no special tokens."""
    stated = read_json(table / "tokenizer_config.json").get("model_max_length")
    return EncoderFolder(
        path=path,
        transformer=table,
        config={},
        architecture=None,
        head=HeadShape((), normalize=False),
        max_tokens=least_limit(stated, MAX_STATIC_TOKENS),
        lower_case=False,
        query_prompt=prompts.get("query", ""),
        passage_prompt="",
        include_prompt=True,
        static_width=1,
    )
