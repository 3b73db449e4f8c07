"""What operators write on a ticket: replies with files, private notes, and drafts of both."""

from __future__ import annotations

from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.responses import Response

from qwendesk.desk.operators.mentions import mentioned, unknown_names
from qwendesk.desk.tickets.records import TicketConflict, TicketError, TicketGone, TicketRecord
from qwendesk.desk.workspace.drafts import MAX_DRAFT_CHARS, DraftKind
from qwendesk.errors import InputError, StoreError
from qwendesk.messages import MAX_ATTACHMENT_BYTES, Attachment, kind_of
from qwendesk.server.pages.inbox.inbox import (
    LIST,
    MAX_TEXT_BODY_BYTES,
    Inbox,
    actor_of,
    audit,
    form_text,
    gone,
    ticket_path,
)
from qwendesk.server.pages.inbox.ticket import TicketPages
from qwendesk.server.pages.page import DeskPage, PageRequest

MAX_FILES = 10
_MAX_BODY_BYTES = MAX_ATTACHMENT_BYTES + 2**20
_MAX_KEY_CHARS = 64


class ComposerPages:
    """Replies, notes and drafts.

    Args:
        inbox: the parts of the desk.
        ticket_pages: render the ticket if a reply could not be sent.
    """

    def __init__(self, inbox: Inbox, ticket_pages: TicketPages) -> None:
        self._inbox = inbox
        self._ticket_pages = ticket_pages

    def pages(self) -> list[DeskPage]:
        """Return the pages."""
        path = "/desk/tickets/{number:int}"
        return [
            DeskPage(f"{path}/reply", self._reply, "operator", methods=("POST",), max_body=_MAX_BODY_BYTES),
            DeskPage(f"{path}/note", self._note, "operator", methods=("POST",), max_body=MAX_TEXT_BODY_BYTES),
            DeskPage(f"{path}/draft", self._draft, "operator", methods=("POST",), max_body=MAX_TEXT_BODY_BYTES),
        ]

    async def _reply(self, request: PageRequest) -> Response:
        ticket, form = await self._inbox.ticket(request), await request.form()
        text = _text(form)
        try:
            if len(text) > MAX_DRAFT_CHARS:
                raise TicketError(
                    f"A message has at most {MAX_DRAFT_CHARS:,} characters; this one has {len(text):,}: send a file."
                )
            files = await _files(form)
            key = form_text(form, "key")[:_MAX_KEY_CHARS]
            changed = await self._inbox.tickets.reply(
                ticket.id, actor_of(request), text.strip(), files, key=key, force=bool(form.get("force"))
            )
        except TicketGone:
            raise HTTPException(404, gone(ticket.number)) from None
        except InputError as error:  # the text is shown again, and kept
            return await self._refused(request, ticket, text, error)
        except StoreError:
            request.kept = text
            raise
        request.done = "The message is sent."
        if form.get("then") == "resolve":
            changed = await self._inbox.tickets.resolve(ticket.id, actor_of(request))
        await self._inbox.drafts.keep(ticket.id, request.operator.id, "reply", "")
        await audit(request, "reply", changed, files=len(files))
        if form.get("then") == "resolve":
            return request.redirect(
                f"{LIST}?sent={ticket.number}-reply", said=f"#{ticket.number} is answered and resolved."
            )
        return request.redirect(f"{ticket_path(ticket)}?sent={ticket.number}-reply#composer")

    async def _refused(self, request: PageRequest, ticket: TicketRecord, text: str, error: InputError) -> Response:
        kept = text[:MAX_DRAFT_CHARS]
        await self._inbox.drafts.keep(ticket.id, request.operator.id, "reply", kept)
        holder = error.holder if isinstance(error, TicketConflict) else ""
        status = 409 if holder else 400
        return await self._ticket_pages.render(request, ticket, status, problem=str(error), holder=holder)

    async def _note(self, request: PageRequest) -> Response:
        ticket, form = await self._inbox.ticket(request), await request.form()
        text = request.kept = _text(form)
        if len(text) > MAX_DRAFT_CHARS:
            raise TicketError(f"A note has at most {MAX_DRAFT_CHARS:,} characters; this one has {len(text):,}.")
        found = mentioned(text, await request.services.accounts.all())
        try:
            await self._inbox.tickets.note(ticket.id, actor_of(request), text, [one.id for one in found])
        except TicketGone:
            raise HTTPException(404, gone(ticket.number)) from None
        request.done = "The note is stored."
        await self._inbox.drafts.keep(ticket.id, request.operator.id, "note", "")
        await audit(request, "note", ticket, mentions=[one.name for one in found])
        names = ", ".join(one.display_name for one in found)
        after = f"{ticket_path(ticket)}?sent={ticket.number}-note#composer"
        said = f"Noted for {names}." if names else "Noted."
        if unknown := unknown_names(text, found):
            said += f" Nobody was told by the name {', '.join(f'@{name}'[:60] for name in unknown[:5])}."
        return request.redirect(after, said=said)

    async def _draft(self, request: PageRequest) -> Response:
        ticket, form = await self._inbox.ticket(request), await request.form()
        kind: DraftKind = "note" if form.get("kind") == "note" else "reply"
        text = _text(form)
        keep = self._inbox.drafts.append if form.get("append") else self._inbox.drafts.keep
        await keep(ticket.id, request.operator.id, kind, text)
        if request.headers.get("x-draft"):  # the page saves while the operator types
            return Response(status_code=204)
        return request.redirect(f"{ticket_path(ticket)}#composer")


def _text(form: FormData) -> str:
    """Return the text of a form with the line breaks of texts; forms send those of the network."""
    return form_text(form, "text").replace("\r\n", "\n")


async def _files(form: FormData) -> tuple[Attachment, ...]:
    """Return the files of a form.

    Raises:
        TicketError: there are too many.
    """
    sent = [one for one in form.getlist("files") if isinstance(one, UploadFile) and (one.filename or one.size)]
    if len(sent) > MAX_FILES:
        raise TicketError(f"A message has at most {MAX_FILES} files; these are {len(sent)}.")
    found = []
    for one in sent:
        mime: str = (one.content_type or "application/octet-stream").partition(";")[0].strip().lower()
        found.append(Attachment(kind_of(mime), mime, await one.read(), _name(one.filename or "")))
    return tuple(found)


def _name(name: str) -> str:
    """Return a file's name without folders and control characters."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(sign for sign in last if sign.isprintable())[:150]
