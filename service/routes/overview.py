"""What a collection holds, for its page: fields, generations, a map of its vectors."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from indexer.maintenance.rollback import log_entries
from retrieval.search.overview import countable, overview, values_of
from retrieval.search.projection import project
from service.config.api_keys import Role
from service.dependencies import Services, admitted, answer
from service.routes.search import Name
from service.schemas.pages import OverviewAnswer, ProjectionAnswer

router = APIRouter(prefix="/v1/collections/{name}", tags=["collections"])

COLOURS = 4  # fields that the map can be coloured by


@router.get("/overview", response_model=OverviewAnswer, summary="Fields and generations")
async def collection_overview(name: Name, request: Request) -> Response:
    """Each field with its most frequent values or its extremes; kept generations, newest first."""
    known = admitted(request, Role.READ, name)
    return answer(await known.offload.run(_overview, known, name))


@router.get("/projection", response_model=ProjectionAnswer, summary="A map of the vectors")
async def projection(name: Name, request: Request) -> Response:
    """A sample of the passages, placed by the first two principal components of their vectors."""
    known = admitted(request, Role.READ, name)
    return answer(await known.offload.run(_projection, known, name))


def _overview(known: Services, name: str) -> dict[str, object]:
    with known.collections.lease(name) as searcher:
        fields = overview(searcher.reader)
    generations = [
        {
            "generation": each.generation,
            "current": each.current,
            "committed": each.created,
            "documents": each.documents,
            "passages": each.passages,
            "size_bytes": each.size_bytes,
        }
        for each in log_entries(known.collections.path(name))
    ]
    return {"fields": fields, "generations": generations}


def _projection(known: Services, name: str) -> dict[str, object]:
    with known.collections.lease(name) as searcher:
        reader = searcher.reader
        found = project(reader)
        documents = reader.document_of[found.rows]
        shown = reader.documents(documents)
        fields = {field: values_of(reader, field, documents) for field in countable(reader)[:COLOURS]}
    return {
        "generation": reader.manifest.generation,
        "ids": [each.id for each in shown],
        "titles": [each.title or each.id for each in shown],
        "x": found.x.tolist(),
        "y": found.y.tolist(),
        "explained": found.explained,
        "fields": fields,
    }
