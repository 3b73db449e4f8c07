"""Changes of several tickets at once, and their undoing."""

from __future__ import annotations

from urllib.parse import urlsplit
from uuid import uuid4

from starlette.datastructures import FormData
from starlette.responses import Response

from qwendesk.desk.operators.audit import Details
from qwendesk.desk.tickets.records import TicketRecord
from qwendesk.desk.workspace.bulk import BulkResult
from qwendesk.errors import InputError
from qwendesk.server.pages.inbox.actions import change
from qwendesk.server.pages.inbox.inbox import LIST, Inbox, actor_of, form_text
from qwendesk.server.pages.page import DeskPage, PageRequest

_ACTIONS = {
    "take": {},
    "resolve": {},
    "reopen": {},
    "hand_back": {},
    "unassign": {},
    "assign": {"operator": ""},
    "snooze": {"preset": ""},
    "priority": {"priority": ""},
    "macro": {"macro": ""},
}
"""Actions, and the field of a single ticket's form that takes what stands behind the colon."""
_RENAMED = {"unassign": "assign", "priority": "update"}
_MAX_PROBLEMS = 5
_MAX_KEY_CHARS = 64


class BulkPages:
    """Changes several tickets.

    Args:
        inbox: the parts of the desk.
    """

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox

    def pages(self) -> list[DeskPage]:
        """Return the pages."""
        return [
            DeskPage("/desk/bulk", self._change, "operator", methods=("POST",)),
            DeskPage("/desk/bulk/undo", self._undo, "operator", methods=("POST",)),
        ]

    async def _change(self, request: PageRequest) -> Response:
        form = await request.form()
        name, _, value = form_text(form, "action").partition(":")
        tag = " ".join(form_text(form, "tag").split())[:60]
        if name not in _ACTIONS and not (tag and not name):
            raise InputError("Choose what to do with the selected tickets, or write a tag.")
        sent = [one for one in form.getlist("ticket") if isinstance(one, str)]
        numbers = [int(one) for one in sent if one.isascii() and one.isdigit() and len(one) < 10]
        zone = form_text(form, "zone")
        actor, key = actor_of(request), form_text(form, "key")[:_MAX_KEY_CHARS] or uuid4().hex

        async def apply(ticket: TicketRecord) -> TicketRecord:
            changed = ticket
            if name:
                fields = dict.fromkeys(_ACTIONS[name], value)
                of_one = FormData([*fields.items(), ("zone", zone), ("key", f"{key}:{ticket.number}")])
                changed = await change(self._inbox, _RENAMED.get(name, name), ticket, actor, of_one)
            if tag and tag.casefold() not in ticket.tags:
                changed = await self._inbox.tickets.update(ticket.id, actor, add_tags=[tag])
            return changed

        result = await self._inbox.bulk.apply(numbers, request.operator.id, apply)
        details: Details = {"tickets": result.done, "action": name or "tag"}
        await request.services.audit.add(request.actor, "tickets.bulk", f"tickets:{len(numbers)}", details)
        return _back(request, form, result, "changed")

    async def _undo(self, request: PageRequest) -> Response:
        form = await request.form()
        result = await self._inbox.bulk.undo(form_text(form, "undo"), actor_of(request))
        await request.services.audit.add(request.actor, "tickets.undo", f"tickets:{result.done}")
        return _back(request, form, result, "as before")


def _back(request: PageRequest, form: FormData, result: BulkResult, what: str) -> Response:
    problems = list(result.problems)
    if len(problems) > _MAX_PROBLEMS:
        problems = [*problems[:_MAX_PROBLEMS], f"and {len(problems) - _MAX_PROBLEMS} more"]
    said = f"{result.done} {'ticket' if result.done == 1 else 'tickets'} {what}."
    if problems:
        said += f" {len(result.problems)} not: {' '.join(problems)}"
    back = form_text(form, "back")
    parts = urlsplit(back)
    here = f"{LIST}?{parts.query}" if parts.path == LIST and not parts.netloc else LIST
    undo = f"{'&' if '?' in here else '?'}undo={result.undo_id}" if result.undo_id else ""
    return request.redirect(f"{here}{undo}", said=said)
