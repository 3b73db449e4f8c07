"""Files at addresses that strangers have written."""

from __future__ import annotations

import logging

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from qwendesk.channels.ingest import with_attachments
from qwendesk.channels.xmpp.session import fetch_file
from qwendesk.errors import ChannelError
from qwendesk.messages import Inbound
from qwendesk.testing.simulators.base import serve


@pytest.mark.parametrize("url", ["http://[bad", "http://a\u2100b/", "http://a:port/", "nothing", "http://"])
async def test_what_is_no_address_is_a_file_that_cannot_be_had(url: str) -> None:
    with pytest.raises(ChannelError) as caught:
        await fetch_file(url, 99)
    assert caught.value.permanent


async def test_a_trusted_server_may_send_on_within_itself_only() -> None:
    async def sent_on(request: Request) -> Response:
        place = request.query_params.get("to")
        return RedirectResponse(place) if place else Response(b"bytes", media_type="image/png")

    app = Starlette(routes=[Route("/files/{name}", sent_on), Route("/secret", sent_on)])
    async with serve(app) as home, serve(app) as other:
        trusted = [f"{home}/files/"]
        found = await fetch_file(f"{home}/files/a.png?to={home}/files/b.png", 99, trusted)
        assert (found.kind, found.data) == ("image", b"bytes")
        with pytest.raises(ChannelError, match="private network"):
            await fetch_file(f"{home}/files/a.png?to={other}/files/b.png", 99, trusted)
        with pytest.raises(ChannelError, match="private network"):
            await fetch_file(f"{other}/files/a.png", 99, trusted)
        for way in ("../secret", "%2e%2e/secret", "..%2fsecret", "..\\secret"):
            with pytest.raises(ChannelError, match="leaves the trusted prefix"):
                await fetch_file(f"{home}/files/{way}", 99, trusted)


async def test_of_an_address_only_the_server_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def fetch() -> object:
        return await fetch_file("http://127.0.0.1/capability/a.png", 99)

    async def odd() -> object:
        return await fetch_file("http://127.0.0.1:port/capability", 99)

    with caplog.at_level(logging.DEBUG):
        for fetching in (fetch, odd):
            assert (await with_attachments(Inbound("", "c"), [fetching])).unsupported_media == "file"  # type: ignore[list-item]
    assert "127.0.0.1" in caplog.text and "capability" not in caplog.text
