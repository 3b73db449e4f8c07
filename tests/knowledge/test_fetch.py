"""Fetching of web pages: redirects are checked and private networks refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from ipaddress import ip_address

import pytest

from qwendesk.errors import InputError
from qwendesk.safe_fetch import Address, Fetcher, is_public


class Site:
    """A server that answers each path as configured and records the requests."""

    def __init__(self) -> None:
        self.port = 0
        self.asked: list[tuple[str, str]] = []
        self.pages: dict[str, bytes] = {}

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        path = head.split(" ")[1]
        host = next(line[6:] for line in head.split("\r\n") if line.lower().startswith("host: "))
        self.asked.append((host, path))
        writer.write(self.pages.get(path, b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"))
        with suppress(ConnectionError):
            await writer.drain()
        writer.close()

    def redirect(self, path: str, to: str) -> None:
        self.pages[path] = f"HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n".encode()

    def page(self, path: str, body: bytes, kind: str = "text/html") -> None:
        self.pages[path] = (
            f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
        )


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    made = Site()
    server = await asyncio.start_server(made.answer, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    yield made
    server.close()
    await server.wait_closed()


def fetcher(most: int = 100_000, time_limit: float = 10) -> Fetcher:
    """Return a fetcher that accepts only 127.0.0.1, under the name site.test, as a public address."""

    async def resolve(host: str, port: int) -> list[str]:
        return {"site.test": ["127.0.0.1"], "mixed.test": ["127.0.0.1", "10.0.0.1"]}.get(host, [host])

    def allowed(address: Address) -> bool:
        return str(address) == "127.0.0.1"

    return Fetcher(most=most, time_limit=time_limit, allowed=allowed, resolve=resolve)


async def test_a_page_comes_by_its_name(site: Site) -> None:
    site.redirect("/start", "/docs/page.html?x=1")
    site.page("/docs/page.html?x=1", b"<p>hello</p>")
    page = await fetcher().fetch(f"http://site.test:{site.port}/start")
    assert (page.data, page.mime, page.name) == (b"<p>hello</p>", "text/html", "page.html")
    assert site.asked[0] == (f"site.test:{site.port}", "/start"), (
        "the server is asked by name, at the address looked at"
    )


@pytest.mark.parametrize(
    "target",
    [
        "http://10.0.0.1/", "http://169.254.169.254/latest/meta-data/", "http://[::1]/", "http://192.168.1.1/",
        "http://[::ffff:10.0.0.1]/", "http://mixed.test/", "http://0.0.0.0/",
    ],
)  # fmt: skip
async def test_a_redirect_into_a_private_network_is_refused(site: Site, target: str) -> None:
    site.redirect("/", target)
    with pytest.raises(InputError, match="private network"):
        await fetcher().fetch(f"http://site.test:{site.port}/")
    assert len(site.asked) == 1


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://site.test/", "http://", "gopher://x", "http://site.test:99999/"]
)
async def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(InputError):
        await fetcher().fetch(url)


async def test_a_redirect_to_a_file_is_refused(site: Site) -> None:
    site.redirect("/", "file:///etc/passwd")
    with pytest.raises(InputError, match="no web address"):
        await fetcher().fetch(f"http://site.test:{site.port}/")


async def test_redirects_without_end_are_given_up(site: Site) -> None:
    site.redirect("/", "/")
    with pytest.raises(InputError, match="more than 5 times"):
        await fetcher().fetch(f"http://site.test:{site.port}/")


async def test_a_page_that_is_too_big_is_cut_off(site: Site) -> None:
    site.page("/", b"x" * 500_000)
    with pytest.raises(InputError, match="more than"):
        await fetcher(most=1000).fetch(f"http://site.test:{site.port}/")


async def test_a_server_that_says_nothing_is_given_up(site: Site) -> None:
    site.pages["/"] = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"
    with pytest.raises(InputError):
        await fetcher(time_limit=0.3).fetch(f"http://site.test:{site.port}/")


async def test_an_error_of_the_server_is_told(site: Site) -> None:
    with pytest.raises(InputError, match="404 Not Found"):
        await fetcher().fetch(f"http://site.test:{site.port}/none")


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("8.8.8.8", True), ("2606:4700::1111", True), ("127.0.0.1", False), ("10.1.2.3", False), ("172.16.0.1", False),
        ("100.64.0.1", False), ("169.254.1.1", False), ("224.0.0.1", False), ("::1", False), ("fe80::1", False),
        ("fc00::1", False), ("::ffff:127.0.0.1", False), ("64:ff9b::a00:1", False), ("2002:a00:1::", False),
        ("0.0.0.0", False), ("192.0.0.9", False), ("192.0.0.171", False), ("192.88.99.1", False), ("198.19.0.1", False),
        ("192.0.2.1", False), ("198.51.100.7", False), ("203.0.113.1", False), ("240.0.0.1", False),
        ("255.255.255.255", False), ("9.255.255.255", True), ("11.0.0.0", True), ("100.63.255.255", True),
        ("100.128.0.0", True), ("172.15.255.255", True), ("172.32.0.0", True), ("198.17.255.255", True),
        ("198.20.0.0", True), ("192.31.196.1", True), ("223.255.255.255", True), ("::", False), ("::8.8.8.8", False),
        ("::ffff:8.8.8.8", True), ("::ffff:0:8.8.8.8", False), ("64:ff9b::808:808", True),
        ("64:ff9b:1::808:808", False),
        ("100::1", False), ("100:0:0:1::1", False), ("2001::1", False), ("2001:1::1", False), ("2001:2::1", False),
        ("2001:3::1", False), ("2001:20::1", False), ("2001:30::1", False), ("2001:200::1", True),
        ("2001:db8::1", False), ("2002:808:808::", True), ("2002:7f00:1::", False), ("3fff::1", False),
        ("3fff:1000::1", True), ("5f00::1", False), ("fdff::1", False), ("fec0::1", False), ("ff02::1", False),
        ("4000::1", False),
    ],
)  # fmt: skip
def test_which_addresses_are_public(address: str, expected: bool) -> None:
    assert is_public(ip_address(address)) is expected
