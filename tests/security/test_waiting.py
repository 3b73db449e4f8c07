"""Messages that wait and files that are kept have limits: of a person, of strangers, of all."""

from __future__ import annotations

from pathlib import Path

import pytest

from qwendesk.desk.access import AccessPolicy
from qwendesk.desk.admission import AdmissionLimits
from qwendesk.desk.translations import say
from qwendesk.messages import Attachment, Inbound
from tests.desk.parts import Running, running

HOUSES = {
    "test": AccessPolicy("open", allow=frozenset({"known"})),
    "open": AccessPolicy("open"),
    "closed": AccessPolicy("allowlist", allow=frozenset({"known"})),
}
SMALL = AdmissionLimits(
    max_open_per_person=3, max_open_total=12, max_open_of_strangers=8, max_open_of_strangers_per_channel=5
)


async def write(desk: Running, person: str, number: int = 0, channel: str = "test", size: int = 0) -> str:
    files = (Attachment("document", "text/plain", bytes(size), "a.txt"),) if size else ()
    written = Inbound("hello", f"{person}-{number}", files, person=person, channel=channel, event=None)
    admission = await desk.runtime.accept(written)
    return str(admission.outcome)


async def test_strangers_on_one_channel_leave_room_for_known_people_and_other_channels(tmp_path: Path) -> None:
    async with running(tmp_path, limits=SMALL, access_policies=HOUSES, answers=False) as desk:
        assert [await write(desk, f"stranger{number}") for number in range(7)] == ["accepted"] * 5 + ["refused"] * 2
        assert await write(desk, "visitor", channel="open") == "accepted"
        assert [await write(desk, "known"), await write(desk, "known", channel="closed")] == ["accepted"] * 2
        assert await write(desk, "another", channel="open") == "refused", "all strangers together have a share"
        assert await write(desk, "known", 1) == "accepted"


async def test_one_person_may_have_only_so_much_waiting_in_many_conversations(tmp_path: Path) -> None:
    async with running(tmp_path, limits=SMALL, access_policies=HOUSES, answers=False) as desk:
        assert [await write(desk, "known", number) for number in range(4)] == ["accepted"] * 3 + ["refused"]
        assert await write(desk, "another") == "accepted"


async def test_a_desk_that_is_full_is_busy_for_everybody(tmp_path: Path) -> None:
    limits = AdmissionLimits(max_open_total=2)
    async with running(tmp_path, limits=limits, access_policies=HOUSES, answers=False) as desk:
        said = [await write(desk, person) for person in ("known", "a", "b")]
        assert said == ["accepted", "accepted", "busy"]


@pytest.mark.parametrize("size", [400, 1000, 1001])
async def test_files_of_one_person_have_a_limit_a_day(tmp_path: Path, size: int) -> None:
    limits = AdmissionLimits(person_bytes_per_day=1000)
    async with running(tmp_path, limits=limits, access_policies=HOUSES, answers=False) as desk:
        said = [await write(desk, "known", number, size=size) for number in range(4)]
        most = 1000 // size
        assert said == ["accepted"] * most + ["refused"] * (4 - most)
        assert await write(desk, "known", 9) == "accepted", "text is taken all the same"
        assert await write(desk, "another", size=400) == "accepted"


async def test_files_of_new_visitors_share_a_limit(tmp_path: Path) -> None:
    limits = AdmissionLimits(stranger_bytes_per_day=1000)
    async with running(tmp_path, limits=limits, access_policies=HOUSES, answers=False) as desk:
        said = [await write(desk, f"visitor{number}", size=300) for number in range(5)]
        assert said == ["accepted"] * 3 + ["refused"] * 2
        assert await write(desk, "known", size=900) == "accepted"
        assert await write(desk, "visitor", channel="open", size=900) == "accepted", "each channel has its own"


async def test_new_visitors_at_one_public_address_share_a_limit(tmp_path: Path) -> None:
    limits = AdmissionLimits(per_hour=2, people_per_address=2, person_bytes_per_day=1000, file_senders_per_address=2)
    houses = {"test": AccessPolicy("open", allow=frozenset({"known"}))}

    async def write_from(address: str, person: str, size: int = 0) -> str:
        file = (Attachment("document", "text/plain", bytes(size), "a.txt"),) if size else ()
        return str((await desk.say("hello", person, attachments=file, person=person, address=address)).outcome)

    async with running(tmp_path, limits=limits, access_policies=houses, answers=False) as desk:
        said = [await write_from("9.9.9.9", f"visitor{number}") for number in range(5)]
        assert said == ["accepted"] * 4 + ["refused"]
        assert await write_from("9.9.9.9", "known") == "accepted"
        assert await write_from("127.0.0.1", "behind a proxy that is not named") == "accepted"
        said = [await write_from(f"2001:db9::{number}", f"guest{number}", 900) for number in range(3)]
        assert said == ["accepted"] * 2 + ["refused"], "IPv6 addresses count by their /64"


async def test_whoever_sent_too_many_files_is_told_when_to_go_on(tmp_path: Path) -> None:
    limits = AdmissionLimits(person_bytes_per_day=1000)
    async with running(tmp_path, limits=limits, answers=False) as desk:
        file = (Attachment("document", "text/plain", bytes(500), "a.txt"),)
        for _ in range(2):
            await desk.say("hello", attachments=file, locale="de")
        told = await desk.say("Schau dir bitte diese Datei an", attachments=file, locale="de")
        assert told.text == say("files_limited", "de", hours=12) and told.retry_after == 12 * 3600
