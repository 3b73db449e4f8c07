"""The desk as a service: channels, the durable desk and the web server in one process, or a part of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from typing import Any, Self

from pydantic import TypeAdapter, ValidationError

from qwendesk.app import Desk
from qwendesk.channels.base import COMMON, Channel, Component
from qwendesk.channels.delivery_adapter import ChannelOutlet, ChannelTranscript
from qwendesk.channels.markup.literals import drop_texts
from qwendesk.channels.relay import Relay
from qwendesk.channels.supervisor import Keeper
from qwendesk.desk.access import House, PairingRequest
from qwendesk.desk.admission_limits import Limits
from qwendesk.desk.commands.chat_commands import Commands, add_memory
from qwendesk.desk.commands.rating import Ratings
from qwendesk.desk.delivery.outbox import Outbox
from qwendesk.desk.delivery.transcript import PastLines
from qwendesk.desk.inbox.repository import Inbox
from qwendesk.desk.inbox.rows import conversation_key
from qwendesk.desk.machine_notice import MachineNotices
from qwendesk.desk.runtime import Answering, Office
from qwendesk.desk.turns.receipt import explain, explain_briefly
from qwendesk.errors import ConfigError, EngineUnavailable, PluginError
from qwendesk.health_checks import ModelMonitor, problems_of
from qwendesk.memory.memory import Memory
from qwendesk.memory.people.erasure_watch import Forgettings
from qwendesk.messages import Inbound
from qwendesk.notice_setting import read_notice
from qwendesk.plugins import guarded, load
from qwendesk.server.limits import WebLimits
from qwendesk.server.web import WebServer, build_web
from qwendesk.settings import Settings

FEEDBACK_BUTTONS = "feedback_buttons"
MACHINE_NOTICE = "machine_notice"
RULES = tuple(setting.name for setting in COMMON)
"""Settings of every channel, which the desk reads itself."""
log = logging.getLogger(__name__)


def make_channels(settings: Settings, left_out: dict[str, str] | None = None) -> dict[str, Channel]:
    """Return the channels that are set up; nothing is connected yet.

    A channel whose plug-in cannot be imported or made is left out, and the log names it.

    Args:
        settings: all settings.
        left_out: takes why a channel was left out, by its name.

    Raises:
        ConfigError: one is unknown, or its settings do not hold.
    """
    made: dict[str, Channel] = {}
    for name, values in settings.channels.items():
        try:
            made[name] = make_channel(load("channels", name), values, settings)
        except PluginError as error:
            log.error("Left out: %s", error)
            if left_out is not None:
                left_out[name] = str(error)
    return made


def make_channel(kind: type[Channel], values: Mapping[str, Any], settings: Settings) -> Channel:
    """Return one channel of its settings.

    Raises:
        ConfigError: it is not served, its library is not installed, or its settings do not hold.
    """
    with guarded("channels", kind.manifest.name):
        kind.manifest.check_served()
        kind.manifest.check_installed()
        own = kind.manifest.read({key: value for key, value in values.items() if key not in RULES})
        if own.get("data_dir") == "":
            own["data_dir"] = str(settings.data_dir / "channels" / kind.manifest.name)
        return kind.create(own)


async def check_channel(name: str, settings: Settings) -> Channel:
    """Return a channel that is set up, closed again, if it could be served; nobody is asked.

    Raises:
        ConfigError: its library is not installed, or its settings do not hold.
    """
    values = settings.channels[name]
    House.read(name, values)
    channel = make_channel(load("channels", name), values, settings)
    await channel.aclose()
    return channel


def _check_parts(channels: Mapping[str, Channel], part: Component) -> None:
    whole = [name for name, channel in channels.items() if channel.manifest.capabilities.one_process]
    if whole:
        raise ConfigError(
            f"--component {part} cannot have the channel {whole[0]!r}: only the process that listens there can send. "
            "Serve that channel by a desk of its own, without --component."
        )


async def _look_for_a_model(desk: Desk) -> None:
    """Say at the start what would else be told to whoever writes first; a server that is away is no reason to wait.

    Raises:
        ConfigError: the settings name an engine or a model that there is not.
    """
    try:
        name = await desk.pool.to_fetch()
    except EngineUnavailable as error:
        log.warning("Nobody can be answered yet: %s", error)
        return
    if name:
        log.warning(
            "The model %s is not here yet, so the first message waits until one is fetched: "
            "'qwendesk models pull %s' fetches it beforehand.",
            name,
            name,
        )


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


class Service:
    """A running desk; enter it to start, leave it to stop.

    Args:
        settings: all settings.
        part: what this process does.
        channels: channels by name; None makes those that the settings set up.
        desk: answers messages; None makes one of the settings.
        on_request: is told of each stranger's message that was answered by a code, and of the code.
    """

    def __init__(
        self,
        settings: Settings,
        part: Component = "all",
        *,
        channels: Mapping[str, Channel] | None = None,
        desk: Desk | None = None,
        on_request: PairingRequest | None = None,
    ) -> None:
        self.settings = settings
        self.part = part
        self.left_out: dict[str, str] = {}
        """Why a channel that is set up does not run, by its name: its plug-in cannot be used."""
        self.channels = dict(make_channels(settings, self.left_out) if channels is None else channels)
        self._desk = desk
        self._on_request = on_request
        self._answers = part in ("all", "worker")
        self._open = AsyncExitStack()
        self.web: WebServer | None = None
        self.models: ModelMonitor | None = None
        """Watches the model of the role ``general``; None where this process does not answer."""
        self.keepers: dict[str, Keeper] = {}
        if part in ("ingress", "worker"):
            _check_parts(self.channels, part)
        if part != "all" and settings.database.startswith("sqlite"):
            raise ConfigError(
                f"--component {part} needs a database that processes can share: set QWENDESK_DATABASE_URL to "
                "'postgresql+psycopg://...', or leave --component out."
            )

    async def __aenter__(self) -> Self:
        """Start: first what answers, then what accepts."""
        async with AsyncExitStack() as stack:
            for channel in self.channels.values():
                stack.push_async_callback(channel.aclose)
            self.office = await self._open_office(stack)
            watch = asyncio.create_task(Forgettings(self.office.database, self._memory.held_words).watch())
            stack.push_async_callback(_end, watch)
            self._attach_channels()
            await self.office.start()
            stack.push_async_callback(self.office.stop, self.settings.shutdown_timeout)
            if self.models:
                self.models.start()
                stack.push_async_callback(self.models.stop)
            if self.part != "worker":
                await self._accept(stack)
            self._open = stack.pop_all()
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Stop: first what accepts, then what answers."""
        await self._open.aclose()

    async def health(self) -> dict[str, Any]:
        """Say how the desk is.

        Raises:
            StoreError: the database cannot be read, or nothing can be written to it.
        """
        await self.office.database.whole_database.check()
        failing = {name: keeper.problem for name, keeper in self.keepers.items() if keeper.fails}
        problems = await problems_of(self.models, self.left_out | failing, self.office.inbox.dead_count)
        return {
            "status": "degraded" if problems else "ok",
            "role": self.part,
            "waiting": await self.office.inbox.open_count(),
            "dead": await self.office.inbox.dead_count(),
            "channels": {name: keeper.state for name, keeper in self.keepers.items()},
            "problems": problems,
        }

    async def _open_office(self, stack: AsyncExitStack) -> Office:
        settings = self.settings
        if self._answers:
            desk = await stack.enter_async_context(self._desk or Desk(settings))
            await _look_for_a_model(desk)
            self.models = ModelMonitor(desk.pool)
            memory = desk.memory
        else:
            memory = Memory(settings.database, tenant=settings.tenant)
            await memory.open()
            stack.push_async_callback(memory.aclose)
        self._memory = memory
        memory.held_words.register("texts", drop_texts)
        return Office(
            memory.scope,
            settings.database,
            answering=self._answering(desk, memory) if self._answers else None,
            houses={name: self._house(name) for name in self.channels},
            limits=Limits(
                per_hour=settings.messages_per_hour,
                channel_per_hour=settings.channel_messages_per_hour,
                max_chars=settings.max_input_chars,
                person_bytes_a_day=settings.file_mb_per_day * 2**20,
                strangers_bytes_a_day=settings.stranger_file_mb_per_day * 2**20,
            ),
            on_request=self._on_request,
        )

    def _house(self, channel: str) -> House:
        """Return a channel's rules; where anybody can write in the name of anybody, nobody is in charge."""
        kind = self.channels[channel]
        house = House.read(channel, self.settings.channels.get(channel, {}))
        if not kind.proves_senders and (house.operators or house.owners):
            log.warning(
                "On %s nobody is an operator or owner: it does not prove who writes (docs/how-to/access.md).", channel
            )
        return replace(house, by_letter=kind.manifest.capabilities.by_letter, proves_senders=kind.proves_senders)

    def _answering(self, desk: Desk, memory: Memory) -> Answering:
        async def why(inbound: Inbound) -> str | None:
            key = conversation_key(inbound.account, inbound.conversation)
            turn = await memory.last_turn(key, channel=inbound.channel)
            if turn is None:
                return None
            if not turn.receipt:
                return ""
            return explain(turn.receipt) if inbound.for_operator else explain_briefly(turn.receipt, inbound.locale)

        async def check(model: str) -> None:
            await desk.pool.choose("general", model)

        outlets = {name: ChannelOutlet(channel) for name, channel in self.channels.items()}
        commands = Commands(Inbox(memory.scope), why, check)
        Ratings(memory, Outbox(memory.scope)).join(commands)
        add_memory(commands, desk.commands)
        unrated = frozenset(name for name in self.channels if not self._rates(name))
        notices = MachineNotices({name: self._notice(name) for name in self._without_label()})
        at_once = self.settings.max_concurrent_conversations
        return Answering(desk.handle, outlets, commands, at_once, unrated=unrated, notices=notices)

    def _notice(self, channel: str) -> str | bool:
        """Return what says on a channel that a machine answers."""
        own = self.settings.channels.get(channel, {}).get(MACHINE_NOTICE, self.settings.machine_notice)
        try:
            return read_notice(own)
        except ValueError as error:
            raise ConfigError(f"{MACHINE_NOTICE!r} in [channels.{channel}] must be {error}.") from None

    def _rates(self, channel: str) -> bool:
        """Tell whether people are asked on a channel what they think of answers."""
        own = self.settings.channels.get(channel, {}).get(FEEDBACK_BUTTONS, self.settings.feedback_buttons)
        try:
            return TypeAdapter(bool).validate_python(own)
        except ValidationError:
            raise ConfigError(
                f"{FEEDBACK_BUTTONS!r} in [channels.{channel}] must be true or false, not {own!r}."
            ) from None

    async def _accept(self, stack: AsyncExitStack) -> None:
        mine = {name: channel for name, channel in self.channels.items() if self._is_mine(name)}
        for name, channel in mine.items():
            self.keepers[name] = keeper = Keeper(name, channel)
            keeper.start(self.office.accept)
        stack.push_async_callback(self._stop_keepers)
        routes = {name: channel.routes() for name, channel in mine.items()}
        limits = WebLimits(**self.settings.http.model_dump(exclude={"health_token"}))
        token = self.settings.http.health_token
        home = next((name for name, channel in mine.items() if channel.manifest.has_page), None)
        app = build_web(self.health, routes, token.get_secret_value() if token else None, home)
        self.web = WebServer(app, self.settings.host, self.settings.port, limits)
        await self.web.start()
        stack.push_async_callback(self.web.stop)

    async def _stop_keepers(self) -> None:
        await asyncio.gather(*(keeper.stop() for keeper in self.keepers.values()))

    def _attach_channels(self) -> None:
        lines = PastLines(self.office.database)
        for name, channel in self.channels.items():
            self._memory.held_words.register(name, channel.drop)
            rates = self._rates(name)
            transcript = ChannelTranscript(name, self.office.inbox, lines, has_feedback_buttons=rates)
            relay = None if self.part == "all" else Relay(self.settings.database, name)
            channel.attach(transcript, relay, self.part, self._notice(name))

    def _without_label(self) -> list[str]:
        """Return the channels on which the first answer says that a machine answers."""
        return [
            name for name, channel in self.channels.items() if not channel.manifest.capabilities.shows_machine_notice
        ]

    def _is_mine(self, channel: str) -> bool:
        return self.part in ("all", self.channels[channel].manifest.component)
