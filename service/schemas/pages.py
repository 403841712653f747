"""Wire types of the search page: explanations, judgments, overview, map."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from service.client.answers.base import Answer, MetadataValue
from service.client.options import ModeName, PrefixName, SyntaxName
from service.schemas.base import RequestBody, Text, WholeNumber, examples, items
from service.schemas.search import PREFIX, SYNONYMS, SYNTAX, TYPOS, QueryText, RerankOptionsBody


class ExplainBody(RequestBody):
    """A request to explain the scores of a document."""

    query: QueryText
    id: Text = Field(min_length=1, description="Any document of the collection, also one that the search did not find.")
    mode: ModeName | None = Field(default=None, description="Mode of the scores; the default is that of a search.")
    syntax: SyntaxName = Field(default="plain", description=SYNTAX)
    typos: bool = TYPOS
    synonyms: bool = SYNONYMS
    prefix: PrefixName = PREFIX
    weight: float | None = Field(
        default=None, ge=0, le=1, description="Weight of the cosine in the score before reranking; else ignored."
    )
    start: WholeNumber | None = Field(
        default=None, ge=0, le=1_000_000_000, description="Start of the passage; default: the best passage."
    )
    rerank: RerankOptionsBody | None = Field(
        default=None,
        description="Explain the reranked score of one of the first `depth` documents, for its best passage.",
    )

    @model_validator(mode="after")
    def _has_one_passage(self) -> Self:
        if self.rerank is not None and self.start is not None:
            raise ValueError("start does not go with rerank, which reads the best passage; leave one of both out")
        return self

    model_config = examples({"query": "does aspirin lower the risk of stroke", "id": "pubmed-42"})


class AttentionBody(RequestBody):
    """A request for the attention between the words of a text."""

    query: QueryText
    id: Text = Field(min_length=1, description="A document; the answer shows its best passage for the query.")
    side: Literal["passage", "query"] = Field(default="passage", description="The text to show: passage or query.")
    layer: WholeNumber = Field(default=0, ge=0, le=1_000, description="Layer of the encoder, from 0.")
    heads: Annotated[list[Annotated[WholeNumber, Field(ge=0, le=1_000)]], items(1_000)] | None = Field(
        default=None, min_length=1, description="Heads of the layer to return, from 0; default: all."
    )

    model_config = examples({"query": "does aspirin lower the risk of stroke", "id": "pubmed-42", "layer": 5})


class AttentionWordAnswer(Answer):
    """A word and its position."""

    text: str
    place: str
    start: int
    end: int


class AttentionAnswer(Answer):
    """The weights of one layer: (heads, words, words), in thousandths.

    Each row sums to 1, to rounding.
    """

    words: list[AttentionWordAnswer]
    layers: int
    heads: int
    layer: int
    weights: list[list[list[float]]] = Field(description="Of the heads that the request names, in that order.")


class JudgmentBody(RequestBody):
    """The grade of a document, 0 (irrelevant) to 3 (perfect); null removes it."""

    query: QueryText
    document: Text = Field(min_length=1)
    grade: Annotated[WholeNumber, Field(ge=0, le=3)] | None

    model_config = examples({"query": "aspirin stroke", "document": "pubmed-42", "grade": 3})


class ProjectionAnswer(Answer):
    """A sample of the passages in two dimensions; the lists are parallel."""

    generation: int
    ids: list[str]
    titles: list[str]
    x: list[float]
    y: list[float]
    explained: list[float] = Field(description="Share of the vectors' variance along x and along y.")
    fields: dict[str, list[MetadataValue | None]]
