"""A page of the operators, and a request for one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import Message, Receive, Scope

from qwendesk.desk.operators.accounts import OperatorRecord
from qwendesk.desk.operators.audit import AuditActor
from qwendesk.desk.operators.operators import Operators
from qwendesk.desk.operators.sessions import SessionRecord
from qwendesk.server.pages import security

PageAccess = Literal["public", "viewer", "operator", "admin"]
"""Who may call a page: anybody, or the least role of an operator."""
_MAX_BODY_BYTES = 256 * 1024
Render = Callable[["PageRequest", str, Mapping[str, Any]], str]
"""Returns a template filled in for a request."""


@dataclass(frozen=True, slots=True)
class DeskPage:
    """A route of the operators' pages."""

    path: str
    """Address with parameters as in Starlette, such as ``/desk/tickets/{number:int}``."""
    endpoint: Callable[[PageRequest], Awaitable[Response]]
    access: PageAccess
    methods: tuple[str, ...] = ("GET",)
    nav: str = ""
    """Label of the link in the menu; empty: none."""
    is_background: bool = False
    """Whether an open page asks for it by itself, which does not keep a session alive."""
    max_body: int = _MAX_BODY_BYTES
    """Maximum size of a request's body in bytes."""


class PageRequest(Request):
    """A request for a page, after its access was checked."""

    def __init__(
        self, scope: Scope, receive: Receive, *, services: Operators, nonce: str, form_token: str, render: Render
    ) -> None:
        super().__init__(scope, receive)
        self.services = services
        """Accounts, sessions and the audit log."""
        self.nonce = nonce
        """Nonce of scripts and of htmx's attributes in the response."""
        self.csrf_token = form_token
        """Token that a form carries back."""
        self.session_or_none: SessionRecord | None = None
        self.kept = ""
        """What was written in a form that is not carried out, for the error page."""
        self.done = ""
        """What is carried out already if a later step fails, as a sentence; empty: nothing."""
        self._render = render

    @property
    def operator_session(self) -> SessionRecord:
        """The session; a public page has none."""
        if self.session_or_none is None:
            raise RuntimeError("A public page has no session.")
        return self.session_or_none

    @property
    def operator(self) -> OperatorRecord:
        """The operator who is logged in."""
        return self.operator_session.operator

    @property
    def address(self) -> str | None:
        """The browser's address."""
        return self.client.host if self.client else None

    @property
    def actor(self) -> AuditActor:
        """The operator, as the audit log names the one who acts."""
        return AuditActor(self.operator.id, self.operator.name, self.address)

    @property
    def is_htmx(self) -> bool:
        """Whether htmx asks for a part of a page."""
        return self.headers.get("hx-request") == "true" and self.headers.get("hx-history-restore-request") != "true"

    async def is_open(self) -> bool:
        """Return whether the session still exists; streams ask now and then."""
        token = self.cookies.get(security.cookie_name(self, SESSION_COOKIE), "")
        return await self.services.sessions.find(token) is not None

    @property
    def said(self) -> str:
        """The sentence of the redirect that led here; one that somebody else wrote in a link is not shown."""
        said = self.query_params.get("said", "")
        return said if security.is_equal(self.query_params.get("seal"), security.seal(said, self.csrf_token)) else ""

    def render(self, template: str, status: int = 200, **values: Any) -> Response:
        """Return a page or a part of one.

        Args:
            template: the name of a file in ``templates/``.
            status: the HTTP status.
            values: what the template shows, besides what each template knows (see ``DeskPages.render``).
        """
        return HTMLResponse(self._render(self, template, values), status)

    def redirect(self, path: str, said: str = "") -> Response:
        """Return a redirect to another page after a change.

        Args:
            path: the page.
            said: a short sentence that it shows.
        """
        seal = security.seal(said, self.csrf_token)
        page, hash_, place = path.partition("#")
        told = f"{'&' if '?' in page else '?'}said={quote(said)}&seal={seal}" if said else ""
        address = f"{page}{told}{hash_}{place}"
        if self.is_htmx:
            return Response(status_code=204, headers={"HX-Redirect": address})
        return RedirectResponse(address, 303)


SESSION_COOKIE = "qwendesk_operator"
FORM_COOKIE = "qwendesk_form"
"""Cookie with the token of forms before a log-in."""


class LimitedBody:
    """Receives a request's body up to a size.

    Args:
        receive: the server's function.
        limit: the size in bytes.
    """

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive = receive
        self._limit = limit
        self._left = limit

    async def __call__(self) -> Message:
        """Return the next message.

        Raises:
            HTTPException: the body is too large (413).
        """
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            from starlette.exceptions import HTTPException

            raise HTTPException(413, f"This is too large: at most {self._limit // 1024:,} KiB can be sent.")
        return message
