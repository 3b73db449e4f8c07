"""What every page of the operators does: who may call it, from where, with which headers and errors."""

from __future__ import annotations

import re

import pytest
from starlette.exceptions import HTTPException
from starlette.responses import Response

from qwendesk.desk.operators.operators import Operators
from qwendesk.errors import InputError, StoreError
from qwendesk.memory.memory import Memory
from qwendesk.server.pages.page import DeskPage, PageRequest
from tests.server.browser import LOCAL, PASSWORD, REMOTE, Browser, add, operators_in


async def test_before_the_first_operator_only_this_machine_is_told_how_to_add_one(operators: Operators) -> None:
    async with Browser(operators) as here, Browser(operators, REMOTE) as elsewhere:
        assert "qwendesk operators add" in (await here.get("/desk")).text
        proxied = await here.get("/desk/login", headers={"X-Forwarded-For": REMOTE})
        assert [proxied.status_code, (await elsewhere.get("/desk")).status_code] == [404, 404]
        await add(operators, "ann")
        assert "Password" in (await elsewhere.get("/desk")).text


async def test_the_settings_can_serve_the_pages_without_an_operator(memory: Memory) -> None:
    async with Browser(operators_in(memory, pages="on"), REMOTE) as elsewhere:
        assert "Password" in (await elsewhere.get("/desk")).text


async def test_an_operator_logs_in_and_out(operators: Operators) -> None:
    await add(operators, "ann", display_name="Ann <b>Lee</b>")
    async with Browser(operators) as browser:
        assert str((await browser.get("/desk")).url).endswith("/desk/login")
        shown = await browser.log_in("Ann")
        assert shown.url.path == "/desk" and "Ann &lt;b&gt;Lee&lt;/b&gt;" in shown.text
        left = await browser.submit("/desk", "/desk/logout")
        assert left.url.path == "/desk/login"
        assert (await browser.get("/desk")).url.path == "/desk/login"


@pytest.mark.parametrize(
    ("wished", "reached"),
    [
        ("/desk/nothing?a=1", "/desk/nothing"),
        ("https://evil.example/desk", "/desk"),
        ("//evil.example/desk", "/desk"),
        ("/desk/../healthz", "/desk"),
        ("/desk\\@evil.example", "/desk"),
        ("javascript:alert(1)", "/desk"),
        ("/healthz", "/desk"),
        ("http://[", "/desk"),
    ],
)
async def test_after_the_log_in_comes_the_wished_page_of_the_desk(
    operators: Operators, wished: str, reached: str
) -> None:
    await add(operators, "ann")
    async with Browser(operators) as browser:
        shown = await browser.submit(f"/desk/login?next={wished}", "/desk/login", name="ann", password=PASSWORD)
        assert (shown.url.host, shown.url.path) == ("desk.example", reached)


def refuse(error: Exception) -> DeskPage:
    async def endpoint(request: PageRequest) -> Response:
        raise error

    return DeskPage("/desk/refuse", endpoint, "viewer", methods=("GET", "POST"), max_body=1000)


@pytest.mark.parametrize(
    ("error", "status", "told", "secret"),
    [
        (InputError("The name is empty."), 400, "The name is empty.", "Traceback"),
        (HTTPException(409, "It was <taken>."), 409, "It was &lt;taken&gt;.", "<taken>"),
        (
            StoreError("The database 'postgresql://desk/pw' is away.", reason="it is locked"),
            503,
            "it is locked",
            "postgresql:",
        ),
        (ValueError("secret of a library"), 500, "fault of the program", "secret"),
    ],
)
async def test_errors_become_a_page_or_a_line(
    operators: Operators, error: Exception, status: int, told: str, secret: str
) -> None:
    await add(operators, "ann")
    async with Browser(operators, further=[refuse(error)]) as browser:
        await browser.log_in("ann")
        page = await browser.get("/desk/refuse")
        line = await browser.get("/desk/refuse", headers={"HX-Request": "true"})
    assert page.status_code == line.status_code == status
    assert told in page.text and told in line.text and secret not in page.text + line.text
    assert "<html" in page.text and "<html" not in line.text and line.headers["hx-retarget"] == "#alerts"


