"""The IRC channel with the simulator and with a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from irctokens.line import tokenise

from qwendesk.channel_wiring import asks_for_feedback, machine_notice
from qwendesk.channels.base import Channel
from qwendesk.channels.irc.channel import IrcChannel
from qwendesk.channels.irc.connection import IrcConnection, parse, split_lines
from qwendesk.errors import ChannelError, ConfigError
from qwendesk.messages import Outbound
from qwendesk.settings import Settings
from qwendesk.testing.conformance.channel import ChannelConformance
from qwendesk.testing.conformance.channel_fixtures import RecordingDesk, answer_to
from qwendesk.testing.simulators.base import UserMessage
from qwendesk.testing.simulators.irc import IrcSimulator
from tests.channels.local_server import running
from tests.channels.ngircd import Ngircd, Person, installed_ngircd

pytestmark = pytest.mark.server

TAGS = ("message-tags", "account-tag")


class TestSimulated(ChannelConformance):
    channel_class = IrcChannel

    @pytest.fixture
    async def simulator(self) -> AsyncIterator[IrcSimulator]:
        async with IrcSimulator() as simulator:
            yield simulator

    async def test_an_account_is_logged_in_to_or_said_to_be_refused(self, simulator: IrcSimulator) -> None:
        channel = IrcChannel.create(IrcChannel.manifest.read(simulator.wrong_settings("password")))
        with pytest.raises(ChannelError, match="PASSWORD") as caught:
            await channel.check()
        await channel.aclose()
        assert caught.value.permanent

    async def test_what_was_sent_stays_as_it_is(self, channel: Channel) -> None:
        with pytest.raises(ChannelError, match="IRC cannot change") as caught:
            await channel.edit("1", Outbound("k", "anna anna", "hello"))
        assert caught.value.permanent

    async def test_many_lines_are_written_at_a_pace_that_servers_bear(self, simulator: IrcSimulator) -> None:
        values = simulator.settings() | {"line_seconds": 0.1}
        channel = IrcChannel.create(IrcChannel.manifest.read(values))
        await channel.check()
        begun = asyncio.get_running_loop().time()
        await channel.send(Outbound("k", "anna anna", "\n".join("123456789")))
        assert asyncio.get_running_loop().time() - begun >= 0.5  # a burst of four, then five more
        assert simulator.texts() == ["\n".join("123456789")]
        await channel.aclose()

    async def test_the_desk_comes_back_after_a_broken_connection(
        self, simulator: IrcSimulator, channel: Channel, desk: RecordingDesk
    ) -> None:
        simulator.faults = ["broken"]
        with pytest.raises(ChannelError):
            await channel.send(Outbound("k", "anna anna", "hello"))
        assert await channel.send(Outbound("k", "anna anna", "hello"))
        await simulator.write(UserMessage("and now?"))
        await desk.received_text("and now?")


class Server:
    """A server that sends the test's lines and records the client's."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self._sent = asyncio.Event()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        while data := await reader.readline():
            self.told.append(data.decode().strip())
            self._sent.set()
        writer.close()

    def say(self, *lines: str) -> None:
        self.writer.write("".join(f"{line}\r\n" for line in lines).encode())

    async def until(self, told: str) -> None:
        async with asyncio.timeout(60):
            while told not in self.told:
                self._sent.clear()
                await self._sent.wait()

    async def pinged(self, number: int) -> str:
        async with asyncio.timeout(60):
            while len(names := [line[5:] for line in self.told if line.startswith("PING ")]) <= number:
                self._sent.clear()
                await self._sent.wait()
        return names[number]


@asynccontextmanager
async def met(**other: Any) -> AsyncIterator[tuple[Server, IrcConnection, asyncio.Task[None]]]:
    played = Server()
    listening = await asyncio.start_server(played, "127.0.0.1", 0)
    where = {"host": "127.0.0.1", "port": listening.sockets[0].getsockname()[1], "tls": False}
    where |= {"nick": "desk", "channels": "#help key, #other"}
    connection = IrcConnection(IrcChannel.manifest.read(where | other), lambda *_: None)
    opening = asyncio.create_task(connection.open())
    await played.until("USER desk 0 * Qwendesk")
    try:
        yield played, connection, opening
    finally:
        await connection.close()
        await asyncio.gather(opening, return_exceptions=True)
        listening.close()
        await listening.wait_closed()


