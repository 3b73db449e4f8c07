"""The pages of the own account, of the team and of the audit log, as a browser without scripts uses them."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from pyotp import TOTP

from qwendesk.desk.operators.audit import AuditActor
from qwendesk.desk.operators.operators import Operators
from qwendesk.memory.memory import Memory
from tests.server.browser import PASSWORD, REMOTE, Browser, add, operators_in

NEW = "another long password"


async def test_an_operator_changes_the_own_account(operators: Operators) -> None:
    await add(operators, "ann")
    async with Browser(operators) as browser, Browser(operators) as elsewhere:
        await browser.log_in("ann")
        await elsewhere.log_in("ann")
        account = "/desk/account"
        said = await browser.submit(account, f"{account}/profile", display_name="آن", languages="Persian، de\nja")
        assert "stored" in said.text and "fa, de, ja" in said.text
        said = await browser.submit(account, f"{account}/available", available="no")
        assert "You take no new tickets" in said.text
        refused = await browser.submit(account, f"{account}/password", password="x", new=NEW, repeated=NEW)
        assert refused.status_code == 403
        for new, repeated in ((NEW, NEW + "r"), ("short", "short")):
            sent = {"password": PASSWORD, "new": new, "repeated": repeated}
            assert (await browser.submit(account, f"{account}/password", **sent)).status_code == 400
        said = await browser.submit(account, f"{account}/password", password=PASSWORD, new=NEW, repeated=NEW)
        assert "changed" in said.text, "the session that changed it goes on"
        assert (await elsewhere.get("/desk")).url.path == "/desk/login"
        assert (await elsewhere.log_in("ann")).status_code == 403
        assert (await elsewhere.log_in("ann", NEW)).url.path == "/desk"
        assert (await browser.submit(account, "/desk/logout", everywhere="yes")).url.path == "/desk/login"
        assert (await elsewhere.get("/desk")).url.path == "/desk/login"


async def test_a_second_factor_is_set_up_asked_for_and_removed(operators: Operators) -> None:
    await add(operators, "ann")
    totp = "/desk/account/totp"
    async with Browser(operators) as browser:
        await browser.log_in("ann")
        assert (await browser.submit("/desk/account", totp, password="wrong")).status_code == 403
        shown = await browser.submit("/desk/account", totp, password=PASSWORD)
        assert "<svg" in shown.text and "style=" not in shown.text
        key = re.search(r'<code dir="ltr">([A-Z2-7 ]+)</code>', shown.text)
        assert key
        app = TOTP(key[1].replace(" ", ""))
        assert (await browser.submit(totp, f"{totp}/confirm", code="000000")).status_code == 400
        assert "is on" in (await browser.submit(totp, f"{totp}/confirm", code=app.at(int(time.time()) - 30))).text
        assert (await browser.get(totp)).url.path == "/desk/account", "the key is shown no more"
        await browser.submit("/desk/account", "/desk/logout")
        asked = await browser.log_in("ann")
        assert asked.url.path == "/desk/login/code"
        assert (await browser.get("/desk/account")).url.path == "/desk/login", "nothing is shown before the code"
        wrong = await browser.submit("/desk/login/code", code="123")
        assert wrong.status_code == 403 and "not valid" in wrong.text
        assert (await browser.submit("/desk/login/code", code=app.now())).url.path == "/desk"
        assert "is off" in (await browser.submit("/desk/account", f"{totp}/remove", password=PASSWORD)).text


async def test_an_admin_manages_the_team(operators: Operators) -> None:
    await add(operators, "ann")
    team = "/desk/team"
    async with Browser(operators) as browser, Browser(operators) as bob:
        await browser.log_in("ann")
        added = await browser.submit(
            team,
            f"{team}/add",
            name="Bób",
            display_name="<i>Bob</i>",
            role="operator",
            languages="de",
            teams="A, a, B",
            new=NEW,
        )
        assert "bób is added" in added.text and "&lt;i&gt;Bob" in added.text
        page = added.url.path
        assert (await bob.log_in("bób", NEW)).url.path == "/desk"
        assert (await bob.get(team)).status_code == 403
        said = await browser.submit(page, f"{page}/role", role="viewer")
        assert "viewer" in said.text and (await bob.get("/desk")).url.path == "/desk/login"
        await browser.submit(page, f"{page}/profile", display_name="Bob", languages="", teams="")
        refused = await browser.submit(page, f"{page}/password", new=PASSWORD, password="not mine at all")
        assert refused.status_code == 403
        await browser.submit(page, f"{page}/password", new=PASSWORD, password=PASSWORD)
        assert (await bob.log_in("bób")).url.path == "/desk"
        assert "Ended sessions: 1" in (await browser.submit(page, f"{page}/logout")).text
        await bob.log_in("bób")
        await browser.submit(page, f"{page}/disable")
        assert (await bob.get("/desk")).url.path == "/desk/login"
        assert (await bob.log_in("bób")).status_code == 403
        await browser.submit(page, f"{page}/enable")
        assert (await bob.log_in("bób")).url.path == "/desk"
        log = await browser.get("/desk/audit")
        for action in ("operator.add", "operator.role", "operator.password", "operator.disable", "login.refused"):
            assert action in log.text
        filtered = await browser.get("/desk/audit", params={"operator": "BÓB", "action": "login"})
        assert "operator.add" not in filtered.text and "login" in filtered.text


async def test_an_admin_is_made_with_the_own_password_alone(operators: Operators) -> None:
    await add(operators, "ann")
    bob, eve = await add(operators, "bob", "operator"), await add(operators, "eve", "admin")
    await operators.accounts.disable(eve.id, AuditActor())
    async with Browser(operators) as browser:
        await browser.log_in("ann")
        ways = {
            "/desk/team/add": {"name": "mal", "role": "admin", "new": NEW},
            f"/desk/team/{bob.id}/role": {"role": "admin"},
            f"/desk/team/{eve.id}/enable": {},
        }
        before = await operators.accounts.all()
        for address, sent in ways.items():
            assert (await browser.submit("/desk/team", address, **sent)).status_code == 403, address
        assert [(one.name, one.role, one.disabled_at) for one in await operators.accounts.all()] == [
            (one.name, one.role, one.disabled_at) for one in before
        ]
        for address, sent in ways.items():
            assert (await browser.submit("/desk/team", address, password=PASSWORD, **sent)).status_code == 200
    admins = {one.name for one in await operators.accounts.all() if one.role == "admin" and one.disabled_at is None}
    assert admins == {"ann", "bob", "eve", "mal"}


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ({"name": "ann", "new": NEW}, "already"),
        ({"name": "a b", "new": NEW}, "not a log-in name"),
        ({"name": "bob", "new": "short"}, "5 characters"),
        ({"name": "bob", "new": NEW, "role": "boss"}, "no role"),
        ({"name": "bob", "new": NEW, "languages": "Klingonisch"}, "not a language"),
        ({}, "0 characters"),
    ],
)
async def test_wrong_values_are_told_and_nothing_is_added(
    operators: Operators, sent: dict[str, Any], told: str
) -> None:
    await add(operators, "ann")
    async with Browser(operators) as browser:
        await browser.log_in("ann")
        refused = await browser.submit("/desk/team", "/desk/team/add", **{"role": "operator", **sent})
        assert refused.status_code == 400 and told in refused.text
        assert (await browser.get("/desk/team/none")).status_code == 404
    assert len(await operators.accounts.all()) == 1


async def test_the_last_admin_cannot_leave_by_the_pages(operators: Operators) -> None:
    ann = await add(operators, "ann")
    page = f"/desk/team/{ann.id}"
    async with Browser(operators) as browser:
        await browser.log_in("ann")
        for action, sent in (("role", {"role": "viewer"}), ("disable", {})):
            refused = await browser.submit(page, f"{page}/{action}", **sent)
            assert refused.status_code == 400 and "No admin would be left" in refused.text
        assert (await browser.get("/desk/team")).status_code == 200


async def test_tries_to_log_in_are_limited_per_address(memory: Memory) -> None:
    operators = operators_in(memory, address_tries_per_hour=5)
    await add(operators, "ann")
    async with Browser(operators, REMOTE) as browser:
        answers = [(await browser.log_in(f"name{number}", "guess")).status_code for number in range(7)]
        assert answers == [403] * 5 + [429] * 2
        assert (await browser.log_in("ann")).status_code == 429
        browser.address = "198.51.100.7"
        assert (await browser.log_in("ann")).url.path == "/desk"
