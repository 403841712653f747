"""Settings of a collection, which its manifest records.

The first build chooses them.  Later generations may have other ones: `attendex tune` changes `lexical` and `search`,
`attendex reembed` the encoder, `attendex synonyms` and `attendex pins` the rest.
"""

from __future__ import annotations

import base64
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from typing import Any, Literal, TypeAlias

import numpy as np
import Stemmer

from retrieval.bm25_options import BM25_RANGES, MAX_SEARCHED, MAX_STOP_WORD, MAX_STOP_WORDS, Bm25Options
from retrieval.errors import InputError
from retrieval.index.storage.pins import PinRule, pin_of
from retrieval.index.storage.synonyms import SynonymRule, parse_synonyms
from retrieval.types import EncoderFingerprint, FieldType, Schema, Vectors

JsonValue: TypeAlias = Any  # a value that json.loads returns

MAX_LANGUAGES = 16
FINE_SENTENCES = 3  # of a window, with `--passages fine`
MAX_WINDOW_SENTENCES = 100
TOKEN_BITS = (4, 1)  # of a dimension of a token vector
MAX_IMPACT = 255  # of a term in a passage: 8 bits
ANALYSIS_VERSION = 2  # of the rules in lexical/analyzer.py; a collection keeps the version of its first build


@dataclass(frozen=True, slots=True)
class ChunkSettings:
    """How documents are cut into passages.

    "whole" makes one passage of each document, which the encoder truncates; "passages" cuts documents.  `max_tokens` 0
    stands for the encoder's own limit.  The limit counts the title and the heading that precede a passage.
    """

    strategy: Literal["whole", "passages"] = "passages"
    max_tokens: int = 0
    overlap_tokens: int = 32  # most tokens that a passage repeats of the passage before
    min_tokens: int = 32  # a smaller remainder joins its neighbour, or starts earlier

    def __post_init__(self) -> None:
        if self.strategy not in ("whole", "passages"):
            raise InputError(f"chunk strategy {self.strategy!r} is unknown; choose 'whole' or 'passages'")
        if self.max_tokens < 0 or self.overlap_tokens < 0 or self.min_tokens < 0:
            raise InputError(f"chunk sizes must not be negative: {self}")


@dataclass(frozen=True, slots=True)
class LexicalSettings:
    """How words are indexed and scored.

    `k1` and `b` are BM25's parameters (Robertson et al. 1994).  The length of short passages says little, so that b
    counts in full only if the average length is well above `short`; 0 for always.
    """

    language: str = "english"  # Snowball algorithms, or "none", with commas between; a passage has one of them
    k1: float = 1.5
    b: float = 0.75
    title_weight: float = 1.0  # how many times a word in the title counts
    searched: tuple[tuple[str, float], ...] = ()  # metadata fields, and "id", whose words count so many times
    short: float = 45.0  # terms
    stop_words: str | tuple[str, ...] = "language"  # or "none", or the words: left out of queries, but indexed
    analysis: int = ANALYSIS_VERSION

    def __post_init__(self) -> None:
        for language in self.languages:
            if language != "none" and language not in Stemmer.algorithms():
                raise InputError(f"no stemmer for {language!r}; choose none, {', '.join(Stemmer.algorithms())}")
        if len(set(self.languages)) < len(self.languages) or len(self.languages) > MAX_LANGUAGES:
            raise InputError(f"language is {self.language!r}; name up to {MAX_LANGUAGES} languages, each once")
        if isinstance(self.stop_words, str) and self.stop_words not in ("language", "none"):
            raise InputError(f"stop words are {self.stop_words!r}; choose language, none, or a list of words")
        if len(self.stop_words) > MAX_STOP_WORDS or any(len(word) > MAX_STOP_WORD for word in self.stop_words):
            raise InputError(
                f"a list of stop words has at most {MAX_STOP_WORDS:,} words of {MAX_STOP_WORD} characters; shorten it"
            )
        if self.analysis not in range(1, ANALYSIS_VERSION + 1):
            raise InputError(
                f"text analysis {self.analysis} is unknown; this Attendex has versions 1 to {ANALYSIS_VERSION}; "
                "index the collection again"
            )
        for name, (low, high) in BM25_RANGES.items():
            if not low <= getattr(self, name) <= high:
                raise InputError(f"{name} is {getattr(self, name)}; it must be from {low:g} to {high:g}")

        if len(self.searched) > MAX_SEARCHED or len({name for name, _ in self.searched}) < len(self.searched):
            raise InputError(f"{len(self.searched)} fields are searched; name up to {MAX_SEARCHED}, each once")
        for name, weight in self.searched:
            if not 0.1 <= weight <= 100.0 or name in ("", "title", "text"):
                raise InputError(
                    f"the searched field {name!r} has the weight {weight:g}; name a metadata field, or id, and give a "
                    "weight from 0.1 to 100 (the title has --title-weight, the text counts once)"
                )

    @property
    def searched_fields(self) -> tuple[str, ...]:
        """The names of the searched fields."""
        return tuple(name for name, _ in self.searched)

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages of the passages; the first is that of an unknown language."""
        return tuple(self.language.split(","))

    def with_bm25(self, options: Bm25Options) -> LexicalSettings:
        """Return the settings with the parameters that a search chooses."""
        given: dict[str, Any] = {**options.given}
        return replace(self, **given)

    def same_postings(self, other: LexicalSettings) -> bool:
        """Whether an index with these settings serves searches with `other`."""
        return replace(self, k1=other.k1, b=other.b, short=other.short, stop_words=other.stop_words) == other

    def b_at(self, average_length: float) -> float:
        """Return b for passages of that average length."""
        return self.b * average_length**2 / (average_length**2 + self.short**2)


@dataclass(frozen=True, slots=True)
class SparseSettings:
    """A collection's sparse encoder; `scale` is the weight of one step of an impact."""

    encoder: EncoderFingerprint
    scale: float

    def __post_init__(self) -> None:
        if not 0.0 < self.scale < float("inf"):
            raise InputError(f"the scale of impacts is {self.scale}; it must be a number above 0")


