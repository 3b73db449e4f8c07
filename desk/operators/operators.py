"""Everything about operators, over one tenant's database."""

from __future__ import annotations

from datetime import timedelta

from qwendesk.desk.operators.accounts import OperatorAccounts
from qwendesk.desk.operators.audit import OperatorAuditLog
from qwendesk.desk.operators.links import OperatorLinks
from qwendesk.desk.operators.lockout import LockOut
from qwendesk.desk.operators.login import LogIn
from qwendesk.desk.operators.passwords import Passwords
from qwendesk.desk.operators.second_factors import SecondFactors
from qwendesk.desk.operators.sessions import OperatorSessions
from qwendesk.memory.tenancy import TenantDatabase
from qwendesk.settings import OperatorSettings


class Operators:
    """The people who answer customers.

    Args:
        database: the tenant's view of the database.
        settings: times and limits.
        passwords: hashes passwords; None: with the recommended parameters.
    """

    def __init__(
        self, database: TenantDatabase, settings: OperatorSettings | None = None, passwords: Passwords | None = None
    ) -> None:
        self.settings = settings or OperatorSettings()
        self.passwords = passwords or Passwords()
        self.accounts = OperatorAccounts(database)
        self.audit = OperatorAuditLog(database)
        self.links = OperatorLinks(database)
        lifetime, idle = self.settings.session_hours, self.settings.session_idle_minutes
        self.sessions = OperatorSessions(database, timedelta(hours=lifetime), timedelta(minutes=idle))
        self.second_factors = SecondFactors(database)
        first, longest = self.settings.lock_seconds, self.settings.max_lock_seconds
        lockout = LockOut(self.settings.login_tries, timedelta(seconds=first), timedelta(seconds=longest))
        self.log_in = LogIn(database, self.passwords, self.sessions, lockout)

    async def prune(self) -> None:
        """Delete expired sessions, and entries of the audit log beyond their retention."""
        await self.sessions.prune()
        await self.audit.prune(self.settings.audit_days)