async def test_a_server_may_have_some_capabilities_and_not_others() -> None:
    async with met(account="desk", password="x") as (server, connection, opening):
        assert server.told[:3] == ["CAP REQ account-tag", "CAP REQ message-tags", "CAP REQ sasl"]
        server.say(":s CAP * ACK :account-tag ", ":s CAP * NAK :message-tags", ":s CAP * ACK :sasl ")
        await server.until("AUTHENTICATE PLAIN")
        server.say("AUTHENTICATE +")
        await server.until("AUTHENTICATE ZGVzawBkZXNrAHg=")
        assert "CAP END" not in server.told
        server.say(":s 903 desk :done")
        await server.until("CAP END")
        server.say(":s 001 desk :Welcome")
        await opening
        assert connection.capabilities == {"account-tag", "sasl"}


@pytest.mark.parametrize(
    "lines",
    [
        [":s CAP * ACK :account-tag", ":s CAP * NAK :sasl"],
        [":s 421 desk CAP :Unknown command", ":s 001 desk :Welcome"],
    ],
)
async def test_where_nobody_can_log_in_the_desk_says_so_for_good(lines: list[str]) -> None:
    async with met(account="desk", password="x") as (server, _, opening):
        server.say(*lines)
        with pytest.raises(ChannelError, match="the server offers no SASL") as caught:
            await opening
        assert caught.value.permanent


async def test_who_is_put_out_or_not_let_in_says_so_and_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qwendesk.channels.connection.REJOIN_SECONDS", 0.0)
    async with met() as (server, connection, opening):
        server.say(":s 001 desk :Welcome")
        await opening
        await server.until("JOIN #other")
        server.told.clear()
        server.say(":desk!d@h JOIN #help", ":s 474 desk #other :banned", ":op!o@h KICK #Help desk :enough")
        await server.until("JOIN #help key")
        await server.until("JOIN #other")
        assert connection.join_errors == "IRC: the desk is not in #other (banned), #help (kicked enough)."
        server.say(":desk!d@h JOIN #help", ":desk!d@h JOIN :#other", "PING x")
        await server.until("PONG x")
        assert connection.join_errors == "" and not connection.closed.done()


async def test_a_server_that_is_silent_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qwendesk.channels.connection.PING_INTERVAL_SECONDS", 0.0)
    monkeypatch.setattr("qwendesk.channels.connection.TIMEOUT_SECONDS", 0.5)
    async with met() as (server, connection, opening):
        server.say(":s 001 desk :Welcome")
        await opening
        async with asyncio.timeout(10):
            assert "the server does not answer" in str(await connection.wait_closed())
        assert any(line.startswith("PING ") for line in server.told)


@pytest.mark.parametrize(("code", "permanent"), [("404", True), ("439", False)])
async def test_a_refused_line_ends_its_message_and_no_other(code: str, permanent: bool) -> None:
    async with met(line_seconds=0.0) as (server, connection, opening):
        server.say(":s 001 desk :Welcome")
        await opening
        sent, refused = (asyncio.create_task(connection.send(Outbound("k", to, "hello"))) for to in ("anna a", "#Help"))
        await server.until("PRIVMSG #Help hello")
        names = [await server.pinged(number) for number in (0, 1)]
        server.say(f":s {code} desk #help :no", *(f":s PONG s {name}" for name in names))
        with pytest.raises(ChannelError, match="#help no") as caught:
            await refused
        assert caught.value.permanent is permanent
        assert await sent == names[0] and not connection.pending


async def test_two_messages_to_one_place_are_refused_each_by_itself() -> None:
    async with met(line_seconds=0.0) as (server, connection, opening):
        server.say(":s 001 desk :Welcome")
        await opening
        both = [asyncio.create_task(connection.send(Outbound(key, "#help", key))) for key in ("one", "two")]
        for number in (0, 1):
            name = await server.pinged(number)
            assert len([line for line in server.told if line.startswith("PRIVMSG")]) == number + 1
            server.say(":s 404 desk #help :no", f":s PONG s {name}")
        said = await asyncio.gather(*both, return_exceptions=True)
        assert [str(one) for one in said] == ["IRC refuses the message: #help no."] * 2