class MemoryBudget(StrEnum):
    """How much memory an ANN index may take."""

    AUTO = "auto"
    SMALL = "small"
    EXACT = "exact"


@dataclass(frozen=True, slots=True)
class VectorSettings:
    """How a collection stores and searches vectors."""

    dtype: str = "float16"
    recall: float = 0.98  # the target of ANN search
    memory: str = MemoryBudget.AUTO
    structure: str = ""  # a FAISS factory string, for experts
    window_sentences: int = 0  # sentences of a window, a part of a passage with its own vector; 0: no windows

    def __post_init__(self) -> None:
        if self.dtype not in ("float16", "float32"):
            raise InputError(f"vectors cannot be stored as {self.dtype!r}; choose float16 or float32")
        if not 0.5 <= self.recall <= 1:
            raise InputError(f"recall is {self.recall}; it must be from 0.5 to 1 (exact)")
        if self.memory not in list(MemoryBudget):
            raise InputError(f"memory is {self.memory!r}; choose one of {', '.join(MemoryBudget)}")
        if not 0 <= self.window_sentences <= MAX_WINDOW_SENTENCES:
            raise InputError(
                f"window_sentences is {self.window_sentences}; it must be from 1 to {MAX_WINDOW_SENTENCES}, "
                "or 0 for passages without windows"
            )

    @property
    def windows(self) -> bool:
        """Whether passages have windows."""
        return self.window_sentences > 0


@dataclass(frozen=True, slots=True)
class TokenSettings:
    """How a collection stores the token vectors of a late-interaction model."""

    encoder: EncoderFingerprint
    bits: int = 4  # of a dimension

    def __post_init__(self) -> None:
        if self.bits not in TOKEN_BITS:
            raise InputError(f"token vectors cannot have {self.bits} bits; choose {' or '.join(map(str, TOKEN_BITS))}")


@dataclass(frozen=True, slots=True)
class SearchDefaults:
    """Settings of searches that do not choose their own; `attendex tune` finds them."""

    weight: float | None = None  # the dense share of convex fusion; None means the default
    feedback: float | None = None  # weight of the two best passages in the query's vector; None means the default
    sparse_weight: float | None = None  # sparse part of what the dense share leaves; None means the default
    window_share: float | None = None  # of the best window in a passage's cosine; None means the default


@dataclass(frozen=True, slots=True, eq=False)
class Canaries:
    """A few texts and their passage vectors: (n, dimension) float32."""

    texts: tuple[str, ...]
    vectors: Vectors


@dataclass(frozen=True, slots=True)
class CollectionSettings:
    """The settings of a collection."""

    encoder: EncoderFingerprint
    runtime: str
    precision: str
    canaries: Canaries
    schema: Schema | None = None  # None: the writer infers fields from documents
    chunking: ChunkSettings = ChunkSettings()
    lexical: LexicalSettings | None = None  # None: no lexical index
    vectors: VectorSettings = VectorSettings()
    search: SearchDefaults = SearchDefaults()
    tokens: TokenSettings | None = None  # None: no token vectors
    sparse: SparseSettings | None = None  # None: no sparse index
    expires: str = ""  # date field that tells until when a document is found; "" for none
    synonyms: tuple[SynonymRule, ...] = ()
    pins: tuple[PinRule, ...] = ()


