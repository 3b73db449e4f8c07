"""The operator's own account: name, languages, password, second factor, sessions."""

from __future__ import annotations

import re

import segno
from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.responses import Response

from qwendesk.desk.operators.passwords import check_password
from qwendesk.errors import InputError
from qwendesk.server.pages.page import DeskPage, PageRequest

ACCOUNT = "/desk/account"
_TOTP = f"{ACCOUNT}/totp"
_WRONG_PASSWORD = "Your password is wrong, or the account is locked for a while after several wrong ones."


class AccountPages:
    """The pages of the own account."""

    def pages(self) -> list[DeskPage]:
        """Return the pages."""
        post = ("POST",)
        return [
            DeskPage(ACCOUNT, self._show, "viewer", nav="Account"),
            DeskPage(f"{ACCOUNT}/profile", self._change_profile, "viewer", methods=post),
            DeskPage(f"{ACCOUNT}/available", self._change_available, "viewer", methods=post),
            DeskPage(f"{ACCOUNT}/password", self._change_password, "viewer", methods=post),
            DeskPage(_TOTP, self._show_totp, "viewer", methods=("GET", "POST")),
            DeskPage(f"{_TOTP}/confirm", self._confirm_totp, "viewer", methods=post),
            DeskPage(f"{_TOTP}/remove", self._remove_totp, "viewer", methods=post),
        ]

    async def _show(self, request: PageRequest) -> Response:
        sessions = await request.services.sessions.of(request.operator.id)
        return request.render("account.jinja", sessions=sessions, this=request.operator_session.id)

    async def _change_profile(self, request: PageRequest) -> Response:
        form = await request.form()
        await request.services.accounts.set_profile(
            request.operator.id,
            request.actor,
            display_name=str(form.get("display_name") or ""),
            languages=listed(form.get("languages")),
        )
        return request.redirect(ACCOUNT, said="Your name and languages are stored.")

    async def _change_available(self, request: PageRequest) -> Response:
        form = await request.form()
        is_available = form.get("available") == "yes"
        await request.services.accounts.set_available(request.operator.id, is_available, request.actor)
        return request.redirect(ACCOUNT, said=f"You take {'' if is_available else 'no '}new tickets.")

    async def _change_password(self, request: PageRequest) -> Response:
        form = await request.form()
        new = str(form.get("new") or "")
        if new != form.get("repeated"):
            raise InputError("The new password and its repetition differ.")
        check_password(new, request.operator.name)
        await confirm_password(request)
        hashed = await request.services.passwords.hash(new)
        kept = request.operator_session.id
        await request.services.accounts.set_password(request.operator.id, hashed, request.actor, keep=kept)
        return request.redirect(ACCOUNT, said="Your password is changed; you are logged out everywhere else.")

    async def _show_totp(self, request: PageRequest) -> Response:
        """Show the QR code of a second factor that waits for its first code; a POST begins a new one."""
        factors, operator = request.services.second_factors, request.operator
        if request.method == "POST":
            await confirm_password(request)
            await factors.begin(operator.id)
            return request.redirect(_TOTP)
        pending = await factors.pending(operator.id)
        if pending is None:
            return request.redirect(ACCOUNT)
        drawn = segno.make(pending.address(operator.name), error="m", micro=False)
        picture = Markup(drawn.svg_inline(scale=5, border=4, dark="black", light="white"))
        groups = " ".join(re.findall(".{1,4}", pending.secret))
        return request.render("totp.jinja", picture=picture, secret=groups)

    async def _confirm_totp(self, request: PageRequest) -> Response:
        code = str((await request.form()).get("code") or "")
        kept = request.operator_session.id
        if not await request.services.second_factors.confirm(request.operator.id, code, request.actor, keep=kept):
            raise InputError("This code is not the one of now. Look whether the phone's clock is right, and try again.")
        return request.redirect(ACCOUNT, said="The second factor is on; you are logged out everywhere else.")

    async def _remove_totp(self, request: PageRequest) -> Response:
        await confirm_password(request)
        await request.services.second_factors.remove(request.operator.id, request.actor)
        return request.redirect(ACCOUNT, said="The second factor is off.")


async def confirm_password(request: PageRequest) -> None:
    """Check the field ``password``, in which the operator repeats the own password before an important change.

    Raises:
        HTTPException: it is wrong (403).
    """
    given = str((await request.form()).get("password") or "")
    if not await request.services.log_in.confirm_password(request.operator.id, given):
        raise HTTPException(403, _WRONG_PASSWORD)


def listed(value: object) -> list[str]:
    """Return the names in a field that are separated by commas, in any script, or by lines."""
    return [part for part in re.split("[,;\n\u060c\u3001\uff0c]", str(value or "")) if part.strip()]
