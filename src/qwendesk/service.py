"""The desk as a service: channels, the durable desk and the web server in one process, or a part of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import Any, Self

from starlette.routing import BaseRoute

from qwendesk.app import Desk
from qwendesk.channel_wiring import (
    access_policy,
    asks_for_feedback,
    check_component,
    machine_notice,
    make_channels,
)
from qwendesk.channels.base import Channel, Component
from qwendesk.channels.delivery_adapter import ChannelTranscript, DeliveryAdapter
from qwendesk.channels.lifecycle import ChannelSupervisor
from qwendesk.channels.markup.inline_rules import drop_texts
from qwendesk.channels.relay import Relay
from qwendesk.desk.access import PairingRequest
from qwendesk.desk.delivery.deliver import Outlet
from qwendesk.desk.delivery.transcript import Transcript
from qwendesk.desk.delivery.typing_signs import TypingSigns
from qwendesk.desk.hours.desk_hours import DeskHours
from qwendesk.desk.interpreter.reading import BackgroundReader
from qwendesk.desk.operator_rooms.room import OperatorsRoom
from qwendesk.desk.operator_rooms.sender import RoomSender
from qwendesk.desk.operators.operators import Operators
from qwendesk.desk.reports.drafts import AddDocument
from qwendesk.desk.runtime import DeskRuntime, WorkerSetup
from qwendesk.desk.service_times.clocks import ServiceTimesReader
from qwendesk.desk.visitors import Visitors
from qwendesk.desk.workspace.suggestions import Suggestion
from qwendesk.errors import ConfigError, EngineUnavailable
from qwendesk.health_checks import ModelMonitor, problems_of
from qwendesk.knowledge.knowledge_base import KnowledgeBase
from qwendesk.memory.audit import ErasureWatch
from qwendesk.memory.memory import Memory
from qwendesk.periodic import PeriodicTask
from qwendesk.room_checks import room_problems
from qwendesk.server.addresses import is_loopback
from qwendesk.server.limits import WebLimits
from qwendesk.server.pages.all_pages import build_pages
from qwendesk.server.pages.desk_pages import HOME
from qwendesk.server.pages.inbox.inbox import Inbox
from qwendesk.server.pages.overview import OverviewPages
from qwendesk.server.web import WebServer, build_app
from qwendesk.settings import Settings
from qwendesk.wiring import (
    admission_limits,
    build_commands,
    build_memory,
    build_rooms,
    build_timed_rules,
    build_webhooks,
    build_worker_setup,
    ticket_rules,
)

_PRUNE_SECONDS = 3600.0
"""Seconds between two deletions of expired sessions and old entries of the operators' audit log."""
log = logging.getLogger(__name__)
_MAX_QUOTED = 3
"""Documents that are quoted as suggested replies."""


async def _warn_if_no_model(desk: Desk) -> None:
    """Log at the start that no model is available.

    Raises:
        ConfigError: the settings name an unknown engine or model.
    """
    try:
        name = await desk.pool.model_to_fetch()
    except EngineUnavailable as error:
        log.warning("No message can be answered yet: %s", error)
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


def _build_inbox(
    settings: Settings,
    memory: Memory,
    runtime: DeskRuntime,
    reader: BackgroundReader | None,
    desk: Desk | None,
    outlets: Mapping[str, Outlet],
) -> Inbox:
    """Return what the operators' inbox works with.

    Args:
        settings: all settings.
        memory: the memory.
        runtime: changes tickets, and has operators' decisions.
        reader: translates messages for operators; None: this process has no models.
        desk: has the documents for suggested replies; None: this process answers nothing.
        outlets: the channels, by name.
    """
    hours = DeskHours(settings.hours)
    times = ServiceTimesReader(memory.scope, settings.service_times, hours)
    search = partial(_quotes, desk.knowledge.base) if desk else None
    return Inbox.of(memory, runtime.tickets, runtime.approvals, reader, search, times, TypingSigns(outlets))


async def _quotes(documents: KnowledgeBase, question: str, language: str | None) -> list[Suggestion]:
    """Return what the documents for everybody say about a question."""
    verdict = await documents.judge(question, None, language)
    passages = verdict.passages[:_MAX_QUOTED] if verdict and verdict.is_near else ()
    quotes = await documents.quotes(question, passages)
    return [
        Suggestion("document", quote, passage.citation, passage.source.url)
        for passage, quote in zip(passages, quotes, strict=True)
    ]


