"""The search page and its files, served from the package without a build step."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from html import escape
from importlib.resources import files

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

from retrieval.search.fusion_methods import DEFAULT_FUSION, FUSIONS
from service.routes.base import services_of

router = APIRouter(tags=["pages"], include_in_schema=False)

PAGES = ("/", "/side-by-side", "/collection")
KINDS = {".js": "text/javascript", ".css": "text/css", ".html": "text/html"}
SECURITY = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


async def page(request: Request) -> Response:
    """Return the frame of all views; its script chooses the view by the address."""
    services = services_of(request)
    settings = services.settings
    content = _page(services.query_log is not None, settings.answer.page, bool(settings.rerankers))
    return _file(request, "page.html", content)


for _path in PAGES:
    router.add_api_route(_path, page)


@router.get("/static/{name}")
async def static(name: str, request: Request) -> Response:
    """Return a script or a style sheet."""
    if name not in static_names():
        raise HTTPException(404, f"no file {name!r} here")
    return _file(request, name, (files("service") / "static" / name).read_bytes())


@cache
def static_names() -> frozenset[str]:
    """Return the names of the files below /static/."""
    return frozenset(file.name for file in (files("service") / "static").iterdir() if file.is_file())


def open_paths() -> frozenset[str]:
    """Return the paths that need no key: the page contains no documents."""
    return frozenset({*PAGES, *(f"/static/{name}" for name in static_names())})


@cache
def _page(keeps_log: bool, answers: bool, reranks: bool) -> bytes:
    """Return the page with the values of its weight, and what the service offers."""
    weight = next(each for each in FUSIONS[DEFAULT_FUSION].parameters if each.name == "weight")
    values = json.dumps(
        {"low": weight.low, "high": weight.high, "default": weight.default, "choices": list(weight.tuned)}
    )
    template = (files("service") / "templates" / "page.html").read_text(encoding="utf-8")
    offered = {"log": keeps_log, "answers": answers, "reranks": reranks}
    for name, value in {"weight": values, **{name: json.dumps(each) for name, each in offered.items()}}.items():
        template = template.replace(f"{{{{{name}}}}}", escape(value))
    return template.encode()


def _file(request: Request, name: str, content: bytes) -> Response:
    tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    headers = {**SECURITY, "ETag": tag, "Cache-Control": "no-cache"}
    if request.headers.get("If-None-Match", "").removeprefix("W/") == tag:
        return Response(status_code=304, headers=headers)
    kind = KINDS[name[name.rindex(".") :]]
    return Response(content, media_type=f"{kind}; charset=utf-8", headers=headers)
