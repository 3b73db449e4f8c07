"""Static files of the operators' pages, under addresses that change with their content."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

ADDRESS = "/desk/static/"
_FOLDER = Path(__file__).parent / "static"
_KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".txt": "text/plain"}
_FOREVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class Asset:
    """A static file."""

    content: bytes
    media_type: str
    version: str


@cache
def assets() -> dict[str, Asset]:
    """Return the static files by their names."""
    files = [path for path in sorted(_FOLDER.rglob("*")) if path.suffix in _KINDS and path.is_file()]
    return {path.relative_to(_FOLDER).as_posix(): _asset(path) for path in files}


def _asset(path: Path) -> Asset:
    content = path.read_bytes()
    return Asset(content, _KINDS[path.suffix], hashlib.sha256(content).hexdigest()[:12])


def static(name: str) -> str:
    """Return the address of a static file."""
    return f"{ADDRESS}{name}?v={assets()[name].version}"


async def serve(request: Request) -> Response:
    """Return a static file."""
    asset = assets().get(request.path_params["name"])
    if asset is None:
        return PlainTextResponse("There is no such file.\n", 404)
    is_versioned = request.query_params.get("v") == asset.version
    headers = {
        "Cache-Control": _FOREVER if is_versioned else "no-cache",
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Content-Security-Policy": "default-src 'none'",
    }
    return Response(asset.content, media_type=asset.media_type, headers=headers)
