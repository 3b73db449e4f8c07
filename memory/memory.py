"""The memory: opens and closes the database, and gives access to the repositories."""

from __future__ import annotations

from qwendesk.memory.conversations.feedback import TurnFeedback
from qwendesk.memory.conversations.history import History
from qwendesk.memory.conversations.pending import PendingTurns
from qwendesk.memory.conversations.summaries import Summaries
from qwendesk.memory.conversations.turns import Turns
from qwendesk.memory.database import Database, upsert
from qwendesk.memory.people.fact_rules import FactRules
from qwendesk.memory.people.facts import Facts
from qwendesk.memory.people.repository import People
from qwendesk.memory.tables.conversations import DEFAULT_TENANT, Tenant
from qwendesk.memory.tenancy import TenantDatabase, restricted
from qwendesk.messages import storable_text
from qwendesk.text_caches import Forgotten, TextCaches

_ACCOUNT = ""
"""The desk's account in conversations and identities; all accounts of a channel share them."""


class Memory:
    """One tenant's data in SQLite (one file, no server) or PostgreSQL.

    Attributes:
        turns: begins and closes turns.
        pending: turns that wait for an approval.
        history: conversations and their messages.
        feedback: past turns and ratings.
        summaries: summaries of older turns.
        people: people and their identities.
        facts: facts about people.

    Args:
        url: SQLAlchemy's URL with an asynchronous driver, such as ``sqlite+aiosqlite:////folder/qwendesk.db``.
        busy_timeout: seconds to wait for a SQLite file that another process is writing.
        tenant: the tenant whose rows are read and written.
        allow_health: whether facts about health may be stored.
    """

    def __init__(
        self, url: str, *, busy_timeout: float = 5.0, tenant: str = DEFAULT_TENANT, allow_health: bool = False
    ) -> None:
        self._attach(Database(url, busy_timeout), tenant, FactRules(allow_health))

    def of_tenant(self, tenant: str) -> Memory:
        """Return another tenant's memory in the same database; closing either closes the database."""
        other = type(self).__new__(type(self))
        other._attach(self.database, tenant, self._rules)
        return other

    def _attach(self, database: Database, tenant: str, rules: FactRules) -> None:
        self.database = database
        """The database of all tenants."""
        self.scope = TenantDatabase(database, storable_text(tenant))
        """The tenant's view of the database."""
        self._rules = rules
        self.text_caches = TextCaches()
        self.text_caches.register("statements", self._drop_statements)
        self.turns = Turns(self.scope, _ACCOUNT)
        self.pending = PendingTurns(self.scope, _ACCOUNT)
        self.history = History(self.scope, _ACCOUNT)
        self.feedback = TurnFeedback(self.scope, _ACCOUNT)
        self.summaries = Summaries(self.scope, _ACCOUNT)
        self.people = People(self.scope, _ACCOUNT, self.text_caches)
        self.facts = Facts(self.scope, rules)

    @property
    def tenant(self) -> str:
        """The tenant whose rows are read and written."""
        return self.scope.tenant

    async def open(self) -> None:
        """Create or upgrade the database where needed, and add the tenant."""
        await self.database.open()
        if self.tenant != DEFAULT_TENANT:
            await self.database.shield(self._add_tenant())

    async def aclose(self) -> None:
        """Close the connections."""
        await self.database.aclose()

    async def vacuum(self) -> None:
        """Rewrite a SQLite file so that it contains no deleted data; writers wait meanwhile."""
        await self.database.vacuum(always=True)

    async def _add_tenant(self) -> None:
        statement = upsert(self.scope.dialect, Tenant).on_conflict_do_nothing()
        async with self.database.write() as connection:
            await connection.execute(statement, {"id": self.tenant, "name": self.tenant})

    async def _drop_statements(self, _: Forgotten) -> None:
        """Drop cached statements, which contain values of the queries they were compiled for."""
        self.database.drop_statements()
        restricted.cache_clear()
