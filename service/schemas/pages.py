"""What the search page asks for beyond searching: reasons, attention, judgments, an overview and a map."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from service.schemas.base import Answer, RequestBody, WholeNumber, examples
from service.schemas.search import FacetAnswer, MetadataValue, ModeName, QueryText


class ExplainBody(RequestBody):
    """Why does this document have its score?"""

    query: QueryText
    id: str = Field(min_length=1, description="Any document of the collection, found or not.")
    mode: ModeName | None = Field(default=None, description="Whose score: the same as in a search.")
    weight: float | None = Field(default=None, ge=0, le=1, description="Accepted as in a search; changes no part.")
    start: WholeNumber | None = Field(
        default=None, ge=0, le=1_000_000_000, description="Where the passage begins; by default the best passage."
    )

    model_config = examples({"query": "does aspirin lower the risk of stroke", "id": "pubmed-42"})


class AttentionBody(RequestBody):
    """Where do the words of a text look?"""

    query: QueryText
    id: str = Field(min_length=1, description="A document; its best passage for the query is shown.")
    side: Literal["passage", "query"] = Field(default="passage", description="Which of the two texts.")
    layer: WholeNumber = Field(default=0, ge=0, le=1_000, description="Layer of the encoder, from 0.")

    model_config = examples({"query": "does aspirin lower the risk of stroke", "id": "pubmed-42", "layer": 5})


class AttentionWordAnswer(Answer):
    """A word, and where it stands."""

    text: str
    place: str
    start: int
    end: int


class AttentionAnswer(Answer):
    """One layer's weights: (heads, words, words), each row summing to 1."""

    words: list[AttentionWordAnswer]
    layers: int
    heads: int
    layer: int
    weights: list[list[list[float]]]


class JudgmentBody(RequestBody):
    """How well a document answers a query: 0 not at all, 3 just what was asked; null takes it back."""

    query: QueryText
    document: str = Field(min_length=1)
    grade: Annotated[WholeNumber, Field(ge=0, le=3)] | None

    model_config = examples({"query": "aspirin stroke", "document": "pubmed-42", "grade": 3})


class JudgmentAnswer(Answer):
    """One judgment."""

    query: str
    document: str
    grade: int
    judged: str


class JudgmentsAnswer(Answer):
    """All judgments, in the order of the first time."""

    judgments: list[JudgmentAnswer]


class ModeMeasuresAnswer(Answer):
    """Measures of one mode."""

    mode: ModeName
    measures: dict[str, float]


class MeasuresAnswer(Answer):
    """What the judgments so far say of each mode; `queries` is the number averaged over."""

    queries: int
    judgments: int
    modes: list[ModeMeasuresAnswer]


class FieldAnswer(Answer):
    """A metadata field over the live documents."""

    name: str
    type: str
    documents: int = Field(description="Documents that have it.")
    different: int = Field(description="Different values.")
    values: list[FacetAnswer] = Field(description="The most frequent values, where they can be counted.")
    least: MetadataValue | None = None
    most: MetadataValue | None = None


class GenerationAnswer(Answer):
    """A kept generation."""

    generation: int
    current: bool
    committed: datetime | None
    documents: int
    passages: int
    size_bytes: int


class OverviewAnswer(Answer):
    """What a collection holds."""

    fields: list[FieldAnswer]
    generations: list[GenerationAnswer]


class ProjectionAnswer(Answer):
    """A sample of the passages in two dimensions; lists run in parallel."""

    generation: int
    ids: list[str]
    titles: list[str]
    x: list[float]
    y: list[float]
    explained: list[float] = Field(description="Share of the vectors' variance along x and along y.")
    fields: dict[str, list[MetadataValue | None]]
