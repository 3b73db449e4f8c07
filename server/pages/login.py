"""Logging in and out."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from qwendesk.desk.operators.login import LoggedIn
from qwendesk.desk.rate_limiter import RateLimiter
from qwendesk.server.addresses import peer_network
from qwendesk.server.pages import security
from qwendesk.server.pages.desk_pages import HOME, LOGIN
from qwendesk.server.pages.page import FORM_COOKIE, SESSION_COOKIE, DeskPage, PageRequest

CODE = "/desk/login/code"
_MAX_BODY_BYTES = 16 * 1024
_MAX_BURST = 20
"""Tries to log in that an address has at once."""
_REFUSED = (
    "This did not work. Name or password may be wrong, or the account is locked for a while after several wrong "
    "passwords, or disabled; an admin can help."
)
_REFUSED_CODE = (
    "This code is not valid. Each code works once and for about a minute; after several wrong ones the account is "
    "locked for a while. If the phone is lost, an admin can remove the second factor."
)


class LoginPages:
    """The pages of logging in and out.

    Args:
        tries_per_hour: tries to log in per address and hour.
    """

    def __init__(self, tries_per_hour: float) -> None:
        self._tries = RateLimiter(min(_MAX_BURST, tries_per_hour), tries_per_hour)

    def pages(self) -> list[DeskPage]:
        """Return the pages."""
        return [
            DeskPage(LOGIN, self._login, "public", methods=("GET", "POST"), max_body=_MAX_BODY_BYTES),
            DeskPage(CODE, self._code, "public", methods=("GET", "POST"), max_body=_MAX_BODY_BYTES),
            DeskPage("/desk/logout", self._logout, "public", methods=("POST",), max_body=_MAX_BODY_BYTES),
        ]

    async def _login(self, request: PageRequest) -> Response:
        session = request.session_or_none
        if session and not session.needs_totp:
            return RedirectResponse(_next(request.query_params.get("next")), 303)
        if request.method != "POST":
            return request.render("login.jinja", name="", next=_next(request.query_params.get("next")), problem="")
        form = await request.form()
        name, password, after = (str(form.get(key) or "") for key in ("name", "password", "next"))
        self._count(request)
        begun = await request.services.log_in.with_password(name, password, request.address)
        if begun is None:
            return request.render("login.jinja", 403, name=name, next=_next(after), problem=_REFUSED)
        return _logged_in(request, begun, _next(after))

    async def _code(self, request: PageRequest) -> Response:
        session = request.session_or_none
        after = _next(request.query_params.get("next"))
        if session is None or not session.needs_totp:
            return RedirectResponse(LOGIN if session is None else after, 303)
        if request.method != "POST":
            return request.render("code.jinja", next=after, problem="")
        form = await request.form()
        self._count(request)
        begun = await request.services.log_in.with_code(session, str(form.get("code") or ""), request.address)
        if begun is None:
            return request.render("code.jinja", 403, next=_next(str(form.get("next"))), problem=_REFUSED_CODE)
        return _logged_in(request, begun, _next(str(form.get("next"))))

    async def _logout(self, request: PageRequest) -> Response:
        form = await request.form()
        if session := request.session_or_none:
            if form.get("everywhere"):
                await request.services.sessions.end_all(session.operator.id)
            else:
                await request.services.sessions.end(session.id)
            if not await request.services.sessions.of(session.operator.id):
                await request.services.accounts.leave(session.operator.id, datetime.now(UTC))
            await request.services.audit.add(request.actor, "logout", f"operator:{session.operator.name}")
        response = RedirectResponse(LOGIN, 303)
        security.delete_cookie(request, response, SESSION_COOKIE)
        return response

    def _count(self, request: PageRequest) -> None:
        if not self._tries.allow(peer_network(request.address or "")):
            text = "Too many tries to log in came from your network; try again in some minutes."
            raise HTTPException(429, text, {"Retry-After": "120"})


def _logged_in(request: PageRequest, begun: LoggedIn, after: str) -> Response:
    where = f"{CODE}?next={quote(after)}" if begun.needs_totp else after
    response = RedirectResponse(where, 303)
    security.set_cookie(request, response, SESSION_COOKIE, begun.token)
    security.delete_cookie(request, response, FORM_COOKIE)
    return response


def _next(text: str | None) -> str:
    """Return an address of the desk to go to after logging in; another website is none."""
    try:
        parts = urlsplit(text or "")
    except ValueError:
        return HOME
    is_here = parts.path == HOME or parts.path.startswith(f"{HOME}/")
    if parts.scheme or parts.netloc or not is_here or not parts.path.isprintable() or parts.path in (LOGIN, CODE):
        return HOME
    if "\\" in parts.path or ".." in parts.path.split("/"):
        return HOME
    return f"{parts.path}?{parts.query}" if parts.query else parts.path
