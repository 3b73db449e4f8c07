"""What operators do with a ticket: take over, hand back, assign, resolve, snooze, label, merge, split, macros."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.responses import Response

from qwendesk.desk.interpreter.translator import parse_language
from qwendesk.desk.operators.audit import AuditActor
from qwendesk.desk.tickets.records import Actor, TicketConflict, TicketGone, TicketRecord
from qwendesk.desk.workspace.snoozing import SNOOZE_PRESETS, until, written_time
from qwendesk.errors import InputError, no_such
from qwendesk.server.pages.inbox.inbox import (
    Inbox,
    actor_of,
    audit,
    form_text,
    gone,
    number_of,
    ticket_path,
    words,
)
from qwendesk.server.pages.inbox.ticket import MAX_FIELD_CHARS, TicketPages
from qwendesk.server.pages.page import DeskPage, PageRequest

_MAX_TEXT_CHARS = 500
_MAX_TAGS = 20
_SAID = {
    "take": "You hold this ticket now; the bot is silent.",
    "hand_back": "The bot answers again.",
    "assign": "Assigned.",
    "resolve": "Resolved.",
    "reopen": "Open again.",
    "snooze": "Set aside.",
    "wake": "Awake again.",
    "merge": "Merged.",
    "split": "This is the new ticket.",
    "macro": "Done.",
    "decide": "Decided: the bot goes on, and the customer gets the answer.",
}
_AUDITED = ("decide",)
"""Actions that add their entry to the audit log themselves."""
_DECISIONS = ("approve", "decline")
_ARGUMENT = "arg:"
"""Beginning of the names of fields with the arguments of a call."""


class ActionPages:
    """Changes of a ticket, as forms and for htmx.

    Args:
        inbox: the parts of the desk.
        ticket_pages: render the ticket afterwards.
    """

    def __init__(self, inbox: Inbox, ticket_pages: TicketPages) -> None:
        self._inbox = inbox
        self._ticket_pages = ticket_pages

    def pages(self) -> list[DeskPage]:
        """Return the pages."""
        return [DeskPage("/desk/tickets/{number:int}/do/{action}", self._do, "operator", methods=("POST",))]

    async def _do(self, request: PageRequest) -> Response:
        action, form = request.path_params["action"], await request.form()
        ticket = await self._inbox.ticket(request)
        try:
            changed = await change(self._inbox, action, ticket, actor_of(request), form, request.actor)
        except TicketConflict as conflict:
            return self._conflict(request, ticket, action, conflict)
        except TicketGone:
            raise HTTPException(404, gone(ticket.number)) from None
        if action not in _AUDITED:
            await audit(request, action, ticket, **({"to": changed.number} if changed.id != ticket.id else {}))
        said = _SAID.get(action, "")
        if request.is_htmx and changed.id == ticket.id and action != "macro":
            return await self._ticket_pages.live(request, changed, said)
        return request.redirect(ticket_path(changed), said=said)

    def _conflict(self, request: PageRequest, ticket: TicketRecord, action: str, conflict: TicketConflict) -> Response:
        """Say who was faster, and offer to take the ticket nevertheless."""
        values = {"ticket": ticket, "text": str(conflict), "may_force": action == "take" and bool(conflict.holder)}
        if not request.is_htmx:
            return request.render("inbox/conflict_page.jinja", 409, **values)
        response = request.render("inbox/conflict.jinja", 409, **values)
        response.headers.update({"HX-Retarget": "#alerts", "HX-Reswap": "innerHTML"})
        return response


@dataclass(frozen=True, slots=True)
class _Doing:
    """An action on a ticket, with the values of its form."""

    inbox: Inbox
    ticket: TicketRecord
    actor: Actor
    form: FormData
    by: AuditActor | None = None

    def text(self, name: str) -> str:
        return form_text(self.form, name)

    async def take(self) -> TicketRecord:
        return await self.inbox.tickets.take_over(self.ticket.id, self.actor, force=bool(self.form.get("force")))

    async def hand_back(self) -> TicketRecord:
        return await self.inbox.tickets.hand_back(self.ticket.id, self.actor)

    async def assign(self) -> TicketRecord:
        operator_id = self.text("operator") or None
        if operator_id == self.actor.operator_id and "holder" in self.form and self.ticket.state != "snoozed":
            # the page has shown who holds it
            return await self.inbox.tickets.take_over(self.ticket.id, self.actor, force=True)
        return await self.inbox.tickets.assign(self.ticket.id, self.actor, operator_id)

    async def resolve(self) -> TicketRecord:
        return await self.inbox.tickets.resolve(self.ticket.id, self.actor)

    async def reopen(self) -> TicketRecord:
        return await self.inbox.tickets.reopen(self.ticket.id, self.actor)

    async def snooze(self) -> TicketRecord:
        return await self.inbox.tickets.snooze(self.ticket.id, self.actor, snooze_end(self.form))

    async def wake(self) -> TicketRecord:
        return await self.inbox.tickets.wake(self.ticket.id, self.actor)

    async def update(self) -> TicketRecord:
        return await self.inbox.tickets.update(self.ticket.id, self.actor, **_properties(self.ticket, self.form))

    async def merge(self) -> TicketRecord:
        number = number_of(self.form, "into")
        try:
            other = await self.inbox.queries.numbered(number)
        except TicketGone:
            raise HTTPException(404, gone(number)) from None
        return await self.inbox.tickets.merge(self.ticket.id, other.id, self.actor)

    async def split(self) -> TicketRecord:
        first, subject = number_of(self.form, "sequence"), self.text("subject")[:200]
        return await self.inbox.tickets.split(self.ticket.id, self.actor, first, subject)

    async def decide(self) -> TicketRecord:
        decision = self.text("decision")
        if decision not in _DECISIONS:
            raise InputError(no_such("There is no decision", decision, _DECISIONS))
        changed = {
            key.removeprefix(_ARGUMENT): value.replace("\r\n", "\n")
            for key in self.form
            if key.startswith(_ARGUMENT) and _lines(value := self.text(key)) != _lines(self.text(f"was:{key}"))
        }
        await self.inbox.approvals.decide(
            self.ticket.id,
            self.actor,
            self.text("approval"),
            self.text("call") or None,
            decision == "approve",
            changed,
            by=self.by,
        )
        return await self.inbox.queries.get(self.ticket.id)

    async def macro(self) -> TicketRecord:
        macro = await self.inbox.macros.get(self.text("macro"))
        changed = await self.inbox.macros.run(macro, self.ticket, self.actor, self.text("zone"), key=self.text("key"))
        if macro.text and not macro.steps.sends:
            await self.inbox.drafts.append(self.ticket.id, self.actor.operator_id or "", "reply", macro.text)
        return changed


_ACTIONS: dict[str, Callable[[_Doing], Awaitable[TicketRecord]]] = {
    "take": _Doing.take,
    "hand_back": _Doing.hand_back,
    "assign": _Doing.assign,
    "resolve": _Doing.resolve,
    "reopen": _Doing.reopen,
    "snooze": _Doing.snooze,
    "wake": _Doing.wake,
    "update": _Doing.update,
    "merge": _Doing.merge,
    "split": _Doing.split,
    "macro": _Doing.macro,
    "decide": _Doing.decide,
}


_OF_HOLDER = ("hand_back", "assign", "resolve", "snooze", "merge", "split")
"""Actions that take a ticket from its holder, or end what the holder does."""


async def change(
    inbox: Inbox, action: str, ticket: TicketRecord, actor: Actor, form: FormData, by: AuditActor | None = None
) -> TicketRecord:
    """Change a ticket and return the one that is shown afterwards.

    Args:
        inbox: the parts of the desk.
        action: what to do.
        ticket: the ticket.
        actor: the operator.
        form: the values of the form.
        by: who stands in the audit log, where the action adds the entry itself.

    Raises:
        TicketError: the change is not possible.
        InputError: a value of the form is invalid.
        HTTPException: there is no such action (404).
    """
    if action not in _ACTIONS:
        raise HTTPException(404, "There is no such action.")
    if action in _OF_HOLDER and "holder" in form:
        _require_holder_as_shown(ticket, actor, form_text(form, "holder"))
    return await _ACTIONS[action](_Doing(inbox, ticket, actor, form, by))


def _require_holder_as_shown(ticket: TicketRecord, actor: Actor, shown: str) -> None:
    """Check that no colleague has taken a ticket over since its page was shown.

    Raises:
        TicketConflict: a colleague has.
    """
    if ticket.state == "human" and (ticket.operator_id or "") not in (shown, actor.operator_id):
        holder = ticket.operator_name or "A colleague"
        raise TicketConflict(f"{holder} has taken ticket {ticket.number} over meanwhile.", ticket.operator_name)


def snooze_end(form: FormData) -> Any:
    """Return until when a form sets a ticket aside.

    Raises:
        InputError: the form says no time, or an unknown one.
    """
    zone, at = form_text(form, "zone"), form_text(form, "at")
    if at:
        return written_time(at, zone)
    preset = form_text(form, "preset")
    for known in SNOOZE_PRESETS:
        if known == preset:
            return until(known, zone)
    raise InputError(no_such("There is no time to snooze", preset, SNOOZE_PRESETS))


def _properties(ticket: TicketRecord, form: FormData) -> dict[str, Any]:
    """Return the properties that the operator has changed in a form, compared with what the form showed.

    Raises:
        InputError: a value is too long.
        ConfigError: there is no such language.
    """
    changed: dict[str, Any] = {
        name: form_text(form, name)
        for name in ("priority", "subject", "team", "language")
        if name in form and form_text(form, name) != _shown(form, name, getattr(ticket, name))
    }
    if too_long := [name for name, text in changed.items() if len(text) > _MAX_TEXT_CHARS]:
        raise InputError(f"The {too_long[0]} is longer than {_MAX_TEXT_CHARS} characters.")
    if language := changed.get("language"):
        changed["language"] = parse_language(language)
    if "tags" in form:
        shown = form_text(form, "was:tags")
        before = _tags(shown) if "was:tags" in form else list(ticket.tags)
        tags = _tags(form_text(form, "tags"))
        changed["add_tags"] = [tag for tag in tags if tag not in before][:_MAX_TAGS]
        changed["remove_tags"] = [tag for tag in before if tag not in tags]
    fields = {
        name: _field(name, value, ticket.fields.get(name))
        for name, value in (
            (key.removeprefix("field:"), form_text(form, key)) for key in form if key.startswith("field:")
        )
        if _lines(value) != _shown(form, f"field:{name}", ticket.fields.get(name))
    }
    if new := " ".join(form_text(form, "new_field").split())[:60]:
        fields[new] = _field(new, form_text(form, "new_value"))
    return {**changed, **({"fields": fields} if fields else {})}


def _shown(form: FormData, name: str, now: Any) -> str:
    """Return what a form showed of a property; one that does not say so showed what it is now."""
    was = f"was:{name}"
    return _lines(form_text(form, was) if was in form else "" if now is None else str(now))


def _lines(text: str) -> str:
    """Return a text with the line breaks of texts, without space at its ends; forms send the breaks of the network."""
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()


def _tags(text: str) -> list[str]:
    return [word.casefold()[:60] for word in words(text)]


def _field(name: str, value: str, before: Any = None) -> Any:
    """Return the value of a custom field; one that was a number stays one, and an empty one is removed.

    Raises:
        InputError: it is too long.
    """
    text = _lines(value)
    if len(text) > MAX_FIELD_CHARS:
        raise InputError(f"The field {name!r} has at most {MAX_FIELD_CHARS:,} characters; this one has {len(text):,}.")
    if isinstance(before, int | float) and not isinstance(before, bool) and len(text) < 16:
        with suppress(ValueError):
            return type(before)(text)
    return text or None
