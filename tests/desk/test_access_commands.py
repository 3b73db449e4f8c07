"""Those in charge let others in by a command; for everybody else there is none of that name."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from qwendesk.messages import Inbound
from qwendesk.service import Service
from tests.desk.test_service import Loopback, settings


async def told(service: Service, channel: Loopback, person: str, text: str) -> str:
    """Let somebody write, and return what came back once all is answered."""
    del channel.sent[:]
    admitted = await channel.hears(text, person)
    if admitted.text:
        return admitted.text
    async with asyncio.timeout(20):
        while await service.runtime.acceptance.open_count():  # noqa: ASYNC110 - the desk tells nobody that it is idle
            await asyncio.sleep(0.02)
    return "".join(channel.sent).replace("\n", " ")


async def code_of(service: Service, channel: Loopback, person: str) -> str:
    found = re.search(r"[A-Z2-9]{8}", await told(service, channel, person, "hello"))
    assert found
    return found[0]


@pytest.mark.parametrize("rank", ["operators", "owners"])
async def test_who_is_in_charge_decides_by_the_code(tmp_path: Path, rank: str) -> None:
    channel = Loopback()
    made = settings(tmp_path, channels={"loopback": {rank: ["ann"], "allow": ["carl"]}})
    async with Service(made, channels={"loopback": channel}) as service:
        code = await code_of(service, channel, "bob")
        assert "no command /approve" in await told(service, channel, "carl", f"/approve {code}")
        (guest,) = await service.runtime.access.requests("waiting")
        assert guest.code == code
        assert "may talk with me now" in await told(service, channel, "ann", f"/approve `{code.lower()}`, please")
        assert "scripted-general" in await told(service, channel, "bob", "hello")
        code = await code_of(service, channel, "eve")
        assert "may not talk with me" in await told(service, channel, "ann", f"/deny {code}")
        assert not re.search(r"[A-Z2-9]{8}", await told(service, channel, "eve", "hello"))


@pytest.mark.parametrize("wrong", ["", "ABCDEFGH", "loopback:eve", "ABCD"])
async def test_only_a_code_that_holds_is_taken(tmp_path: Path, wrong: str) -> None:
    channel = Loopback()
    made = settings(tmp_path, channels={"loopback": {"operators": ["ann"]}})
    async with Service(made, channels={"loopback": channel}) as service:
        assert "That code is not valid" in await told(service, channel, "ann", f"/approve {wrong}")
        assert not await service.runtime.access.requests()


@pytest.mark.parametrize("access", ["pairing", "allowlist"])
async def test_who_may_talk_by_the_settings_may_be_in_charge_by_the_guest_book(tmp_path: Path, access: str) -> None:
    channel = Loopback()
    made = settings(tmp_path, channels={"loopback": {"access": access, "allow": ["ann"]}})
    async with Service(made, channels={"loopback": channel}) as service:
        await service.runtime.access.decide("loopback:ann", "allowed", "operator")
        assert "That code is not valid" in await told(service, channel, "ann", "/approve ABCDEFGH")


async def test_a_name_is_shown_as_it_is(tmp_path: Path) -> None:
    channel = Loopback()
    made = settings(tmp_path, channels={"loopback": {"operators": ["ann"]}})
    async with Service(made, channels={"loopback": channel}) as service:
        boss = Inbound("hi", "c", channel="loopback", person="4711", display_name="**boss** `x`\n" + "y" * 500)
        code = await service.runtime.access.request(boss, "ABCDEFGH", datetime.now(UTC) + timedelta(hours=1))
        answer = await told(service, channel, "ann", f"/approve {code}")
    # inline code, so the name's own marks stay as they are
    shown = answer.replace(" ", "")
    assert "loopback:4711(**boss**xyy" in shown and "`" not in shown and shown.count("y") < 100, answer


async def test_where_nobody_is_proved_nobody_is_in_charge(tmp_path: Path) -> None:
    channel = Loopback()
    channel.authenticates_senders = False
    async with Service(settings(tmp_path, channels={"loopback": {}}), channels={"loopback": channel}) as service:
        await service.runtime.access.decide("loopback:ann", "allowed", "operator")
        code = await code_of(service, channel, "bob")
        assert "no command /approve" in await told(service, channel, "ann", f"/approve {code}")
