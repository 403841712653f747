"""The tools that agents call by the Model Context Protocol (MCP).

    search, fetch, list_collections, explain       in this order
    add_documents, delete_documents                where the service lets agents write

Each tool calls the service by its client, so that keys, roles and limits are those of every other request. Answers are
bounded in tokens; each has its structure and the same as JSON text.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from pydantic import BaseModel, ValidationError

from retrieval.errors import MissingExtra
from retrieval.util.visible_text import visible
from service.adapters.exact_metadata import RESERVED
from service.client import AsyncClient, NotFoundError, ServiceError
from service.client.answers.collections import CollectionAnswer
from service.client.answers.explanations import ExplanationAnswer
from service.client.answers.overview import FieldAnswer
from service.client.answers.search import HitAnswer
from service.schemas import mcp as wire

try:
    import mcp_types
    from mcp.server.lowlevel import Server
    from mcp.shared.exceptions import MCPError
except ImportError as error:
    raise MissingExtra("mcp", "the tools for agents") from error

MAX_DESCRIBED = 10  # collections, fields of one and values of a field that descriptions show
MAX_VALUE_CHARACTERS = 40
MAX_FIELDS, MAX_FIELD_CHARACTERS = 20, 500  # of the metadata of a hit, as JSON; `fetch` and `max_tokens` bound texts
MAX_OVERVIEWS = 8  # requests for the fields of collections at a time
MAX_PROBLEMS = 10  # of the arguments of a call
MAX_PAIRS = 20  # of words, in an explanation
FILTERS = (
    'A filter compares fields, such as `year >= 2020 AND kind = "note"`, with = != < <= > >=, '
    "`IN (…)`, AND, OR, NOT and brackets."
)


@dataclass(frozen=True, slots=True)
class AgentTool:
    """A tool: its types, and the function that answers a call."""

    name: str
    title: str
    description: str
    arguments: type[BaseModel]
    answer: type[BaseModel]
    call: Callable[[AsyncClient, Any], Awaitable[BaseModel]]
    writes: bool = False
    describes_fields: bool = False

    def described(self, collections: str) -> mcp_types.Tool:
        """Return the tool as agents see it; `collections` tells what can be searched."""
        parts = [self.description, *([collections, FILTERS] if self.describes_fields else [])]
        return mcp_types.Tool(
            name=self.name,
            title=self.title,
            description="\n\n".join(part for part in parts if part),
            input_schema=self.arguments.model_json_schema(),
            output_schema=self.answer.model_json_schema(mode="serialization"),
            annotations=mcp_types.ToolAnnotations(
                title=self.title,
                read_only_hint=not self.writes,
                destructive_hint=self.writes,
                idempotent_hint=True,
                open_world_hint=False,
            ),
        )


async def list_tools(client: AsyncClient, *, may_write: bool) -> list[mcp_types.Tool]:
    """Return the tools, with the collections that the caller may search."""
    described = await _describe(client)
    return [tool.described(described) for tool in TOOLS if may_write or not tool.writes]


async def call_tool(
    client: AsyncClient, name: str, arguments: dict[str, Any] | None, *, may_write: bool
) -> mcp_types.CallToolResult:
    """Call a tool.  A failure is a result that the agent can read.

    Raises MCPError for a tool that is not there.
    """
    tool = next((each for each in TOOLS if each.name == name and (may_write or not each.writes)), None)
    if tool is None:
        raise MCPError(mcp_types.INVALID_PARAMS, f"there is no tool {name!r}")
    try:
        answer = await tool.call(client, tool.arguments.model_validate(arguments or {}))
    except ValidationError as error:
        return _failed(_said(error))
    except ServiceError as error:
        return _failed(str(error))
    text = mcp_types.TextContent(type="text", text=answer.model_dump_json())
    return mcp_types.CallToolResult(content=[text], structured_content=answer.model_dump(mode="json"))


def _failed(message: str) -> mcp_types.CallToolResult:
    return mcp_types.CallToolResult(content=[mcp_types.TextContent(type="text", text=message)], is_error=True)


def _said(error: ValidationError) -> str:
    """Return the problems of arguments, each with the name of its argument."""
    problems = error.errors(include_url=False, include_input=False)[:MAX_PROBLEMS]
    return "; ".join(f"{'.'.join(map(str, each['loc'])) or 'arguments'}: {each['msg']}" for each in problems)


async def _search(client: AsyncClient, wanted: wire.SearchArguments) -> wire.FoundDocuments:
    name = await _collection(client, wanted.collection)
    found = await client.search(
        name, wanted.query, k=wanted.k, offset=wanted.offset, filter=wanted.filter, max_tokens=wanted.max_tokens
    )
    offset = wanted.offset + len(found.hits)
    rest = found.next_offset if found.truncated else offset if len(found.hits) == wanted.k else None
    return wire.FoundDocuments(
        collection=name,
        hits=[_hit(hit) for hit in found.hits],
        total=found.total.value,
        total_is_exact=found.total.relation == "exact",
        nothing_close=found.confidence == "low",
        next_offset=rest,
    )


def _hit(hit: HitAnswer) -> wire.FoundDocument:
    passages = [
        wire.FoundPassage(text=each.text, start=each.start, end=each.end, location=each.location)
        for each in hit.passages
    ]
    return wire.FoundDocument(
        id=hit.id, title=hit.title, score=hit.score, passages=passages, metadata=_small(hit.metadata)
    )


def _small(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return the first fields that are short, so that metadata fill no answer."""
    shown = ((name, value) for name, value in metadata.items() if name not in RESERVED)
    return dict(islice(((name, value) for name, value in shown if _is_short(value)), MAX_FIELDS))


