"""The operators' pages as routes: who may call each, its headers, its errors."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from secrets import token_urlsafe
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from qwendesk.desk.operators.operators import Operators
from qwendesk.errors import ConfigError, QwendeskError, StoreError
from qwendesk.server.pages import assets, security
from qwendesk.server.pages.page import FORM_COOKIE, SESSION_COOKIE, DeskPage, LimitedBody, PageRequest

HOME = "/desk"
LOGIN = "/desk/login"
_TITLES = {
    400: "That was not understood",
    401: "Logged out",
    403: "Not allowed",
    404: "Not found",
    405: "Not possible",
    409: "Changed meanwhile",
    413: "Too large",
    429: "Too many tries",
    500: "Something went wrong",
    503: "Not possible at the moment",
}
_LOGGED_OUT = "You are not logged in any more. Copy what you wrote, and log in again."
_NO_TOKEN = "This form is out of date. Load the page again and repeat what you did."
_NOTHING_CHANGED = "Nothing was changed: "
_POST_TO = Markup('method="post" action="{0}" hx-post="{0}" hx-nonce="{1}"')
log = logging.getLogger(__name__)


class DeskPages:
    """All pages of the operators.

    Args:
        services: accounts, sessions and the audit log.
        pages: the pages, in the order of the menu.
        always: whether the pages are served before there is an operator.
    """

    def __init__(self, services: Operators, pages: Sequence[DeskPage], *, always: bool = False) -> None:
        self.services = services
        self.pages = pages
        self._is_in_use = always
        self._has_warned = False

    def routes(self) -> list[BaseRoute]:
        """Return the routes; an address of ``/desk`` without a page is known to operators alone."""
        nothing = DeskPage(f"{HOME}/{{rest:path}}", _nothing, "viewer", methods=("GET", "POST"))
        of_pages = [Route(page.path, PageEndpoint(self, page), methods=page.methods) for page in [*self.pages, nothing]]
        return [Route(f"{assets.ADDRESS}{{name:path}}", assets.serve, methods=["GET"]), *of_pages]

    async def is_in_use(self) -> bool:
        """Return whether there is an operator, or the settings serve the pages without one."""
        if not self._is_in_use:
            self._is_in_use = await self.services.accounts.exist()
        return self._is_in_use

    def render(self, request: PageRequest, template: str, values: Mapping[str, Any]) -> str:
        """Return a template filled in; each knows the names below besides its own."""
        session = request.session_or_none
        operator = session.operator if session and not session.needs_totp else None
        field = Markup('<input type="hidden" name="csrf" value="{}">').format(request.csrf_token)
        shared = {
            "operator": operator,
            "nav": [page for page in self.pages if page.nav and operator and _may(operator, page.access)],
            "path": request.url.path,
            "nonce": request.nonce,
            "csrf_token": request.csrf_token,
            "csrf_field": lambda: field,
            "post_to": lambda address: _POST_TO.format(address, request.nonce),
            "said": request.said,
            "is_exposed": self._is_exposed(request),
        }
        return _templates().get_template(template).render({**shared, **values})

    def _is_exposed(self, request: PageRequest) -> bool:
        """Return whether others can read the connection; the log says so once."""
        is_exposed = not security.is_encrypted(request) and not security.is_local(request)
        if is_exposed and not self._has_warned:
            self._has_warned = True
            log.warning(
                "The operators' pages were opened over a connection without TLS: passwords and messages can be read on "
                "the way. Open them through a proxy with TLS, named in trusted_proxies in the table [http]."
            )
        return is_exposed


@cache
def _templates() -> Environment:
    """Return the templates, which are compiled once a process."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["static"] = assets.static
    environment.filters["moment"] = _moment
    return environment


