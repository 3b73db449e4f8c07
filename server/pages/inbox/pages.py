"""All pages of the inbox."""

from __future__ import annotations

from qwendesk.server.pages.inbox.actions import ActionPages
from qwendesk.server.pages.inbox.bulk import BulkPages
from qwendesk.server.pages.inbox.composer import ComposerPages
from qwendesk.server.pages.inbox.files import FilePages
from qwendesk.server.pages.inbox.inbox import Inbox
from qwendesk.server.pages.inbox.lists import ListPages
from qwendesk.server.pages.inbox.macros import MacroPages
from qwendesk.server.pages.inbox.stream import StreamPages
from qwendesk.server.pages.inbox.ticket import TicketPages
from qwendesk.server.pages.page import DeskPage


def inbox_pages(inbox: Inbox) -> list[DeskPage]:
    """Return all pages of the inbox.

    Args:
        inbox: the parts of the desk.
    """
    ticket_pages = TicketPages(inbox)
    return [
        *ListPages(inbox).pages(),
        *ticket_pages.pages(),
        *ActionPages(inbox, ticket_pages).pages(),
        *ComposerPages(inbox, ticket_pages).pages(),
        *FilePages(inbox).pages(),
        *BulkPages(inbox).pages(),
        *MacroPages(inbox).pages(),
        *StreamPages(inbox).pages(),
    ]
