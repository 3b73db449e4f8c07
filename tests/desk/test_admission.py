"""Who and what is taken at the door, and what is said to the rest."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from qwendesk.desk.access import AccessPolicy
from qwendesk.desk.admission import AdmissionLimits
from qwendesk.desk.inbox.repository import InboxRepository
from qwendesk.errors import ConfigError
from qwendesk.messages import Attachment, Inbound
from tests.desk.parts import running


async def test_a_stranger_gets_a_code_and_is_answered_once_approved(tmp_path: Path) -> None:
    async with running(tmp_path, access_policies={"test": AccessPolicy()}) as desk:
        first, second = await desk.say("hello"), await desk.say("hello?")
        assert first.outcome == second.outcome == "refused"
        (guest,) = await desk.runtime.access.requests("waiting")
        assert guest.code and guest.code in first.text
        assert second.text == "", "whoever goes on is not told again at once"
        assert (await desk.say("hello", group=True)).text == ""
        await desk.runtime.access.decide(guest.code.lower(), "allowed")
        assert (await desk.say("hello")).outcome == "accepted"
        await desk.settle()
        assert len(desk.outlet.sent) == 1


async def test_a_code_holds_once_and_a_denied_person_stays_out(tmp_path: Path) -> None:
    async with running(tmp_path, access_policies={"test": AccessPolicy()}, answers=False) as desk:
        await desk.say("hello")
        (guest,) = await desk.runtime.access.requests()
        assert guest.code
        denied = await desk.runtime.access.decide(guest.code, "denied")
        assert denied and denied.person == "ann"
        assert await desk.runtime.access.decide(guest.code, "allowed") is None
        refused = await desk.say("hello")
        assert refused.outcome == "refused" and "may not" in refused.text


async def test_only_those_on_the_list_are_taken(tmp_path: Path) -> None:
    house = AccessPolicy.read("test", {"access": "allowlist", "allow": "bob, ann"})
    async with running(tmp_path, access_policies={"test": house}, answers=False) as desk:
        assert (await desk.say("hello")).outcome == "accepted"
    house = AccessPolicy.read("test", {"access": "allowlist", "allow": ["bob"]})
    async with running(tmp_path, access_policies={"test": house}, answers=False) as desk:
        assert (await desk.say("hello")).outcome == "refused"


async def test_whoever_is_denied_stays_out_of_an_open_channel_and_of_a_list(tmp_path: Path) -> None:
    for house in (
        AccessPolicy("open"),
        AccessPolicy("allowlist", allow=frozenset({"ann"})),
        AccessPolicy(owners=frozenset({"ann"})),
    ):
        async with running(tmp_path, access_policies={"test": house}, answers=False) as desk:
            book = desk.runtime.access
            assert await book.decide("test:ann", "denied"), "nobody has to have asked before"
            refused = [await desk.say("hello", account=account) for account in ("", "sales")]
            assert [(said.outcome, "may not" in said.text) for said in refused] == [("refused", True)] * 2
            assert await book.decide("test:ann", "allowed")
            assert (await desk.say("hello")).outcome == "accepted"
            assert await book.decide("NOSUCHCO", "denied") is None


async def test_refusals_are_told_once_and_a_letter_s_sender_once_an_hour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("qwendesk.desk.rate_limiter.monotonic", lambda: now)
    async with running(
        tmp_path,
        access_policies={"test": AccessPolicy("open"), "mail": AccessPolicy(forgeable_senders=True)},
        answers=False,
    ) as desk:
        for say in ({"text": "/stop"}, {"text": "x" * 9000}, {"text": "", "unsupported_media": "video"}):
            assert [bool((await desk.say(**say)).text) for _ in range(3)] == [True, False, False], say  # type: ignore[arg-type]

        async def writes(conversation: str) -> bool:
            letter = Inbound("hello", conversation, channel="mail", person="ann@example.org")
            return bool((await desk.runtime.accept(letter)).text)

        assert [await writes(f"thread {number}") for number in range(3)] == [True, False, False]
        now += 3000.0
        assert not await writes("thread 4") and (await desk.say("/stop")).text
        now += 700.0
        assert await writes("thread 5")


async def test_strangers_without_end_leave_no_rows_without_end(tmp_path: Path) -> None:
    async with running(tmp_path, access_policies={"test": AccessPolicy()}, answers=False) as desk:
        refused = [await desk.say("hello", f"c{number}", person=f"p{number}") for number in range(60)]
        assert {said.outcome for said in refused} == {"refused"}
        guests = await desk.runtime.access.requests()
        assert 50 <= len(guests) < 60
        await desk.runtime.access.prune(datetime.now(UTC) + timedelta(days=1))
        assert await desk.runtime.access.requests() == []


async def test_stop_costs_the_database_only_so_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    async def counts(
        self: InboxRepository, channel: str, account: str, conversation: str, person: str | None
    ) -> list[str]:
        asked.append(conversation)
        return []

    monkeypatch.setattr(InboxRepository, "request_stop", counts)
    async with running(tmp_path, answers=False) as desk:
        for _ in range(30):
            await desk.say("/stop")
        assert 10 <= len(asked) < 15


def test_an_unknown_policy_is_refused() -> None:
    with pytest.raises(ConfigError, match="'everybody'"):
        AccessPolicy.read("test", {"access": "everybody"})


async def test_each_stranger_of_a_conversation_is_shown_a_code(tmp_path: Path) -> None:
    async with running(tmp_path, answers=False, access_policies={"test": AccessPolicy()}) as desk:
        codes = [(await desk.say("hello", person=person)).text for person in ("ann", "bob", "ann")]
        assert codes[0] and codes[1] and codes[0] != codes[1]
        assert not codes[2], "the same is not said again at once"


async def test_a_channel_without_rules_is_closed(tmp_path: Path) -> None:
    async with running(tmp_path, access_policies={}, answers=False) as desk:
        assert (await desk.say("hello")).outcome == "refused"


async def test_too_many_messages_are_refused_politely_and_not_stored(tmp_path: Path) -> None:
    async with running(tmp_path, limits=AdmissionLimits(per_hour=3), answers=False) as desk:
        outcomes = [(await desk.say("hello", event=f"e{number}")).outcome for number in range(5)]
        assert outcomes == ["accepted"] * 3 + ["refused"] * 2
        elsewhere = await desk.say("hello", "c2", event="e9", locale="it-IT")
        assert "20 min" in elsewhere.text and "Continua" in elsewhere.text and elsewhere.retry_after == 1200
        assert (await desk.say("hello", "c2", event="e10")).text == "", "a flood is not answered by one"
        assert await desk.runtime.acceptance.open_count() == 3
        # another delivery of what was taken is no new message
        assert (await desk.say("hello", event="e0")).outcome == "duplicate"


async def test_a_channel_has_a_limit_of_its_own(tmp_path: Path) -> None:
    limits = AdmissionLimits(per_hour=100, channel_per_hour=2)
    async with running(tmp_path, limits=limits, answers=False) as desk:
        outcomes = [(await desk.say("hello", f"c{number}")).outcome for number in range(3)]
        assert outcomes == ["accepted", "accepted", "refused"]
        told = await desk.say("hello", "c9")
        assert told.retry_after == 1800, "it is the channel that has to wait, not the person"


async def test_a_full_conversation_and_a_full_desk_are_busy(tmp_path: Path) -> None:
    limits = AdmissionLimits(max_open_per_conversation=2, max_open_total=3)
    async with running(tmp_path, limits=limits, answers=False) as desk:
        assert [(await desk.say("hello")).outcome for _ in range(3)] == ["accepted", "accepted", "refused"]
        assert [(await desk.say("hello", "c2")).outcome for _ in range(2)] == ["accepted", "busy"]


@pytest.mark.parametrize(
    ("text", "locale", "told"),
    [
        ("far too long for this desk", None, "at most 10 characters"),
        ("questa domanda è un po' troppo lunga", None, "al massimo 10 caratteri"),
        ("  ", "de", "Deine Nachricht ist leer"),
    ],
)
async def test_what_cannot_be_taken_is_refused_in_the_persons_language(
    tmp_path: Path, text: str, locale: str | None, told: str
) -> None:
    async with running(tmp_path, limits=AdmissionLimits(max_chars=10), answers=False) as desk:
        refused = await desk.say(text, locale=locale)
        assert refused.outcome == "refused" and told in refused.text


async def test_what_cannot_be_read_is_said_alone_or_with_the_answer(tmp_path: Path) -> None:
    async with running(tmp_path, lambda messages: "fine") as desk:
        alone = await desk.say("", unsupported_media="video")
        assert alone.outcome == "refused" and "video" in alone.text
        await desk.say("look at this", unsupported_media="sticker")
        await desk.settle()
        assert desk.outlet.texts[0].startswith("fine") and "sticker" in desk.outlet.texts[0]


async def test_files_reach_the_turn(tmp_path: Path) -> None:
    picture = Attachment("image", "image/png", b"not really", "a.png")
    async with running(tmp_path) as desk:
        await desk.say("what is this?", attachments=(picture,))
        await desk.settle()
        found = await desk.desk.memory.history.messages("c1", channel="test")
        assert found[0].attachments == (picture,)


async def test_a_file_s_name_and_type_can_be_stored_whatever_they_hold(tmp_path: Path) -> None:
    file = Attachment("document", "text/\x00plain", b"words", "a\x00b\ud800.txt")
    async with running(tmp_path, answers=False) as desk:
        assert (await desk.say("look", attachments=(file,))).outcome == "accepted"
        (id_,) = await desk.runtime.inbox_maintenance.open_since(datetime.now(UTC) + timedelta(seconds=5))
        claimed = await desk.runtime.inbox.claim(id_)
    assert claimed
    (kept,) = claimed.inbound.attachments
    assert "\x00" not in kept.name + kept.mime and kept.data == b"words"
