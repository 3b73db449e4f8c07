"""Behind a proxy: it is believed only where the settings trust it, on a real server."""

from __future__ import annotations

import re

import httpx
import pytest

from qwendesk.desk.operators.operators import Operators
from qwendesk.server.limits import WebLimits
from qwendesk.server.pages.all_pages import build_pages
from qwendesk.server.web import WebServer, build_app
from tests.server.browser import PASSWORD, add, well

FORWARDED = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}


@pytest.mark.parametrize("is_trusted", [True, False])
async def test_a_proxy_tells_whether_the_connection_is_encrypted_if_it_is_trusted(
    operators: Operators, is_trusted: bool
) -> None:
    await add(operators, "ann")
    limits = WebLimits(trusted_proxies=("127.0.0.1",) if is_trusted else ())
    server = WebServer(build_app(well, desk_routes=build_pages(operators).routes()), "127.0.0.1", 0, limits)
    await server.start()
    try:
        async with httpx.AsyncClient(base_url=server.url, headers=FORWARDED) as proxy:
            page = await proxy.get("/desk/login")
            token = re.findall(r'name="csrf" value="([^"]+)"', page.text)[0]
            cookie = page.headers["set-cookie"].partition(";")[0]
            sent = {"csrf": token, "name": "ann", "password": PASSWORD}
            origin = {"Cookie": cookie, "Origin": f"https://127.0.0.1:{server.port}"}
            begun = await proxy.post("/desk/login", data=sent, headers=origin)
    finally:
        await server.stop()
    assert begun.status_code == 303
    session = begun.headers.get_list("set-cookie")[0]
    assert session.startswith("__Host-") is ("Secure" in session) is is_trusted
    assert ("not encrypted" in page.text) is not is_trusted
    (entry,) = await operators.audit.entries(action="login")
    assert entry.address == ("203.0.113.9" if is_trusted else "127.0.0.1")