async def test_a_changing_request_needs_the_token_of_its_session_and_the_own_origin(operators: Operators) -> None:
    async def change(request: PageRequest) -> Response:
        return Response("changed")

    await add(operators, "ann")
    async with Browser(operators, further=[DeskPage("/desk/change", change, "viewer", methods=("POST",))]) as browser:
        await browser.log_in("ann")
        token = re.search(r'name="csrf" value="([^"]+)"', (await browser.get("/desk")).text)
        assert token
        right = {"csrf": token[1]}
        assert (await browser.post("/desk/change", data=right)).text == "changed"
        assert (await browser.post("/desk/change", headers={"X-CSRF-Token": token[1]})).text == "changed"
        own = {"Origin": "http://desk.example"}
        assert (await browser.post("/desk/change", data=right, headers=own)).text == "changed"
        for data in ({}, {"csrf": ""}, {"csrf": token[1][:-1]}, {"csrf": "ü"}):
            assert (await browser.post("/desk/change", data=data)).status_code == 403
        for name, value in (
            ("Origin", "https://evil.example"),
            ("Origin", "http://desk.example.evil.example"),
            ("Origin", "null"),
            ("Origin", "http://["),
            ("Sec-Fetch-Site", "cross-site"),
            ("Sec-Fetch-Site", "same-site"),
        ):
            assert (await browser.post("/desk/change", data=right, headers={name: value})).status_code == 403
        assert (await browser.post("/desk/change", data={**right, "more": "x" * 300_000})).status_code == 413


async def test_a_page_runs_only_its_own_scripts_and_is_kept_by_nobody(operators: Operators) -> None:
    await add(operators, "ann")
    async with Browser(operators) as browser:
        first, second = await browser.log_in("ann"), await browser.get("/desk")
        style = await browser.get("/desk/static/desk.css")
        assert (await browser.get("/desk/static/../page.py")).status_code == 404
    policy = first.headers["content-security-policy"]
    nonces = [
        re.search(r"script-src 'nonce-([^']+)'", one.headers["content-security-policy"]) for one in (first, second)
    ]
    assert nonces[0] and nonces[1] and nonces[0][1] != nonces[1][1]
    assert "unsafe" not in policy and "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
    assert set(re.findall(r'nonce="([^"]+)"', first.text)) == {nonces[0][1]}
    assert not re.search(r"<style|style=|\son\w+=|hx-on", first.text)
    assert first.headers["cache-control"] == "no-store" and first.headers["x-content-type-options"] == "nosniff"
    assert style.headers["content-type"].startswith("text/css")


@pytest.mark.parametrize(
    ("address", "scheme", "headers", "warned"),
    [
        (LOCAL, "http", {}, False),
        (REMOTE, "https", {}, False),
        (REMOTE, "http", {}, True),
        (LOCAL, "http", {"X-Forwarded-For": REMOTE}, True),
    ],
)
async def test_a_connection_that_others_can_read_is_named_on_the_page(
    operators: Operators, address: str, scheme: str, headers: dict[str, str], warned: bool
) -> None:
    await add(operators, "ann")
    async with Browser(operators, address, scheme) as browser:
        shown = await browser.get("/desk/login", headers=headers)
    assert ("not encrypted" in shown.text) is warned


async def test_cookies_are_out_of_reach_of_scripts_and_with_tls_of_other_hosts(operators: Operators) -> None:
    await add(operators, "ann")
    for scheme in ("http", "https"):
        async with Browser(operators, scheme=scheme) as browser:
            await browser.log_in("ann")
            sent = [
                cookie for one in (await browser.log_in("ann")).history for cookie in one.headers.get_list("set-cookie")
            ]
            sent += (await browser.submit("/desk", "/desk/logout")).history[0].headers.get_list("set-cookie")
        assert sent
        for cookie in sent:
            assert "HttpOnly" in cookie and "SameSite=lax" in cookie and "Path=/" in cookie
            assert cookie.startswith("__Host-") is ("Secure" in cookie) is (scheme == "https")
