"""The first page of an operator."""

from __future__ import annotations

from starlette.responses import JSONResponse, RedirectResponse, Response

from qwendesk.server.pages.desk_pages import HOME
from qwendesk.server.pages.page import DeskPage, PageRequest

PRESENCE = "/desk/presence"


class HomePages:
    """The page at ``/desk``: who is at the desk.

    Args:
        inbox: address of the page that is shown instead; empty: none.
    """

    def __init__(self, inbox: str = "") -> None:
        self._inbox = inbox

    def pages(self) -> list[DeskPage]:
        """Return the page, and what open pages ask for: presence, and the token of their forms."""
        return [
            DeskPage(HOME, self._show, "viewer", nav="" if self._inbox else "Desk"),
            DeskPage(PRESENCE, self._note_presence, "viewer", methods=("POST",), is_background=True),
            DeskPage("/desk/token", self._token, "viewer", is_background=True),
        ]

    async def _note_presence(self, request: PageRequest) -> Response:
        # at once, so that a page without a stream counts as soon as the one before it is closed
        has_stream = "stream" in request.query_params
        await request.services.accounts.touch(request.operator.id, by_open_page=not has_stream)
        return Response(status_code=204)

    async def _token(self, request: PageRequest) -> Response:
        """Return the token of the session's forms to a page that was loaded in an earlier session."""
        return JSONResponse({"token": request.csrf_token}, headers={"Cache-Control": "no-store"})

    async def _show(self, request: PageRequest) -> Response:
        if self._inbox:
            return RedirectResponse(self._inbox, 303)
        accounts = await request.services.accounts.all()
        online = [account for account in accounts if account.is_online()]
        return request.render("home.jinja", online=online)
