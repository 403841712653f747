"""The search page and its parts, as the package has them: nothing is built, nothing comes from elsewhere."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

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
    """The frame; which view it shows, its address says."""
    return _file(request, files("service") / "templates" / "page.html")


for _path in PAGES:
    router.add_api_route(_path, page)


@router.get("/static/{name}")
async def static(name: str, request: Request) -> Response:
    """A script or a style."""
    if name not in static_names():
        raise HTTPException(404, f"there is no {name!r} here")
    return _file(request, files("service") / "static" / name)


@cache
def static_names() -> frozenset[str]:
    """What may be asked for below /static/."""
    return frozenset(each.name for each in (files("service") / "static").iterdir() if each.is_file())


def open_paths() -> frozenset[str]:
    """What is shown without a key: it holds no document."""
    return frozenset({*PAGES, *(f"/static/{name}" for name in static_names())})


def _file(request: Request, path: Traversable) -> Response:
    content = path.read_bytes()
    tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    headers = {**SECURITY, "ETag": tag, "Cache-Control": "no-cache"}
    if request.headers.get("If-None-Match") == tag:
        return Response(status_code=304, headers=headers)
    kind = KINDS[path.name[path.name.rindex(".") :]]
    return Response(content, media_type=f"{kind}; charset=utf-8", headers=headers)
