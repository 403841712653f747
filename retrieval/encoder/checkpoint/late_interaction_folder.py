"""Read the JSON of a late-interaction model.

Such a model gives a vector for each token (Khattab and Zaharia 2020).  Three formats are read: `MultiVectorEncoder` of
sentence-transformers 6, PyLate, and the ColBERT of Stanford.
"""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retrieval.encoder.checkpoint.architectures import LAYOUTS, check_size, read_architecture
from retrieval.encoder.checkpoint.folder_json import checked_folder, list_modules, read_json
from retrieval.encoder.checkpoint.model_folder import (
    EncoderFolder,
    check_widths,
    least_limit,
    passage_prompt,
    read_dense,
    read_max_tokens,
    read_own_config,
    read_prompts,
    refuse_remote_code,
)
from retrieval.encoder.model.model_shape import Architecture, DenseShape, HeadShape
from retrieval.errors import UnsupportedCheckpoint

NATIVE, PYLATE, STANFORD = "MultiVectorEncoder", "ColBERT", "HF_ColBERT"  # names in the formats' JSON files
STANFORD_SETTINGS = "artifact.metadata"
STANFORD_PROJECTION = "linear"  # the name of its tensor, among those of the transformer
STANFORD_MARKERS = ("[unused0]", "[unused1]")
QUERY_LENGTH = 32  # of an expanded query, where the folder does not say it
PUNCTUATION = tuple(string.punctuation)
FORMATS = "a MultiVectorEncoder of sentence-transformers 6, a PyLate folder, or a ColBERT of Stanford"
MASK, NORMALIZE = "MultiVectorMask", "Normalize"


@dataclass(frozen=True, slots=True)
class QueryExpansion:
    """Tokens that fill a query up to `length`; they are scored, too."""

    length: int
    token: str = ""  # "": the mask token of the tokenizer, or the token that ends a text
    fixed: bool = True  # longer queries are cut to the length
    attended: bool = False  # the query's own tokens attend to the added ones


@dataclass(frozen=True, slots=True)
class LateInteractionFolder:
    """The configuration of a late-interaction model.

    The head of `encoder` projects each token; its prompts and its limit of tokens are those of passages.
    """

    encoder: EncoderFolder
    max_query_tokens: int  # special tokens included
    expansion: QueryExpansion | None
    passage_skips: tuple[str, ...]  # tokens of passages that are not scored
    query_skips: tuple[str, ...] = ()
    mean: bool = False  # a score is the mean over the query's tokens, not the sum
    inline_projection: bool = False  # the projection is in the transformer's file


def is_late_interaction(path: Path) -> bool:
    """Check whether a folder describes a late-interaction model."""
    kind = read_json(path / "config_sentence_transformers.json").get("model_type")
    return kind in (NATIVE, PYLATE) or STANFORD in (read_json(path / "config.json").get("architectures") or ())


def open_late_interaction(path: Path) -> LateInteractionFolder:
    """Read and check the JSON of a folder.  Raises EncoderError."""
    with checked_folder(path):
        if not is_late_interaction(path):
            raise UnsupportedCheckpoint(f"{path}: no late-interaction model; name a folder of {FORMATS}")
        outer = read_json(path / "config_sentence_transformers.json")
        return _sentence_folder(path, outer) if outer.get("model_type") else _stanford_folder(path)


def _sentence_folder(path: Path, outer: Mapping[str, Any]) -> LateInteractionFolder:
    modules = list_modules(path)
    kinds = [module.kind for module in modules]
    pylate = outer["model_type"] == PYLATE
    _check_order(path, kinds, pylate=pylate)
    transformer = path / modules[0].folder
    config, own = read_json(transformer / "config.json", required=True), read_own_config(transformer)
    dense = tuple(read_dense(path, module.folder, "Identity") for module in modules if module.kind == "Dense")
    mask = next((read_json(path / module.folder / "config.json") for module in modules if module.kind == MASK), {})
    if mask.get("keep_only_token_ids"):
        raise UnsupportedCheckpoint(f"{path}: keep_only_token_ids is for images; use a model of texts")
    skips = tuple(mask.get("skiplist_words") or (_pylate_skips(outer) if pylate else ()))
    tasks = mask.get("skiplist_tasks") or ["document"]
    prompts, markers = _prompts(path, outer)
    limits = {**own, **{key: value for key, value in outer.items() if key.endswith("_length") and value}}
    return _late_folder(
        path,
        transformer,
        config,
        dense,
        prompts=prompts,
        markers=markers,
        limits=limits,
        expansion=_expansion(own, outer, pylate=pylate),
        passage_skips=skips if "document" in tasks else (),
        query_skips=skips if "query" in tasks else (),
        mean=outer.get("similarity_fn_name") == "meanmaxsim",
    )


