"""The operators' pages in memory: an application with the cheapest password hashes, and a client that has a session."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import httpx
from argon2 import PasswordHasher

from qwendesk.desk.operators.accounts import OperatorRecord, Role
from qwendesk.desk.operators.audit import AuditActor
from qwendesk.desk.operators.operators import Operators
from qwendesk.desk.operators.passwords import Passwords
from qwendesk.memory.memory import Memory
from qwendesk.server.pages.all_pages import build_pages
from qwendesk.server.pages.inbox.inbox import Inbox
from qwendesk.server.pages.page import DeskPage
from qwendesk.server.web import build_app
from qwendesk.settings import OperatorSettings

PASSWORD = "correct horse battery"
LOCAL, REMOTE = "127.0.0.1", "203.0.113.9"


def cheap_passwords() -> Passwords:
    return Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


def operators_in(memory: Memory, **settings: Any) -> Operators:
    return Operators(memory.scope, OperatorSettings(**settings), cheap_passwords())


async def add(operators: Operators, name: str, role: Role | None = None, **more: Any) -> OperatorRecord:
    hashed = await operators.passwords.hash(PASSWORD)
    return await operators.accounts.add(name, hashed, AuditActor(), role=role, **more)


async def well() -> dict[str, Any]:
    return {"status": "ok"}


class Browser(httpx.AsyncClient):
    """A browser at the operators' pages: it keeps cookies, and sends forms as a person does."""

    def __init__(
        self,
        operators: Operators,
        address: str = LOCAL,
        scheme: str = "http",
        further: Iterable[DeskPage] = (),
        inbox: Inbox | None = None,
    ) -> None:
        self._transport_of_app = httpx.ASGITransport(
            build_app(well, desk_routes=build_pages(operators, further, inbox).routes())
        )
        self.address = address
        super().__init__(transport=self._transport_of_app, base_url=f"{scheme}://desk.example", follow_redirects=True)

    @property
    def address(self) -> str:
        """The address that the application sees."""
        return self._transport_of_app.client[0]

    @address.setter
    def address(self, address: str) -> None:
        self._transport_of_app.client = (address, 1234)

    async def submit(self, page: str, action: str | None = None, **fields: Any) -> httpx.Response:
        """Load a page and send a form of it."""
        shown = await self.get(page)
        hidden = dict(re.findall(r'name="(csrf|next)" value="([^"]*)"', shown.text))
        return await self.post(action or page, data={**hidden, **fields})

    async def log_in(self, name: str, password: str = PASSWORD) -> httpx.Response:
        return await self.submit("/desk/login", name=name, password=password)
