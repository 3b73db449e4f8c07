"""The list of the operators' pages."""

from __future__ import annotations

from collections.abc import Iterable

from qwendesk.desk.operators.operators import Operators
from qwendesk.server.pages.account import AccountPages
from qwendesk.server.pages.audit import AuditPages
from qwendesk.server.pages.desk_pages import DeskPages
from qwendesk.server.pages.home import HomePages
from qwendesk.server.pages.inbox.actions import ActionPages
from qwendesk.server.pages.inbox.bulk import BulkPages
from qwendesk.server.pages.inbox.composer import ComposerPages
from qwendesk.server.pages.inbox.files import FilePages
from qwendesk.server.pages.inbox.inbox import LIST, Inbox
from qwendesk.server.pages.inbox.lists import ListPages
from qwendesk.server.pages.inbox.macros import MacroPages
from qwendesk.server.pages.inbox.stream import GRACE_SECONDS, StreamPages
from qwendesk.server.pages.inbox.ticket import TicketPages
from qwendesk.server.pages.login import LoginPages
from qwendesk.server.pages.page import DeskPage
from qwendesk.server.pages.team import TeamPages


def build_pages(
    services: Operators,
    further: Iterable[DeskPage] = (),
    inbox: Inbox | None = None,
    *,
    grace_seconds: float = GRACE_SECONDS,
) -> DeskPages:
    """Return all pages of the operators.

    Args:
        services: accounts, sessions and the audit log.
        further: pages of other parts of the desk, in the menu after the first one.
        inbox: what the inbox works with; None: there is none.
        grace_seconds: time within which an operator whose last page was closed opens another one.
    """
    pages = [
        *HomePages(LIST if inbox else "").pages(),
        *(_inbox_pages(inbox, grace_seconds) if inbox else ()),
        *further,
        *TeamPages().pages(),
        *AuditPages().pages(),
        *AccountPages().pages(),
        *LoginPages(services.settings.address_tries_per_hour).pages(),
    ]
    return DeskPages(services, pages, always=services.settings.pages == "on")


def _inbox_pages(inbox: Inbox, grace_seconds: float) -> list[DeskPage]:
    ticket_pages = TicketPages(inbox)
    return [
        *ListPages(inbox).pages(),
        *ticket_pages.pages(),
        *ActionPages(inbox, ticket_pages).pages(),
        *ComposerPages(inbox, ticket_pages).pages(),
        *FilePages(inbox).pages(),
        *BulkPages(inbox).pages(),
        *MacroPages(inbox).pages(),
        *StreamPages(inbox, grace_seconds).pages(),
    ]
