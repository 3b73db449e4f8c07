"""The first page of an operator."""

from __future__ import annotations

from starlette.responses import Response

from qwendesk.server.pages.desk_pages import HOME
from qwendesk.server.pages.page import Page, PageRequest

PRESENCE = "/desk/presence"


class HomePages:
    """The page at ``/desk``: who is at the desk."""

    def pages(self) -> list[Page]:
        """Return the page, and the address by which an open page says that its operator is there."""
        return [
            Page(HOME, self._show, "viewer", nav="Desk"),
            Page(PRESENCE, self._note_presence, "viewer", methods=("POST",), is_background=True),
        ]

    async def _note_presence(self, request: PageRequest) -> Response:
        return Response(status_code=204)

    async def _show(self, request: PageRequest) -> Response:
        accounts = await request.services.accounts.all()
        online = [account for account in accounts if account.is_online()]
        return request.render("home.jinja", online=online)