def _is_short(value: Any) -> bool:
    return len(json.dumps(value)) <= MAX_FIELD_CHARACTERS


async def _fetch(client: AsyncClient, wanted: wire.FetchArguments) -> wire.FetchedText:
    name = await _collection(client, wanted.collection)
    part = await client.text(name, wanted.id, wanted.start, max_tokens=wanted.max_tokens)
    return wire.FetchedText(collection=name, **part.model_dump())


async def _list_collections(client: AsyncClient, wanted: wire.NoArguments) -> wire.ListedCollections:
    del wanted
    listed = [
        wire.ListedCollection(
            name=each.name,
            documents=each.documents,
            passages=each.passages,
            fields=[wire.ListedField(name=field.name, type=field.type, values=_values(field)) for field in fields],
        )
        for each, fields in await _with_fields(client, (await client.collections())[: wire.MAX_COLLECTIONS])
    ]
    return wire.ListedCollections(collections=listed)


async def _explain(client: AsyncClient, wanted: wire.ExplainArguments) -> wire.ExplainedDocument:
    name = await _collection(client, wanted.collection)
    found = await client.explain(name, wanted.query, wanted.id)
    return wire.ExplainedDocument(
        collection=name,
        id=wanted.id,
        start=found.start,
        end=found.end,
        dense=None if found.dense is None else found.dense.score,
        lexical=None if found.lexical is None else found.lexical.score,
        pairs=_pairs(found),
        terms=[wire.ExplainedTerm(term=each.term, score=each.score) for each in _terms(found)],
    )


def _pairs(found: ExplanationAnswer) -> list[wire.ExplainedPair]:
    """Return the pairs of words with the largest shares of the cosine."""
    if found.dense is None:
        return []
    query, passage = found.dense.query, found.dense.passage
    pairs = [
        wire.ExplainedPair(query=query[row].word, passage=passage[column].word, score=score)
        for row, scores in enumerate(found.dense.pairs)
        for column, score in enumerate(scores)
    ]
    return sorted(pairs, key=lambda pair: -abs(pair.score))[:MAX_PAIRS]


def _terms(found: ExplanationAnswer) -> Sequence[Any]:
    return [] if found.lexical is None else [each for each in found.lexical.terms if each.score][:MAX_PAIRS]


async def _add_documents(client: AsyncClient, wanted: wire.AddArguments) -> wire.ChangedCollection:
    name = await _collection(client, wanted.collection)
    job = await client.add(name, [each.model_dump(mode="json") for each in wanted.documents])
    return wire.ChangedCollection(collection=name, changed=job.added, generation=job.generation)


async def _delete_documents(client: AsyncClient, wanted: wire.DeleteArguments) -> wire.ChangedCollection:
    name = await _collection(client, wanted.collection)
    job = await client.delete(name, wanted.ids)
    return wire.ChangedCollection(collection=name, changed=job.deleted, generation=job.generation)


async def _collection(client: AsyncClient, name: str) -> str:
    """Return the collection asked for, or the only one."""
    if name:
        return name
    names = [each.name for each in await client.collections()]
    if len(names) == 1:
        return names[0]
    if not names:
        raise ServiceError(0, "there is no collection to search")
    raise ServiceError(0, f"give `collection`: one of {', '.join(names[: wire.MAX_COLLECTIONS])}")