def _stanford_folder(path: Path) -> LateInteractionFolder:
    config, settings = read_json(path / "config.json"), read_json(path / STANFORD_SETTINGS)
    markers = tuple(
        settings.get(key) or marker
        for key, marker in zip(("query_token_id", "doc_token_id"), STANFORD_MARKERS, strict=True)
    )
    width = check_size("hidden_size", config["hidden_size"], file=path / "config.json")
    outputs = check_size("dim", settings.get("dim", 128), file=path / STANFORD_SETTINGS)
    length = int(settings.get("query_maxlen") or QUERY_LENGTH)
    return _late_folder(
        path,
        path,
        config,
        (DenseShape(width, outputs, "Identity", biased=False),),
        prompts={"query": f"{markers[0]} ", "document": f"{markers[1]} "},
        markers=markers,
        limits={"document_length": settings.get("doc_maxlen")},
        expansion=QueryExpansion(length, attended=bool(settings.get("attend_to_mask_tokens"))),
        passage_skips=PUNCTUATION if settings.get("mask_punctuation", True) else (),
        inline_projection=True,
    )


def _late_folder(
    path: Path,
    transformer: Path,
    config: Mapping[str, Any],
    dense: tuple[DenseShape, ...],
    *,
    prompts: Mapping[str, str],
    markers: tuple[str, ...],
    limits: Mapping[str, Any],
    expansion: QueryExpansion | None,
    **others: Any,
) -> LateInteractionFolder:
    architecture = read_architecture(config)
    if architecture is None:
        kind = config.get("model_type")
        raise UnsupportedCheckpoint(
            f"{path}: late interaction does not run the model_type {kind!r}; use one of {', '.join(LAYOUTS)}"
        )
    refuse_remote_code(transformer / "config.json", ("AutoModel",))
    head = HeadShape((), dense)
    check_widths(path, architecture.width, head)
    longest = read_max_tokens(transformer, limits, config, architecture)
    _check_expansion(path, expansion, longest, architecture)
    folder = EncoderFolder(
        path=path,
        transformer=transformer,
        config=config,
        architecture=architecture,
        head=head,
        max_tokens=least_limit(longest, limits.get("document_length")),
        lower_case=bool(limits.get("do_lower_case")),
        query_prompt=prompts.get("query", ""),
        passage_prompt=passage_prompt(prompts),
        include_prompt=True,
        markers=markers,
    )
    return LateInteractionFolder(folder, _query_tokens(limits, expansion, longest), expansion, **others)


def _check_order(path: Path, kinds: Sequence[str], *, pylate: bool) -> None:
    """Check the modules: Transformer, projections, and the steps that PyLate implies."""
    after = [kind for kind in kinds[1:] if kind != "Dense"]
    steps = ([],) if pylate else ([MASK, NORMALIZE], [NORMALIZE, MASK], [NORMALIZE])
    projections = kinds[1 : len(kinds) - len(after)]
    if kinds[:1] != ["Transformer"] or not projections or set(projections) != {"Dense"} or after not in steps:
        raise UnsupportedCheckpoint(
            f"{path / 'modules.json'}: the modules ({', '.join(kinds)}) are not supported; use a folder with "
            f"Transformer, Dense{'' if pylate else f', {MASK} and {NORMALIZE}'}, in this order"
        )


def _pylate_skips(outer: Mapping[str, Any]) -> tuple[str, ...]:
    words = outer.get("skiplist_words")
    return PUNCTUATION if words is None else tuple(words)


def _prompts(path: Path, outer: Mapping[str, Any]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the prompts, and the prefixes of PyLate, which begin them."""
    prompts = read_prompts(path, outer)
    prefixes = {"query": outer.get("query_prefix") or "", "document": outer.get("document_prefix") or ""}
    for side, prefix in prefixes.items():
        prompts[side] = prefix + prompts.get(side, "").removeprefix(prefix)
    return prompts, tuple(prefix for prefix in prefixes.values() if prefix.strip())


def _expansion(own: Mapping[str, Any], outer: Mapping[str, Any], *, pylate: bool) -> QueryExpansion | None:
    stated = own.get("query_expansion", outer.get("query_expansion"))
    if stated is not None:
        return QueryExpansion(
            int(stated["length"]), stated.get("token") or "", stated["strategy"] == "fixed", bool(stated.get("attend"))
        )
    if not pylate or outer.get("do_query_expansion") is False:
        return None
    return QueryExpansion(
        int(outer.get("query_length") or QUERY_LENGTH), attended=bool(outer.get("attend_to_expansion_tokens"))
    )


def _query_tokens(limits: Mapping[str, Any], expansion: QueryExpansion | None, longest: int) -> int:
    """Return the most tokens of a query; an expansion is never shortened."""
    stated = least_limit(longest, limits.get("query_length"))
    if expansion is None:
        return stated
    return expansion.length if expansion.fixed else max(stated, expansion.length)


def _check_expansion(path: Path, expansion: QueryExpansion | None, longest: int, shape: Architecture) -> None:
    if expansion is None:
        return
    window = min((layer.window for layer in shape.layers if layer.window is not None), default=longest)
    reach = longest if expansion.attended else min(longest, window)  # else a token would have nothing to attend to
    if not 1 <= expansion.length <= reach:
        raise UnsupportedCheckpoint(
            f"{path}: queries are expanded to {expansion.length} tokens; the model allows 1 to {reach}: correct the "
            "length in its JSON files"
        )