async def test_a_refusal_holds_where_the_server_hangs_up_behind_it() -> None:
    async with met(line_seconds=0.0) as (server, connection, opening):
        server.say(":s 001 desk :Welcome")
        await opening
        refused = asyncio.create_task(connection.send(Outbound("k", "#help", "hello")))
        await server.pinged(0)
        server.say(":s 404 desk #help :no", "ERROR :bye")
        with pytest.raises(ChannelError, match="#help no") as caught:
            await refused
        assert caught.value.permanent


@pytest.mark.parametrize(
    "channels",
    ['["#help", "#staff key"]', "#help, ,#staff key,", ["#help", " #staff key", ""], ("#help", "#staff key")],
)
def test_channels_are_a_list_or_a_text_that_says_one(channels: Any) -> None:
    assert IrcChannel.manifest.read({"host": "h", "channels": channels})["channels"] == ("#help", "#staff key")
    for wrong in (5, [["#help"]], [{"name": "#help"}]):
        with pytest.raises(ConfigError, match="'channels' in .* must be list, not "):
            IrcChannel.manifest.read({"host": "h", "channels": wrong})
    assert IrcChannel.manifest.read({"host": "h", "channels": "[a], b"})["channels"] == ("[a]", "b")


@pytest.mark.parametrize(
    ("value", "meant"), [("on", True), ("Yes", True), (1, True), (" off", False), ("NO", False), ("0", False)]
)
def test_a_switch_is_read_alike_everywhere(value: Any, meant: bool) -> None:
    assert IrcChannel.manifest.read({"host": "h", "channels": "#a", "tls": value})["tls"] is meant
    settings = Settings(channels={"irc": {"feedback_buttons": value, "machine_notice": str(value)}})
    assert asks_for_feedback("irc", settings) is machine_notice("irc", settings) is meant
    with pytest.raises(ConfigError, match="'tls' in .* must be bool, not 'perhaps'"):
        IrcChannel.manifest.read({"host": "h", "channels": "#a", "tls": "perhaps"})


@given(st.text(max_size=3000), st.integers(1, 60))
def test_no_line_is_too_long_and_nothing_is_lost(text: str, length: int) -> None:
    text = text.encode(errors="replace").decode()
    lines = list(split_lines(text, "n" * length))
    assert all(0 < len(line.encode()) <= 400 and not set("\r\n\0") & set(line) for line in lines)
    kept = "".join("".join(lines).split())
    assert kept == "".join(text.replace("\0", "\n").replace("\x01", "").split())


def heard(line: str, nick: str = "desk") -> Any:
    return parse(tokenise(line), nick, "irc.here.example", TAGS)


def test_a_name_that_only_looks_like_another_is_another() -> None:
    anna, false = heard(":anna!a@here PRIVMSG desk :hi"), heard(":аnna!a@here PRIVMSG desk :hi")
    assert anna.person == heard(":ANNA!a@here PRIVMSG DESK :hi").person == "anna!a@here"
    assert anna.person != false.person and anna.conversation != false.conversation
    kelvin = heard(":des\u212a!a@here PRIVMSG desk :hi")
    assert kelvin is not None and kelvin.person == "des\u212a!a@here"  # not the desk itself


def test_a_name_taken_over_is_another_person_unless_the_network_knows_better() -> None:
    first, second = heard(":anna!a@one PRIVMSG desk :hi"), heard(":anna!a@two PRIVMSG desk :hi")
    assert first.person != second.person and first.conversation != second.conversation
    assert heard("@account=anna :x!a@one PRIVMSG desk :hi").person == "anna"
    assert parse(tokenise("@account=anna :x!a@one PRIVMSG desk :hi"), "desk", "here", ()).person == "x!a@one"


@pytest.mark.parametrize(
    "line",
    [
        ":desk!d@here PRIVMSG #help :desk: do I hear myself?",
        ":anna!a@here PRIVMSG desk :\x01VERSION\x01",
        ":irc.here.example PRIVMSG desk :restarting in a minute",
        "@bot :robot!r@here PRIVMSG desk :I am a program",
        ":anna!a@here PRIVMSG #help :lunch at the helpdesk?",
        ":anna!a@here PRIVMSG desk :\x02\x0304,12\x0f",
    ],
)
def test_what_is_not_for_the_desk_is_not_read(line: str) -> None:
    assert heard(line) is None


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Ngircd]:
    with installed_ngircd(tmp_path) as server:
        await server.start()
        yield server