def settings_to_json(settings: CollectionSettings) -> JsonValue:
    """Return the settings as JSON values."""
    body = {
        "encoder": asdict(settings.encoder),
        "runtime": settings.runtime,
        "precision": settings.precision,
        "canaries": {"texts": list(settings.canaries.texts), "vectors": _vectors_to_json(settings.canaries.vectors)},
        "schema": None if settings.schema is None else dict(settings.schema),
        "chunking": asdict(settings.chunking),
        "lexical": None if settings.lexical is None else _lexical_to_json(settings.lexical),
        "vectors": _vectors_settings_to_json(settings.vectors),
        "search": {name: value for name, value in asdict(settings.search).items() if value is not None},
    }
    added = {"tokens": settings.tokens, "sparse": settings.sparse}  # of later versions than the first
    body |= {name: asdict(record) for name, record in added.items() if record is not None}
    body |= {"expires": settings.expires} if settings.expires else {}
    body |= {"synonyms": [rule.line for rule in settings.synonyms]} if settings.synonyms else {}
    return body | ({"pins": [asdict(rule) for rule in settings.pins]} if settings.pins else {})


def settings_from_json(body: JsonValue) -> CollectionSettings:
    """Decode the values of `settings_to_json`.  Raises InputError out of range."""
    canaries, schema, lexical = body["canaries"], body["schema"], body["lexical"]
    return CollectionSettings(
        encoder=EncoderFingerprint(**body["encoder"]),
        runtime=body["runtime"],
        precision=body["precision"],
        canaries=Canaries(tuple(canaries["texts"]), _vectors_from_json(canaries["vectors"])),
        schema=None if schema is None else {name: FieldType(kind) for name, kind in schema.items()},
        chunking=ChunkSettings(**body["chunking"]),
        lexical=None if lexical is None else _lexical_from_json(lexical),
        vectors=VectorSettings(**_known_fields(VectorSettings, body["vectors"])),
        search=SearchDefaults(**_known_fields(SearchDefaults, body.get("search", {}))),
        tokens=_tokens_from_json(body["tokens"]) if "tokens" in body else None,
        sparse=_sparse_from_json(body["sparse"]) if "sparse" in body else None,
        expires=body.get("expires", ""),
        synonyms=parse_synonyms(body.get("synonyms", ())),
        pins=tuple(map(pin_of, body.get("pins", ()))),
    )


def _tokens_from_json(body: JsonValue) -> TokenSettings:
    return TokenSettings(EncoderFingerprint(**body["encoder"]), int(body["bits"]))


def _sparse_from_json(body: JsonValue) -> SparseSettings:
    return SparseSettings(EncoderFingerprint(**body["encoder"]), float(body["scale"]))


def _vectors_settings_to_json(settings: VectorSettings) -> JsonValue:
    """Return the settings; without windows, as the first collections had them."""
    body = asdict(settings)
    if not settings.windows:
        del body["window_sentences"]
    return body


def _lexical_to_json(settings: LexicalSettings) -> JsonValue:
    """Return the settings; without stop words and searched fields as in old versions."""
    body = asdict(settings)
    if settings.stop_words == "none":
        del body["stop_words"]
    del body["searched"]
    return body | ({"searched": dict(settings.searched)} if settings.searched else {})


def _lexical_from_json(body: JsonValue) -> LexicalSettings:
    words = body.get("stop_words", "none")
    searched = tuple(body.get("searched", {}).items())
    words = words if isinstance(words, str) else tuple(words)
    return LexicalSettings(**{**body, "stop_words": words, "searched": searched})


def _known_fields(record: type[VectorSettings | SearchDefaults], body: JsonValue) -> JsonValue:
    """Return the fields of `record` in `body`; a missing field has its default."""
    return {each.name: body[each.name] for each in fields(record) if each.name in body}


def _vectors_to_json(vectors: Vectors) -> JsonValue:
    data = np.ascontiguousarray(vectors, dtype="<f4")
    return {"shape": list(data.shape), "float32": base64.b64encode(data.tobytes()).decode()}


def _vectors_from_json(body: JsonValue) -> Vectors:
    data = np.frombuffer(base64.b64decode(body["float32"], validate=True), dtype="<f4")
    return data.astype(np.float32).reshape(body["shape"])
