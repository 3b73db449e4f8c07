"""The list of the operators' pages."""

from __future__ import annotations

from collections.abc import Iterable

from qwendesk.desk.operators.operators import Operators
from qwendesk.server.pages.account import AccountPages
from qwendesk.server.pages.audit import AuditPages
from qwendesk.server.pages.desk_pages import DeskPages
from qwendesk.server.pages.home import HomePages
from qwendesk.server.pages.inbox.inbox import LIST, Inbox
from qwendesk.server.pages.inbox.pages import inbox_pages
from qwendesk.server.pages.login import LoginPages
from qwendesk.server.pages.page import DeskPage
from qwendesk.server.pages.team import TeamPages


def build_pages(services: Operators, further: Iterable[DeskPage] = (), inbox: Inbox | None = None) -> DeskPages:
    """Return all pages of the operators.

    Args:
        services: accounts, sessions and the audit log.
        further: pages of other parts of the desk, in the menu after the first one.
        inbox: what the inbox works with; None: there is none.
    """
    pages = [
        *HomePages(LIST if inbox else "").pages(),
        *(inbox_pages(inbox) if inbox else ()),
        *further,
        *TeamPages().pages(),
        *AuditPages().pages(),
        *AccountPages().pages(),
        *LoginPages(services.settings.address_tries_per_hour).pages(),
    ]
    return DeskPages(services, pages, always=services.settings.pages == "on")