@pytest.fixture
async def anna(server: Ngircd) -> AsyncIterator[Person]:
    person = await Person.come(server, "anna")
    yield person
    await person.go()


@pytest.fixture
def desk() -> RecordingDesk:
    return RecordingDesk()


@pytest.fixture
async def channel(server: Ngircd, desk: RecordingDesk) -> AsyncIterator[Channel]:
    channel = made(server)
    async with running(channel, desk):
        yield channel


def made(server: Ngircd, **other: Any) -> IrcChannel:
    where = {"host": "127.0.0.1", "port": server.port, "tls": False, "password": server.password}
    return IrcChannel.create(IrcChannel.manifest.read(where | {"nick": "desk", "channels": "#help"} | other))


class TestNgircd:
    async def test_a_long_answer_comes_whole_line_by_line(
        self, channel: Channel, desk: RecordingDesk, anna: Person
    ) -> None:
        anna.tell("PRIVMSG", "desk", "Grüße, 世界")
        (inbound,) = await desk.received()
        assert (inbound.text, inbound.group) == ("Grüße, 世界", False)
        await channel.send(Outbound("k", inbound.conversation, "世界 " * 150 + "\n\n```\nx = 1\n```"))
        await anna.until(lambda line: line.params[-1] == "```" and anna.texts().count("```") == 2)
        assert len(anna.texts()) == 6 and "".join(anna.texts()).replace(" ", "") == "世界" * 150 + "```x=1```"

    async def test_in_a_channel_the_desk_answers_who_names_it(
        self, channel: Channel, desk: RecordingDesk, anna: Person
    ) -> None:
        anna.tell("JOIN", "#help")
        await anna.until(lambda line: line.command == "366")
        anna.tell("PRIVMSG", "#help", "lunch?")
        anna.tell("NOTICE", "#help", "desk: I am a program")
        anna.tell("PRIVMSG", "#help", "Desk: what is 2+2?")
        (inbound,) = await desk.received()
        assert (inbound.text, inbound.group, inbound.conversation) == ("what is 2+2?", True, "#help")
        await channel.send(answer_to(inbound, "Four", channel))
        await anna.until(lambda line: line.command == "PRIVMSG" and line.params == ["#help", "anna: Four"])

    async def test_where_the_nick_is_taken_another_is_found(self, server: Ngircd, anna: Person) -> None:
        channel = made(server, nick="anna")
        assert await channel.check() == "connected to 127.0.0.1 as anna_"
        await channel.aclose()

    async def test_a_wrong_password_and_a_server_that_is_away_are_told_apart(self, server: Ngircd) -> None:
        for values, permanent in (({"password": "guessed"}, True), ({"port": 1}, False)):
            channel = made(server, **values)
            with pytest.raises(ChannelError) as caught:
                await channel.check()
            assert caught.value.permanent is permanent, caught.value
            await channel.aclose()

    async def test_the_connection_is_secret_and_the_certificate_is_looked_at(
        self, server: Ngircd, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        secret = {"tls": True, "port": server.secret_port}
        channel = made(server, **secret)
        with pytest.raises(ChannelError, match="self-signed"):
            await channel.check()
        monkeypatch.setenv("SSL_CERT_FILE", str(server.folder / "certificate.pem"))
        assert "as desk" in await channel.check()
        await channel.aclose()

    async def test_who_is_not_there_cannot_be_answered(self, channel: Channel) -> None:
        with pytest.raises(ChannelError, match="No such nick") as caught:
            await channel.send(Outbound("k", "nobody nobody!x@y", "hello"))
        assert caught.value.permanent

    async def test_the_desk_comes_back_after_its_server(
        self, server: Ngircd, channel: Channel, desk: RecordingDesk
    ) -> None:
        server.stop()
        with pytest.raises(ChannelError):
            await channel.send(Outbound("k", "anna anna", "hello"))
        await server.start()
        bert = await Person.come(server, "bert")
        bert.tell("JOIN", "#help")
        await bert.until(lambda line: line.command in ("353", "JOIN") and "desk" in line.format())
        bert.tell("PRIVMSG", "#help", "desk: are you back?")
        (inbound,) = await desk.received()
        await channel.send(answer_to(inbound, "Yes", channel))
        await bert.until(lambda line: line.params[-1] == "bert: Yes")
        await bert.go()