async def _describe(client: AsyncClient) -> str:
    """Return a list of the collections, with their fields and frequent values."""
    collections = await client.collections()
    lines = [_line(*each) for each in await _with_fields(client, collections[:MAX_DESCRIBED])]
    if len(collections) > MAX_DESCRIBED:
        lines.append(f"- {len(collections) - MAX_DESCRIBED} more; see list_collections")
    return "\n".join(["Collections:", *lines]) if lines else ""


def _line(collection: CollectionAnswer, fields: Sequence[FieldAnswer]) -> str:
    described = ", ".join(map(_field, fields)) or "none"
    return f"- {collection.name}: {collection.documents:,} documents; fields: {described}"


async def _with_fields(
    client: AsyncClient, collections: Sequence[CollectionAnswer]
) -> list[tuple[CollectionAnswer, list[FieldAnswer]]]:
    """Return each collection with its first fields, without those of adapters.

    A collection that was dropped meanwhile is left out.
    """
    slots = asyncio.Semaphore(MAX_OVERVIEWS)

    async def fields_of(name: str) -> list[FieldAnswer] | None:
        async with slots:
            try:
                fields = (await client.overview(name)).fields
            except NotFoundError:
                return None
        return [each for each in fields if each.name not in RESERVED][:MAX_DESCRIBED]

    tasks = [asyncio.create_task(fields_of(each.name)) for each in collections]
    try:
        found = await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
    return [(each, fields) for each, fields in zip(collections, found, strict=True) if fields is not None]


def _field(field: FieldAnswer) -> str:
    values = ", ".join(_values(field))
    return f"{visible(field.name)} ({field.type}{': ' if values else ''}{values})"


def _values(field: FieldAnswer) -> list[str]:
    """Return frequent values of a field, or its extremes."""
    if field.values:
        return [_value(each.value) for each in field.values[:MAX_DESCRIBED]]
    return [] if field.least is None else [f"{_value(field.least)} to {_value(field.most)}"]


def _value(value: object) -> str:
    written = format(value, ".15g") if isinstance(value, float) else str(value)
    return visible(written)[:MAX_VALUE_CHARACTERS]


TOOLS = (
    AgentTool(
        "search",
        "Search documents",
        "Find the documents of a collection that answer a question or match words, best first, each with its best "
        "passages. Write the query as a question or as key words in any language of the documents.",
        wire.SearchArguments,
        wire.FoundDocuments,
        _search,
        describes_fields=True,
    ),
    AgentTool(
        "fetch",
        "Read a document",
        "Read the text of a document that a search found, from `start` on. Go on at `next_start`.",
        wire.FetchArguments,
        wire.FetchedText,
        _fetch,
    ),
    AgentTool(
        "list_collections",
        "List collections",
        "List the collections with their sizes, fields and frequent values.",
        wire.NoArguments,
        wire.ListedCollections,
        _list_collections,
    ),
    AgentTool(
        "explain",
        "Explain a match",
        "Tell why a document matches a query: the words that share meaning, and the terms that both have.",
        wire.ExplainArguments,
        wire.ExplainedDocument,
        _explain,
    ),
    AgentTool(
        "add_documents",
        "Add documents",
        "Add documents to a collection, or replace those with the same ids.",
        wire.AddArguments,
        wire.ChangedCollection,
        _add_documents,
        writes=True,
    ),
    AgentTool(
        "delete_documents",
        "Delete documents",
        "Delete documents of a collection by their ids.",
        wire.DeleteArguments,
        wire.ChangedCollection,
        _delete_documents,
        writes=True,
    ),
)


def agent_server(client: AsyncClient, version: str, *, may_write: bool) -> Server[Any]:
    """Return an MCP server of these tools for one caller."""

    async def on_list_tools(context: object, page: object) -> mcp_types.ListToolsResult:
        del context, page  # all tools fit on one page
        return mcp_types.ListToolsResult(tools=await list_tools(client, may_write=may_write))

    async def on_call_tool(context: object, call: mcp_types.CallToolRequestParams) -> mcp_types.CallToolResult:
        del context
        return await call_tool(client, call.name, call.arguments, may_write=may_write)

    schemas = {tool.name: tool.arguments.model_json_schema() for tool in TOOLS if may_write or not tool.writes}
    return Server(
        "attendex",
        version=version,
        title="Attendex",
        instructions="Search collections of documents; read what a search found with `fetch`.",
        get_tool_input_schema=schemas.get,
        on_list_tools=on_list_tools,
        on_call_tool=on_call_tool,
    )
