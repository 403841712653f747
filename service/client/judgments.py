"""Judgments of documents, and the measures over them."""

from __future__ import annotations

from typing import Literal

from .answers.judgments import JudgmentAnswer, JudgmentsAnswer, MeasuresAnswer
from .calls import Call, path_of, reads
from .connection import AsyncConnection, Connection

JudgmentFile = Literal["queries.jsonl", "qrels.tsv", "qrels.txt"]  # BEIR's two files, and TREC's


def _judgments(name: str) -> Call[list[JudgmentAnswer]]:
    return Call("GET", path_of(name, "judgments"), lambda r: JudgmentsAnswer.model_validate_json(r.content).judgments)


def _judge(name: str, query: str, document_id: str, grade: int | None) -> Call[list[JudgmentAnswer]]:
    body = {"query": query, "document": document_id, "grade": grade}
    path = path_of(name, "judgments")
    return Call("PUT", path, lambda r: JudgmentsAnswer.model_validate_json(r.content).judgments, body)


def _judgment_file(name: str, file: JudgmentFile) -> Call[str]:
    return Call("GET", path_of(name, "judgments", file), lambda r: r.text)


def _measures(name: str) -> Call[MeasuresAnswer]:
    return Call("POST", path_of(name, "judgments/measures"), reads(MeasuresAnswer))


class Judgments(Connection):
    """The judgments of a synchronous client."""

    def judgments(self, collection: str) -> list[JudgmentAnswer]:
        """Return all judgments, in the order in which they were first made."""
        return self._send(_judgments(collection))

    def judge(self, collection: str, query: str, document_id: str, grade: int | None) -> list[JudgmentAnswer]:
        """Grade a document from 0 (irrelevant) to 3 (perfect); None removes the grade."""
        return self._send(_judge(collection, query, document_id, grade))

    def judgment_file(self, collection: str, file: JudgmentFile) -> str:
        """Return the judgments as a file for `attendex evaluate`, or for TREC's tools."""
        return self._send(_judgment_file(collection, file))

    def measures(self, collection: str) -> MeasuresAnswer:
        """Return the measures of each mode over the judgments."""
        return self._send(_measures(collection))


class AsyncJudgments(AsyncConnection):
    """The judgments of a client for asyncio."""

    async def judgments(self, collection: str) -> list[JudgmentAnswer]:
        """Return all judgments, in the order in which they were first made."""
        return await self._send(_judgments(collection))

    async def judge(self, collection: str, query: str, document_id: str, grade: int | None) -> list[JudgmentAnswer]:
        """Grade a document from 0 (irrelevant) to 3 (perfect); None removes the grade."""
        return await self._send(_judge(collection, query, document_id, grade))

    async def judgment_file(self, collection: str, file: JudgmentFile) -> str:
        """Return the judgments as a file for `attendex evaluate`, or for TREC's tools."""
        return await self._send(_judgment_file(collection, file))

    async def measures(self, collection: str) -> MeasuresAnswer:
        """Return the measures of each mode over the judgments."""
        return await self._send(_measures(collection))
