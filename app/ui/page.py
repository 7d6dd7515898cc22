"""The page at `/`: a chat without a build step. A fixed set of files, each read once; nothing else can be asked for.

The policy (https://www.w3.org/TR/CSP3/, https://www.w3.org/TR/trusted-types/) allows our own files alone, no inline
code, no frames around us, and no text as markup: what a model writes stays text even where the page has a fault.
"""

import hashlib
from functools import cache
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Header, Response
from msgspec import Struct
from starlette.exceptions import HTTPException

STATIC = Path(__file__).parent / "static"

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

POLICY = "; ".join(
    (
        "default-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "object-src 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)

HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

router = APIRouter(include_in_schema=False)

IfNoneMatch = Annotated[str, Header(alias="If-None-Match")]


class Asset(Struct, frozen=True):
    """A file of the page, as it is sent."""

    body: bytes
    media_type: str
    etag: str


@router.get("/")
def page(known: IfNoneMatch = "") -> Response:
    """Gives the page."""
    return _answer("index.html", known)


@router.get("/static/{name}")
def asset(name: str, known: IfNoneMatch = "") -> Response:
    """Gives one of the page's files. Raises HTTPException(404) for any other name."""
    return _answer(name, known)


@cache
def assets() -> dict[str, Asset]:
    """Gives the page's files by name."""
    return {path.name: _read(path) for path in STATIC.iterdir() if path.suffix in TYPES}


def _read(path: Path) -> Asset:
    body = path.read_bytes()
    return Asset(body, TYPES[path.suffix], f'"{hashlib.sha256(body).hexdigest()[:32]}"')


def _answer(name: str, known: str) -> Response:
    found = assets().get(name)
    if found is None:
        raise HTTPException(404)
    headers = {**HEADERS, "ETag": found.etag}
    if found.etag in known:
        return Response(status_code=304, headers=headers)
    return Response(found.body, media_type=found.media_type, headers=headers)
