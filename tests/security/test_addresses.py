"""Whose connections count together, and whose word about others is believed."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import httpx
import pytest
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from qwendesk.channels.web.channel import WebChannel
from qwendesk.server.addresses import TrustedProxies, is_loopback, peer_network, plain_address
from qwendesk.server.limits import WebLimits
from qwendesk.server.web import WebServer, build_app
from qwendesk.settings import HttpSettings

LIMITS = WebLimits(connections_per_address=2)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("", ""),
        ("no address", "no address"),
    ],
)
def test_an_address_counts_by_its_network(address: str, network: str) -> None:
    assert peer_network(address) == network
    assert plain_address("::ffff:127.0.0.1") == "127.0.0.1" and is_loopback("::ffff:127.0.0.1")


def test_proxies_are_named_by_address_or_network() -> None:
    trusted = TrustedProxies(["10.0.0.0/8", "2001:db8::/32", "127.0.0.1"])
    inside = ("10.1.2.3", "::ffff:10.1.2.3", "2001:db8::5", "127.0.0.1")
    assert all(address in trusted for address in inside)
    assert not any(address in trusted for address in ("11.0.0.1", "127.0.0.2", "", "x", "2001:db9::1"))
    with pytest.raises(ValidationError, match="addresses or networks"):
        HttpSettings(trusted_proxies=("proxy.example",))


async def _asked(limits: WebLimits, headers: list[tuple[str, str]], times: int = 1) -> str:
    """Return the address that an application sees of a caller on this machine."""

    async def tell(request: Request) -> PlainTextResponse:
        return PlainTextResponse(request.client.host if request.client else "")

    server = WebServer(Starlette(routes=[Route("/", tell)]), "127.0.0.1", 0, limits)
    await server.start()
    try:
        async with httpx.AsyncClient() as client:
            seen = [(await client.get(server.url, headers=headers)).text for _ in range(times)]
            return seen[0]
    finally:
        await server.stop()


@pytest.mark.parametrize(
    ("proxies", "said", "seen"),
    [
        ((), "192.0.2.1", "127.0.0.1"),
        (("10.0.0.0/8",), "192.0.2.1", "127.0.0.1"),
        (("127.0.0.0/8",), "192.0.2.1", "192.0.2.1"),
        (("127.0.0.0/8",), "198.51.100.7, 192.0.2.1", "192.0.2.1"),
        (("127.0.0.0/8", "192.0.2.1"), "198.51.100.7, 192.0.2.1", "198.51.100.7"),
    ],
)
async def test_a_forwarded_address_is_believed_of_named_proxies_alone(
    proxies: tuple[str, ...], said: str, seen: str
) -> None:
    assert await _asked(replace(LIMITS, trusted_proxies=proxies), [("X-Forwarded-For", said)]) == seen


async def test_a_proxy_that_is_not_named_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    for proxies, told in ((("10.0.0.0/8",), 1), (("127.0.0.0/8",), 0)):
        caplog.clear()
        await _asked(replace(LIMITS, trusted_proxies=proxies), [("X-Forwarded-For", "192.0.2.1")], times=3)
        assert caplog.text.count("trusted_proxies") == told
    await _asked(LIMITS, [])
    assert "trusted_proxies" not in caplog.text


async def test_visitors_behind_a_named_proxy_are_counted_one_by_one() -> None:
    async def health() -> dict[str, Any]:
        return {}

    channel = WebChannel.create(WebChannel.manifest.read({}))
    limits = replace(LIMITS, trusted_proxies=("127.0.0.1",))
    server = WebServer(build_app(health, {"web": channel.routes()}), "127.0.0.1", 0, limits)
    await server.start()
    url = f"ws://127.0.0.1:{server.port}/channels/web/socket"
    try:
        async with AsyncExitStack() as stack:
            for visitor in ("192.0.2.1", "192.0.2.2", "2001:db8::1"):
                for _ in range(2):
                    await stack.enter_async_context(connect(url, additional_headers={"X-Forwarded-For": visitor}))
            for visitor in ("192.0.2.1", "2001:db8::2"):
                with pytest.raises(InvalidStatus):
                    await connect(url, additional_headers={"X-Forwarded-For": visitor})
    finally:
        await server.stop()
