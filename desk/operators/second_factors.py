"""Setting up and removing the second factor of an operator."""

from __future__ import annotations

from sqlalchemy import delete, false, select, update

from qwendesk.desk.operators.audit import AuditActor, add_entry
from qwendesk.desk.operators.totp import SecondFactor, new_secret
from qwendesk.errors import InputError
from qwendesk.memory.tables.operators import Operator, OperatorSession
from qwendesk.memory.tenancy import TenantDatabase, unit_of_work


class SecondFactors:
    """The second factors of one tenant's operators."""

    def __init__(self, database: TenantDatabase) -> None:
        self._database = database

    async def pending(self, operator: str) -> SecondFactor | None:
        """Return a second factor that was begun and not confirmed; None if there is none."""
        statement = select(Operator.totp_secret).where(Operator.id == operator, Operator.is_totp_confirmed == false())
        async with self._database.read() as connection:
            secret = (await connection.execute(statement)).scalar_one_or_none()
        return SecondFactor(secret) if secret else None

    @unit_of_work
    async def begin(self, operator: str) -> None:
        """Make a secret; it counts once a code has confirmed that the app has it.

        Raises:
            InputError: the operator has a second factor already.
        """
        values = {"totp_secret": new_secret(), "totp_last_step": None}
        statement = update(Operator).where(Operator.id == operator, Operator.is_totp_confirmed == false())
        async with self._database.write() as connection:
            if not (await connection.execute(statement.values(**values))).rowcount:
                raise InputError("A second factor is set up already; remove it first.")

    @unit_of_work
    async def confirm(self, operator: str, code: str, by: AuditActor, *, keep: str) -> bool:
        """Confirm the secret by a code and end the other sessions; False if the code is wrong.

        Args:
            operator: the operator's id.
            code: the code that the app shows.
            by: who confirms it.
            keep: id of the session that goes on.
        """
        pending = await self.pending(operator)
        step = pending.step_of(code) if pending else None
        if pending is None or step is None:
            return False
        same = Operator.id == operator, Operator.totp_secret == pending.secret, Operator.is_totp_confirmed == false()
        values = {"is_totp_confirmed": True, "totp_last_step": step}
        others = OperatorSession.operator_id == operator, OperatorSession.id != keep
        async with self._database.write() as connection:
            if not (await connection.execute(update(Operator).where(*same).values(**values))).rowcount:
                return False
            await connection.execute(delete(OperatorSession).where(*others))
            await add_entry(connection, by, "operator.totp_on", f"operator:{by.name}")
        return True

    @unit_of_work
    async def remove(self, operator: str, by: AuditActor) -> None:
        """Remove the second factor, confirmed or not; with a lost phone the command line does it."""
        values = {"totp_secret": None, "is_totp_confirmed": False, "totp_last_step": None}
        statement = update(Operator).where(Operator.id == operator).values(**values).returning(Operator.name)
        async with self._database.write() as connection:
            name = (await connection.execute(statement)).scalar_one_or_none()
            if name is None:
                raise InputError("This operator does not exist any more.")
            await add_entry(connection, by, "operator.totp_off", f"operator:{name}")
