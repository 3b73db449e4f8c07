"""The accounts of all operators, for admins."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.responses import Response

from qwendesk.desk.operators.accounts import ROLES, OperatorRecord, Role
from qwendesk.desk.operators.passwords import check_password
from qwendesk.errors import InputError, no_such
from qwendesk.server.pages.account import confirm_password, listed
from qwendesk.server.pages.page import DeskPage, PageRequest

TEAM = "/desk/team"
_ONE = f"{TEAM}/{{id}}"


class TeamPages:
    """The pages of the accounts."""

    def pages(self) -> list[DeskPage]:
        """Return the pages."""
        post = ("POST",)
        return [
            DeskPage(TEAM, self._list, "admin", nav="Team"),
            DeskPage(f"{TEAM}/add", self._add, "admin", methods=post),
            DeskPage(_ONE, self._show, "admin"),
            DeskPage(f"{_ONE}/profile", self._change_profile, "admin", methods=post),
            DeskPage(f"{_ONE}/role", self._change_role, "admin", methods=post),
            DeskPage(f"{_ONE}/password", self._change_password, "admin", methods=post),
            DeskPage(f"{_ONE}/totp", self._remove_totp, "admin", methods=post),
            DeskPage(f"{_ONE}/disable", self._disable, "admin", methods=post),
            DeskPage(f"{_ONE}/enable", self._enable, "admin", methods=post),
            DeskPage(f"{_ONE}/logout", self._log_out, "admin", methods=post),
        ]

    async def _list(self, request: PageRequest) -> Response:
        return request.render("team.jinja", accounts=await request.services.accounts.all(), roles=ROLES)

    async def _add(self, request: PageRequest) -> Response:
        form = await request.form()
        name, password = str(form.get("name") or ""), str(form.get("new") or "")
        role = _role(form.get("role"))
        check_password(password, name)
        if role == "admin":
            await confirm_password(request)
        added = await request.services.accounts.add(
            name,
            await request.services.passwords.hash(password),
            request.actor,
            role=role,
            display_name=str(form.get("display_name") or ""),
            languages=listed(form.get("languages")),
            teams=listed(form.get("teams")),
        )
        return request.redirect(f"{TEAM}/{added.id}", said=f"{added.name} is added; tell them the password.")

    async def _show(self, request: PageRequest) -> Response:
        account = await self._account(request)
        sessions = await request.services.sessions.of(account.id)
        return request.render("team_member.jinja", account=account, sessions=sessions, roles=ROLES)

    async def _change_profile(self, request: PageRequest) -> Response:
        account, form = await self._account(request), await request.form()
        await request.services.accounts.set_profile(
            account.id,
            request.actor,
            display_name=str(form.get("display_name") or ""),
            languages=listed(form.get("languages")),
            teams=listed(form.get("teams")),
        )
        return self._back(request, account, "Name, languages and teams are stored.")

    async def _change_role(self, request: PageRequest) -> Response:
        account, form = await self._account(request), await request.form()
        role = _role(form.get("role"))
        if role != account.role:
            if role == "admin":  # who finds an open page must not get a lasting account with all rights
                await confirm_password(request)
            await request.services.accounts.set_role(account.id, role, request.actor)
        return self._back(request, account, f"The role is {role!r}.")

    async def _change_password(self, request: PageRequest) -> Response:
        account, form = await self._account(request), await request.form()
        password = str(form.get("new") or "")
        check_password(password, account.name)
        await confirm_password(request)
        hashed = await request.services.passwords.hash(password)
        await request.services.accounts.set_password(account.id, hashed, request.actor)
        return self._back(request, account, "The password is changed, and the account is not locked.")

    async def _remove_totp(self, request: PageRequest) -> Response:
        account = await self._account(request)
        await confirm_password(request)
        await request.services.second_factors.remove(account.id, request.actor)
        return self._back(request, account, "The second factor is removed.")

    async def _disable(self, request: PageRequest) -> Response:
        account = await self._account(request)
        await request.services.accounts.disable(account.id, request.actor)
        return self._back(request, account, "The account is disabled, and logged out everywhere.")

    async def _enable(self, request: PageRequest) -> Response:
        account = await self._account(request)
        if account.role == "admin" and account.disabled_at is not None:
            await confirm_password(request)
        await request.services.accounts.enable(account.id, request.actor)
        return self._back(request, account, "The account is enabled, and not locked.")

    async def _log_out(self, request: PageRequest) -> Response:
        account = await self._account(request)
        count = await request.services.sessions.end_all(account.id)
        await request.services.audit.add(request.actor, "logout", f"operator:{account.name}", {"sessions": count})
        return self._back(request, account, f"Ended sessions: {count}.")

    async def _account(self, request: PageRequest) -> OperatorRecord:
        account = await request.services.accounts.get(request.path_params["id"])
        if account is None:
            raise HTTPException(404, "There is no such operator.")
        return account

    def _back(self, request: PageRequest, account: OperatorRecord, said: str) -> Response:
        return request.redirect(f"{TEAM}/{account.id}", said=said)


def _role(value: object) -> Role:
    for role in ROLES:
        if role == value:
            return role
    raise InputError(no_such("There is no role", str(value or ""), ROLES))
