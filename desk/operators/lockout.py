"""Lock-out: wrong passwords and codes lock an account for a growing time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import or_, update

from qwendesk.memory.tables.operators import Operator
from qwendesk.memory.tenancy import TenantConnection

_MAX_DOUBLINGS = 20


@dataclass(frozen=True, slots=True)
class Try:
    """A try to log in, counted as failed before it is checked, so that tries at the same time count as well."""

    operator: str
    password_hash: str
    totp_secret: str | None
    is_totp_confirmed: bool
    totp_last_step: int | None
    locks_until: datetime | None
    """When the lock ends that begins if this try fails."""


@dataclass(frozen=True, slots=True)
class LockOut:
    """When an account is locked, and for how long."""

    tries: int
    """Failed tries in a row that lock an account."""
    first: timedelta
    """Time of the first lock; each further failed try doubles it."""
    longest: timedelta

    async def begin_try(self, connection: TenantConnection, condition: Any) -> Try | None:
        """Count a try as failed; None if there is no such account, or it is locked or disabled."""
        now = datetime.now(UTC)
        # a lock that ends later than the longest one lasts was set before the clock was set back
        locked = Operator.locked_until.between(now, now + self.longest)
        free = or_(Operator.locked_until.is_(None), ~locked), Operator.disabled_at.is_(None)
        counting = update(Operator).where(condition, *free).values(failed_logins=Operator.failed_logins + 1)
        columns: tuple[Any, ...] = (
            Operator.id,
            Operator.failed_logins,
            Operator.password_hash,
            Operator.totp_secret,
            Operator.is_totp_confirmed,
            Operator.totp_last_step,
        )
        row = (await connection.execute(counting.returning(*columns))).one_or_none()
        locks_until = now + self._time(row.failed_logins) if row and row.failed_logins >= self.tries else None
        # without an account the same statements run, so that the time does not tell whether there is one
        which = Operator.id == (row.id if row else "")
        await connection.execute(update(Operator).where(which).values(locked_until=locks_until))
        if row is None:
            return None
        return Try(row.id, row.password_hash, row.totp_secret, row.is_totp_confirmed, row.totp_last_step, locks_until)

    async def take_back(self, connection: TenantConnection, counted: Try) -> None:
        """Count a try no longer as failed, since only the second factor is left; earlier ones still count."""
        mine = Operator.id == counted.operator
        values = {"failed_logins": Operator.failed_logins - 1}
        await connection.execute(update(Operator).where(mine, Operator.failed_logins > 0).values(**values))
        if counted.locks_until:
            set_by_this = mine, Operator.locked_until == counted.locks_until
            await connection.execute(update(Operator).where(*set_by_this).values(locked_until=None))

    async def forgive(self, connection: TenantConnection, counted: Try) -> bool:
        """Forget the failed tries after a log-in.

        Returns False if the account was disabled or got another password while this one was checked.
        """
        is_same = Operator.id == counted.operator, Operator.password_hash == counted.password_hash
        forgiving = update(Operator).where(*is_same, Operator.disabled_at.is_(None))
        return bool((await connection.execute(forgiving.values(failed_logins=0, locked_until=None))).rowcount)

    def _time(self, failed: int) -> timedelta:
        doublings = min(failed - self.tries, _MAX_DOUBLINGS)
        return min(self.longest, self.first * float(2**doublings))