def _moment(at: datetime) -> Markup:
    """Return a time, which the page's script shows in the browser's time zone."""
    return Markup('<time datetime="{}">{}</time>').format(at.isoformat(), f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC")


def _may(operator: Any, access: str) -> bool:
    return access == "public" or operator.may(access)


async def _nothing(request: PageRequest) -> Response:
    raise HTTPException(404, "There is no such page.")


class PageEndpoint:
    """Serves one page: checks who calls it and from where, and answers errors.

    Args:
        desk: all pages.
        page: this one.
    """

    def __init__(self, desk: DeskPages, page: DeskPage) -> None:
        self._desk = desk
        self.page = page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        request = PageRequest(
            scope,
            LimitedBody(receive, self.page.max_body),
            services=self._desk.services,
            nonce=token_urlsafe(16),
            form_token=token_urlsafe(24),
            render=self._desk.render,
        )
        try:
            response = await self._answer(request)
        except ClientDisconnect:
            raise
        except Exception as error:  # an endpoint may raise anything, and the page says so
            response = self._failed(request, error)
        finally:
            await request.close()
        security.add_headers(response, request.nonce)
        await response(scope, receive, send)

    async def _answer(self, request: PageRequest) -> Response:
        if any("\0" in str(value) for value in (*request.path_params.values(), *request.query_params.values())):
            raise HTTPException(400, "The address has a sign that no text has.")
        if not await self._desk.is_in_use():
            return self._first_steps(request)
        changes = request.method not in security.SAFE_METHODS
        if changes and not security.is_same_origin(request):
            raise HTTPException(403, "The request comes from another website.")
        await self._load_session(request)
        session = request.session_or_none
        if self.page.access != "public":
            if session is None or session.needs_totp:
                if changes and not request.is_htmx:
                    await _keep_text(request)
                return self._to_login(request)
            await request.services.sessions.note_use(session, is_background=self.page.is_background)
            if not session.operator.may(self.page.access):
                raise HTTPException(
                    403, f"This needs the role {self.page.access!r}; yours is {session.operator.role!r}."
                )
        if changes and not await _has_token(request):
            await _keep_text(request)
            raise HTTPException(403, _NO_TOKEN)
        response = await self.page.endpoint(request)
        if session is None and response.status_code != 303:
            security.set_cookie(request, response, FORM_COOKIE, request.csrf_token)
        return response

    async def _load_session(self, request: PageRequest) -> None:
        token = request.cookies.get(security.cookie_name(request, SESSION_COOKIE))
        request.session_or_none = await request.services.sessions.find(token) if token else None
        if request.session_or_none:
            request.csrf_token = request.session_or_none.csrf_token
        elif known := request.cookies.get(security.cookie_name(request, FORM_COOKIE)):
            request.csrf_token = known

    def _to_login(self, request: PageRequest) -> Response:
        here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        address = LOGIN if request.method != "GET" or here == HOME else f"{LOGIN}?next={quote(here)}"
        if request.method not in security.SAFE_METHODS:
            raise HTTPException(401, _LOGGED_OUT)  # a page that asks by itself stays, with what is being written
        if request.is_htmx and self.page.is_background:
            return Response(status_code=204)  # a page that asks by itself stays: somebody may be writing in it
        if request.is_htmx:
            return Response(status_code=401, headers={"HX-Redirect": LOGIN})
        return RedirectResponse(address, 303)

    def _first_steps(self, request: PageRequest) -> Response:
        """Say on this machine how to add the first operator; elsewhere there is nothing to be seen."""
        if not security.is_local(request):
            return PlainTextResponse("Not Found", 404)
        return request.render("first_steps.jinja")

    def _failed(self, request: PageRequest, error: Exception) -> Response:
        status, text, headers = _problem(error)
        if request.done:
            text = f"{request.done} A later step failed: {text.removeprefix(_NOTHING_CHANGED)}"
        if status == 500:
            log.exception("The page %s failed.", self.page.path, exc_info=error)
        if request.is_htmx:
            response = request.render("alert.jinja", status, text=text)
            response.headers.update({"HX-Retarget": "#alerts", "HX-Reswap": "innerHTML"})
        else:
            title = _TITLES.get(status, "Not possible")
            response = request.render("error.jinja", status, title=title, text=text, kept=request.kept)
        response.headers.update(headers)
        return response


async def _keep_text(request: PageRequest) -> None:
    """Keep the text of a form for the error page."""
    text = (await request.form()).get("text")
    request.kept = text if isinstance(text, str) else ""


async def _has_token(request: PageRequest) -> bool:
    """Return whether a changing request carries the token of its session or, before a log-in, of its form."""
    has_form = FORM_COOKIE if request.session_or_none is None else SESSION_COOKIE
    if security.cookie_name(request, has_form) not in request.cookies:
        return False
    given = request.headers.get("x-csrf-token") or (await request.form()).get("csrf")
    return security.is_equal(given, request.csrf_token)


def _problem(error: Exception) -> tuple[int, str, dict[str, str]]:
    """Return status, text and headers of the answer to an error; details of the database stay in the log."""
    match error:
        case HTTPException():
            return error.status_code, str(error.detail), dict(error.headers or {})
        case StoreError():
            log.warning("A page could not be served: %s", error)
            return 503, f"{_NOTHING_CHANGED}{error.reason}. Try again in a moment.", {"Retry-After": "5"}
        case ConfigError():
            return 400, str(error), {}
        case QwendeskError():
            return 503, str(error), {}
    return 500, "This is a fault of the program; its log has the details.", {}
