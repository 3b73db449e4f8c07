"""The XMPP channel with the simulator and with a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from slixmpp import JID

from qwendesk.channels.base import Channel
from qwendesk.channels.xmpp.channel import XmppChannel
from qwendesk.channels.xmpp.session import XmppSession
from qwendesk.errors import ChannelError, ConfigError
from qwendesk.messages import Attachment, Outbound
from qwendesk.testing.conformance.channel import ChannelConformance
from qwendesk.testing.conformance.channel_fixtures import PIXEL, RecordingDesk, answer_to
from qwendesk.testing.simulators.base import UserMessage
from qwendesk.testing.simulators.xmpp import XmppSimulator
from tests.channels.local_server import running
from tests.channels.prosody import DOMAIN, PASSWORD, Person, Prosody, installed_prosody

pytestmark = pytest.mark.server

PICTURE = Attachment("image", "image/png", PIXEL, "a.png")
ROOM = f"lobby@rooms.{DOMAIN}"


class TestSimulated(ChannelConformance):
    channel_class = XmppChannel

    @pytest.fixture
    async def simulator(self) -> AsyncIterator[XmppSimulator]:
        async with XmppSimulator() as simulator:
            yield simulator

    async def test_signs_that_would_end_the_connection_are_replaced(
        self, simulator: XmppSimulator, channel: Channel, desk: RecordingDesk
    ) -> None:
        await simulator.write(UserMessage("hello"))
        (inbound,) = await desk.received()
        await channel.send(Outbound("k", inbound.conversation, "a\x1b[1m\x00\ufffeb"))
        assert simulator.texts() == ["a\ufffd[1m\ufffd\ufffdb"]

    async def test_a_file_of_ones_own_network_is_fetched_only_from_where_it_was_allowed(
        self, simulator: XmppSimulator, desk: RecordingDesk
    ) -> None:
        values = simulator.settings() | {"trusted_files": "http://127.0.0.2/"}
        channel = XmppChannel.create(XmppChannel.manifest.read(values))
        async with running(channel, desk):
            await simulator.wait_started()
            await simulator.deliver_malformed({})
            await simulator.write(UserMessage("look", files=(PICTURE,)))
            await desk.received_text("look")
        assert (desk.inbox[-1].attachments, desk.inbox[-1].unsupported_media) == ((), "file")


def test_a_security_that_is_none_of_the_three_is_refused() -> None:
    with pytest.raises(ConfigError, match="'starttls' or 'tls' or 'none', not 'ssl'"):
        XmppChannel.manifest.read({"jid": "a@b", "password": "c", "security": "ssl"})


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Prosody]:
    with installed_prosody(tmp_path) as server:
        await asyncio.to_thread(server.register, "desk")
        await server.start()
        yield server


@pytest.fixture
async def anna(server: Prosody) -> AsyncIterator[Person]:
    person = await Person.come(server, "anna")
    yield person
    await person.go()


@pytest.fixture
def desk() -> RecordingDesk:
    return RecordingDesk()


@pytest.fixture
async def channel(server: Prosody, desk: RecordingDesk) -> AsyncIterator[Channel]:
    channel = made(server)
    async with running(channel, desk):
        yield channel


def made(server: Prosody, **other: str) -> XmppChannel:
    where = {"host": "127.0.0.1", "port": server.port, "security": "none"}
    who = {"jid": f"desk@{DOMAIN}", "password": PASSWORD, "rooms": ROOM}
    files = {"trusted_files": f"http://127.0.0.1:{server.http}/file_share"}
    return XmppChannel.create(XmppChannel.manifest.read(where | who | files | other))


class TestProsody:
    async def test_a_question_is_answered_and_the_answer_grows(
        self, channel: Channel, desk: RecordingDesk, anna: Person
    ) -> None:
        anna.say(f"desk@{DOMAIN}", "Grüße & <b>you</b>")
        (inbound,) = await desk.received()
        assert (inbound.text, inbound.person, inbound.group) == ("Grüße & <b>you</b>", f"anna@{DOMAIN}", False)
        await channel.typing(inbound.conversation)
        sent = await channel.send(answer_to(inbound, "One", channel))
        assert sent
        await channel.edit(sent, answer_to(inbound, "One two", channel))
        await anna.until(lambda one: len(one.heard) == 2)
        assert [(heard["body"], heard["replace"]["id"]) for heard in anna.heard] == [("One", ""), ("One two", sent)]
        assert anna.typing == [f"desk@{DOMAIN}"]

    async def test_in_a_room_the_desk_answers_who_names_it_or_replies(
        self, channel: Channel, desk: RecordingDesk, anna: Person
    ) -> None:
        await anna.enter(ROOM)
        anna.say(ROOM, "lunch?", "groupchat")
        asked = anna.say(ROOM, "desk: what is 2+2?", "groupchat")
        (inbound,) = await desk.received()
        assert (inbound.text, inbound.group, inbound.conversation) == ("what is 2+2?", True, ROOM)
        assert inbound.person == f"anna@{DOMAIN}"  # the desk has created the room, so it sees the real JIDs
        await channel.send(answer_to(inbound, "Four", channel))
        await anna.until(lambda one: one.heard and one.heard[-1]["body"] == "Four")
        assert anna.heard[-1]["reply"]["id"] == asked
        anna.say(ROOM, "and 3+3?", "groupchat", reply_to=f"{ROOM}/desk", reply_id=anna.heard[-1]["id"])
        assert [one.text for one in await desk.received(2)] == ["what is 2+2?", "and 3+3?"]

    async def test_what_was_said_in_a_room_before_is_not_for_the_desk(
        self, server: Prosody, desk: RecordingDesk, anna: Person
    ) -> None:
        await anna.enter(ROOM)
        anna.say(ROOM, "desk: are you there?", "groupchat")
        await anna.until(lambda one: one.heard)
        async with running(made(server), desk):
            anna.say(ROOM, "desk: and now?", "groupchat")
            assert [one.text for one in await desk.received()] == ["and now?"]

    async def test_who_takes_anothers_name_in_an_anonymous_room_is_somebody_else(
        self, server: Prosody, desk: RecordingDesk, anna: Person
    ) -> None:
        await anna.enter(ROOM)
        mallory = await Person.come(server, "mallory")
        async with running(made(server), desk):
            anna.say(ROOM, "desk: it is me", "groupchat")
            await desk.received(1)
            await anna.leave(ROOM)
            await mallory.enter(ROOM, "anna")
            mallory.say(ROOM, "desk: it is me", "groupchat")
            first, second = await desk.received(2)
            assert first.display_name == second.display_name == "anna" and first.person != second.person
            assert first.person.startswith(f"{ROOM}/") and second.person.startswith(f"{ROOM}/")
        await mallory.go()

    async def test_what_was_written_to_the_desk_while_it_was_away_is_answered(
        self, server: Prosody, desk: RecordingDesk, anna: Person
    ) -> None:
        trying = made(server)
        assert "connected as" in await trying.check()
        anna.say(f"desk@{DOMAIN}", "nobody listens yet")
        await anna.settle()
        await trying.aclose()
        async with running(made(server), desk):
            assert [one.text for one in await desk.received()] == ["nobody listens yet"]

    async def test_a_picture_that_was_uploaded_comes_with_its_bytes(
        self, channel: Channel, desk: RecordingDesk, anna: Person, tmp_path: Path
    ) -> None:
        picture = tmp_path / "a.png"
        picture.write_bytes(PIXEL)
        url = await anna.client.plugin["xep_0363"].upload_file(picture, domain=JID(DOMAIN), content_type="image/png")
        anna.say(f"desk@{DOMAIN}", str(url), oob_url=str(url))
        (inbound,) = await desk.received()
        assert [(file.kind, file.data) for file in inbound.attachments] == [("image", PIXEL)] and inbound.text == ""

    async def test_a_desk_that_is_put_out_of_a_room_comes_back(
        self, server: Prosody, desk: RecordingDesk, anna: Person
    ) -> None:
        await anna.enter(ROOM)
        async with running(made(server), desk):
            anna.say(ROOM, "desk: are you there?", "groupchat")
            await desk.received()
            muc = anna.client.plugin["xep_0045"]
            with anna.client.event_handler(f"muc::{ROOM}::got_online", lambda _: anna.came.set()):
                await muc.set_role(JID(ROOM), "desk", "none")
                anna.came.clear()
                await anna.until(lambda _: "desk" in muc.get_roster(JID(ROOM)))
            anna.say(ROOM, "desk: and again?", "groupchat")
            assert [one.text for one in await desk.received(2)] == ["are you there?", "and again?"]

    async def test_who_is_not_known_there_cannot_be_answered(self, channel: Channel) -> None:
        with pytest.raises(ChannelError, match="service-unavailable") as caught:
            await channel.send(Outbound("k", f"nobody@{DOMAIN}", "hello"))
        assert caught.value.permanent

    async def test_a_wrong_password_and_a_server_that_is_away_are_told_apart(self, server: Prosody) -> None:
        for values, permanent in (({"password": "guessed"}, True), ({"port": "1"}, False)):
            channel = made(server, **values)
            with pytest.raises(ChannelError) as caught:
                await channel.check()
            assert caught.value.permanent is permanent, caught.value
            await channel.aclose()

    async def test_the_connection_is_secret_and_the_certificate_is_looked_at(
        self, server: Prosody, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        doubtful = made(server, security="starttls")
        with pytest.raises(ChannelError, match="(?i)certificate"):
            await doubtful.check()
        await doubtful.aclose()
        monkeypatch.setenv("SSL_CERT_FILE", str(server.folder / "certificate.pem"))
        channel = made(server, security="starttls")
        assert "connected as desk@" in await channel.check()
        await channel.aclose()

    async def test_the_desk_comes_back_after_its_server(
        self, server: Prosody, channel: Channel, desk: RecordingDesk
    ) -> None:
        server.stop()
        with pytest.raises(ChannelError):
            await channel.send(Outbound("k", f"anna@{DOMAIN}", "hello"))
        await server.start()
        bert = await Person.come(server, "bert")
        bert.say(f"desk@{DOMAIN}", "are you back?")
        (inbound,) = await desk.received()
        await channel.send(answer_to(inbound, "Yes", channel))
        await bert.until(lambda one: one.heard)
        await bert.go()


@pytest.fixture
async def session() -> XmppSession:
    values = XmppChannel.manifest.read({"jid": "desk@here.example", "password": "x", "rooms": ROOM})
    return XmppSession(values, lambda *_: None)


def left(session: XmppSession, nick: str, *codes: int) -> None:
    presence = session.client.make_presence(ptype="unavailable", pfrom=f"{ROOM}/{nick}")
    presence["muc"]["status_codes"] = set(codes)
    session.handle_leave(presence)


async def test_where_a_room_vouches_for_nobody_a_nick_is_somebody_for_one_stay(session: XmppSession) -> None:
    def author() -> str:
        return session.author_of(session.client.make_message(JID("desk@here.example"), mfrom=JID(f"{ROOM}/anna")))

    first = author()
    assert first.startswith(f"unproven:{ROOM}/anna/") and first == author()
    left(session, "anna")
    assert author() != first and not session.closed.done()


async def test_a_desk_that_is_put_out_of_a_room_starts_anew(session: XmppSession) -> None:
    left(session, "desk", 110, 303)
    assert not session.closed.done()
    left(session, "desk", 110, 307)
    assert "removed from the room" in str(session.closed.result())


async def test_a_connection_on_which_nothing_answers_is_given_up(
    session: XmppSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qwendesk.channels.connection.TIMEOUT_SECONDS", 0.01)  # the session is not connected
    async with asyncio.timeout(60):
        assert "does not answer" in str(await session.wait_closed())


async def test_a_room_is_known_by_its_name_in_small_letters() -> None:
    values = XmppChannel.manifest.read({"jid": "desk@here.example", "password": "x", "rooms": ROOM.upper()})
    assert XmppSession(values, lambda *_: None).nick_in(ROOM) == "desk"


async def test_a_lasting_name_counts_only_where_the_room_gives_it(session: XmppSession) -> None:
    message = session.client.make_message(JID("desk@here.example"), mfrom=JID(f"{ROOM}/anna"))
    message["occupant-id"]["id"] = "1f"
    assert session.author_of(message).startswith("unproven:")
    session.occupant_ids[ROOM] = True
    assert session.author_of(message) == f"{ROOM}/1f"