class Service:
    """A running desk; enter it to start, leave it to stop.

    Args:
        settings: all settings.
        component: what this process runs.
        channels: channels by name; None makes those that the settings set up.
        desk: answers messages; None makes one of the settings.
        on_request: is called with each stranger's message that was answered by a code, and with the code.
    """

    def __init__(
        self,
        settings: Settings,
        component: Component = "all",
        *,
        channels: Mapping[str, Channel] | None = None,
        desk: Desk | None = None,
        on_request: PairingRequest | None = None,
    ) -> None:
        self.settings = settings
        self.component = component
        self.excluded: dict[str, str] = {}
        """Why a channel that is set up does not run, by its name: its plug-in cannot be used."""
        self.channels = dict(make_channels(settings, self.excluded) if channels is None else channels)
        self._desk = desk
        self._on_request = on_request
        self._answers = component in ("all", "worker")
        self._open = AsyncExitStack()
        self._inbox: Inbox | None = None
        self._reader: BackgroundReader | None = None
        self._answering_desk: Desk | None = None
        self.web: WebServer | None = None
        self._has_operators = False
        self.models: ModelMonitor | None = None
        """Watches the model of the role ``general``; None where this process does not answer."""
        self.supervisors: dict[str, ChannelSupervisor] = {}
        self._add_document: AddDocument | None = None
        self._rooms: list[RoomSender] = []
        if component in ("ingress", "worker"):
            check_component(self.channels, component)
        if component != "all" and settings.database.startswith("sqlite"):
            raise ConfigError(
                f"--component {component} needs a database that processes can share: set QWENDESK_DATABASE_URL to "
                "'postgresql+psycopg://...', or leave --component out."
            )

    async def __aenter__(self) -> Self:
        """Start: first what answers, then what accepts."""
        async with AsyncExitStack() as stack:
            for channel in self.channels.values():
                stack.push_async_callback(channel.aclose)
            self.runtime = await self._open_runtime(stack)
            watch = asyncio.create_task(ErasureWatch(self.runtime.database, self._memory.text_caches).watch())
            stack.push_async_callback(_end, watch)
            self._attach_channels()
            await self.runtime.start()
            stack.push_async_callback(self.runtime.stop, self.settings.shutdown_timeout)
            if self._answers:
                rules = build_timed_rules(self.settings, self.runtime.database, self.runtime.tickets)
                await rules.start()
                stack.push_async_callback(rules.stop)
                if self.settings.tickets.ask_rating:
                    await self.runtime.satisfaction.start()
                    stack.push_async_callback(self.runtime.satisfaction.stop)
                await self._start_rooms(stack)
                webhooks = build_webhooks(self.settings, self.runtime.database)
                await webhooks.start()
                stack.push_async_callback(webhooks.stop)
            if self.models:
                self.models.start()
                stack.push_async_callback(self.models.stop)
            if self.component != "worker":
                await self._accept(stack)
            self._open = stack.pop_all()
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Stop: first what accepts, then what answers."""
        await self._open.aclose()

    async def health(self) -> dict[str, Any]:
        """Return the health report of ``/healthz``.

        Raises:
            StoreError: the database cannot be read, or nothing can be written to it.
        """
        await self.runtime.database.whole_database.check()
        failing = {name: supervisor.error for name, supervisor in self.supervisors.items() if supervisor.is_failing}
        failing |= {f"{room.channel} (operators' room)": room.error for room in self._rooms if room.error}
        failed = await self.runtime.inbox_maintenance.count_failed()
        problems = problems_of(self.models, self.excluded | failing, failed)
        return {
            "status": "degraded" if problems else "ok",
            "component": self.component,
            "waiting": await self.runtime.acceptance.open_count(),
            "failed": failed,
            "channels": {name: supervisor.state for name, supervisor in self.supervisors.items()},
            "problems": problems,
        }

    async def _open_runtime(self, stack: AsyncExitStack) -> DeskRuntime:
        settings = self.settings
        if self._answers:
            desk = await stack.enter_async_context(self._desk or Desk(settings))
            await _warn_if_no_model(desk)
            self.models = ModelMonitor(desk.pool)
            memory, self._answering_desk = desk.memory, desk
            self._add_document = desk.knowledge.base.add_bytes
            self._reader = BackgroundReader(desk.interpreter)
        else:
            memory = build_memory(settings)
            await memory.open()
            stack.push_async_callback(memory.aclose)
        self._memory = memory
        memory.text_caches.register("texts", drop_texts)
        return DeskRuntime(
            memory.scope,
            settings.database,
            worker=self._answering(desk) if self._answers else None,
            access_policies={name: access_policy(name, channel, settings) for name, channel in self.channels.items()},
            limits=admission_limits(settings),
            on_request=self._on_request,
            ticket_rules=ticket_rules(settings),
            rooms=self._operators_rooms,
        )

    def _answering(self, desk: Desk) -> WorkerSetup:
        async def check_model(name: str) -> None:
            await desk.pool.choose("general", name)

        commands = build_commands(desk.memory, desk.commands, check_model)
        outlets: dict[str, Outlet] = {name: DeliveryAdapter(channel) for name, channel in self.channels.items()}
        noticed = self._channels_with_text_notice()
        turns = desk.turns
        return build_worker_setup(self.settings, turns.run, commands, outlets, noticed, desk.interpreter, turns.resume)

    async def _start_rooms(self, stack: AsyncExitStack) -> None:
        """Post tickets into the operators' rooms of the channels."""
        outlets = {name: DeliveryAdapter(self.channels[name]) for name in self._operators_rooms}
        interpreter = self._answering_desk.interpreter if self._answering_desk else None
        for told in (await room_problems(self.settings, self.runtime.database, self._operators_rooms)).values():
            log.warning(" ".join(told))
        self._rooms = build_rooms(self.runtime.database, self._operators_rooms, outlets, interpreter)
        for room in self._rooms:
            room.start()
            stack.push_async_callback(room.stop)

    @property
    def _operators_rooms(self) -> dict[str, OperatorsRoom]:
        """The operators' room of each channel that has one."""
        return {name: channel.operators_room for name, channel in self.channels.items() if channel.operators_room}

    async def _accept(self, stack: AsyncExitStack) -> None:
        served = {name: channel for name, channel in self.channels.items() if self._is_served_here(name)}
        for name, channel in served.items():
            self.supervisors[name] = supervisor = ChannelSupervisor(name, channel)
            supervisor.start(self.runtime.accept)
        stack.push_async_callback(self.stop_channels)
        routes = {name: channel.routes() for name, channel in served.items()}
        limits = WebLimits(**self.settings.http.model_dump(exclude={"health_token"}))
        token = self.settings.http.health_token
        home = next((name for name, channel in served.items() if channel.manifest.has_page), None)
        desk_routes = await self._desk_routes(stack)
        self.app = build_app(self.health, routes, token.get_secret_value() if token else None, home, desk_routes)
        self.web = WebServer(self.app, self.settings.host, self.settings.port, limits)
        await self.web.start()
        stack.push_async_callback(self.web.stop)
        if self._inbox:
            stack.push_async_callback(self._inbox.feed.aclose)  # ends the open streams, for which the server would wait

    async def _desk_routes(self, stack: AsyncExitStack) -> Sequence[BaseRoute]:
        """Return the routes of the operators' pages, which the process that serves pages has."""
        if self.settings.operators.pages == "off" or self.component == "ingress":
            return ()
        operators = self.operators = Operators(self.runtime.database, self.settings.operators)
        self._has_operators = await operators.accounts.exist()
        if self._has_operators and not is_loopback(self.settings.host) and not self.settings.http.trusted_proxies:
            log.warning(
                "The operators' pages are served on %s without TLS: passwords and messages can be read on the way. "
                "Listen on 127.0.0.1 behind a proxy with TLS, and name it in trusted_proxies in the table [http].",
                self.settings.host,
            )
        pruning = PeriodicTask(operators.prune, _PRUNE_SECONDS, "deleting old sessions")
        pruning.start()
        stack.push_async_callback(pruning.stop)
        if self._reader:
            stack.push_async_callback(self._reader.aclose)
        desk = self._answering_desk
        outlets = {name: DeliveryAdapter(channel) for name, channel in self.channels.items()}
        self._inbox = _build_inbox(self.settings, self._memory, self.runtime, self._reader, desk, outlets)
        return build_pages(operators, self._overview().pages(), self._inbox).routes()

    def _overview(self) -> OverviewPages:
        hours = DeskHours(self.settings.hours)
        return OverviewPages(
            self.runtime.database,
            self.runtime.ticket_queries,
            self.health,
            self._add_document,
            self.settings.hours.zone or "UTC",
            hours.open_time_between,
        )

    @property
    def desk_address(self) -> str | None:
        """The address of the operators' pages; None where they are not served yet."""
        return f"{self.web.url}{HOME}" if self.web and self._has_operators else None

    async def stop_channels(self) -> None:
        """Stop the channels; what they have handed over is still answered."""
        await asyncio.gather(*(supervisor.stop() for supervisor in self.supervisors.values()))

    def _attach_channels(self) -> None:
        lines = Transcript(self.runtime.database)
        for name, channel in self.channels.items():
            self._memory.text_caches.register(name, channel.drop)
            rates = asks_for_feedback(name, self.settings)
            transcript = ChannelTranscript(name, self.runtime.inbox, lines, has_feedback_buttons=rates)
            relay = None if self.component == "all" else Relay(self.settings.database, name)
            channel.attach(transcript, relay, self.component, machine_notice(name, self.settings))
            channel.attach_visitors(Visitors(self.runtime.database, name))

    def _channels_with_text_notice(self) -> list[str]:
        """Return the channels on which the first answer says that a machine answers."""
        return [
            name for name, channel in self.channels.items() if not channel.manifest.capabilities.shows_machine_notice
        ]

    def _is_served_here(self, channel: str) -> bool:
        return self.component in ("all", self.channels[channel].manifest.component)
