"""The page where macros are written and deleted."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from starlette.responses import Response

from qwendesk.desk.tickets.records import PRIORITIES
from qwendesk.desk.workspace.macros import MacroSteps
from qwendesk.errors import InputError
from qwendesk.server.pages.inbox.inbox import MAX_TEXT_BODY_BYTES, Inbox, form_text, presenter, words
from qwendesk.server.pages.page import DeskPage, PageRequest

MACROS = "/desk/macros"


class MacroPages:
    """The macros of the desk.

    Args:
        inbox: the parts of the desk.
    """

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox

    def pages(self) -> list[DeskPage]:
        """Return the pages."""
        return [
            DeskPage(MACROS, self._show, "viewer"),
            DeskPage(f"{MACROS}/save", self._save, "operator", methods=("POST",), max_body=MAX_TEXT_BODY_BYTES),
            DeskPage(f"{MACROS}/{{id}}/delete", self._delete, "operator", methods=("POST",)),
        ]

    async def _show(self, request: PageRequest) -> Response:
        macros = await self._inbox.macros.all()
        return request.render("inbox/macros.jinja", macros=macros, priorities=PRIORITIES, show=presenter(request))

    async def _save(self, request: PageRequest) -> Response:
        form = await request.form()
        values: dict[str, Any] = {
            name: form_text(form, name) or None for name in ("priority", "team", "assign", "end", "snooze")
        }
        for name in ("add_tags", "remove_tags"):
            values[name] = [tag.casefold() for tag in words(form_text(form, name))]
        try:
            steps = MacroSteps(**values, sends=bool(form.get("sends")))
        except ValidationError as error:
            raise InputError(f"The macro's field {error.errors()[0]['loc'][0]!r} has no value of its list.") from error
        text = form_text(form, "text").replace("\r\n", "\n")
        await self._inbox.macros.save(request.operator.id, form_text(form, "name"), steps, text)
        await request.services.audit.add(request.actor, "macro.save", "macro")
        return request.redirect(MACROS, said="The macro is saved.")

    async def _delete(self, request: PageRequest) -> Response:
        await self._inbox.macros.delete(request.path_params["id"])
        await request.services.audit.add(request.actor, "macro.delete", "macro")
        return request.redirect(MACROS, said="The macro is deleted.")
