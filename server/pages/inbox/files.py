"""The files of a ticket's messages: what a browser shows is of a few types, everything else is saved."""

from __future__ import annotations

from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.responses import Response

from qwendesk.server.pages.inbox.inbox import Inbox
from qwendesk.server.pages.page import DeskPage, PageRequest

SHOWN_TYPES = frozenset(
    {
        "image/png",
        "image/jpeg",
        "image/gif",
        "image/webp",
        "audio/mpeg",
        "audio/ogg",
        "audio/wav",
        "audio/webm",
        "audio/mp4",
        "audio/flac",
    }
)
"""Types that a browser shows without running anything; SVG and HTML are not among them."""
_POLICY = "default-src 'none'; sandbox"


class FilePages:
    """Serves the files of messages to operators.

    Args:
        inbox: the parts of the desk.
    """

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox

    def pages(self) -> list[DeskPage]:
        """Return the pages."""
        return [DeskPage("/desk/tickets/{number:int}/files/{id}", self._file, "viewer")]

    async def _file(self, request: PageRequest) -> Response:
        ticket = await self._inbox.ticket(request)
        found = await self._inbox.details.file(ticket.id, request.path_params["id"])
        if found is None:
            raise HTTPException(404, "There is no such file at this ticket.")
        info, content = found
        is_shown = info.mime in SHOWN_TYPES and not request.query_params.get("save")
        media_type = info.mime if is_shown else "application/octet-stream"
        disposition = "inline" if is_shown else "attachment"
        headers = {
            "Content-Disposition": f"{disposition}; filename*=UTF-8''{quote(info.name or 'file', safe='')}",
            "Content-Security-Policy": _POLICY,
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "private, no-store",
        }
        await request.services.audit.add_read(request.actor, "file.read", f"ticket:{ticket.number}")
        return Response(content, media_type=media_type, headers=headers)
