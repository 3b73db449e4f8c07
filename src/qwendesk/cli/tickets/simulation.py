"""Plays ticket scenarios: a desk with its worker and queue, a channel that keeps what it is given, a scripted model."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from langchain_core.messages import BaseMessage, ToolMessage
from langchain_core.tools import BaseTool, StructuredTool
from pydantic import ValidationError, create_model
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource
from sqlalchemy import select, update

from qwendesk.agents.checks.call_schema import shown_call
from qwendesk.app import Desk
from qwendesk.channels.base import Accept, Channel, ChannelCapabilities, Manifest
from qwendesk.desk.operators.accounts import OperatorAccounts
from qwendesk.desk.operators.audit import AuditActor
from qwendesk.desk.tickets.records import Actor, TicketRecord
from qwendesk.desk.translations import say
from qwendesk.engines.scripted import ScriptedEngine
from qwendesk.errors import ConfigError, EngineUnavailable, QwendeskError, ToolError
from qwendesk.memory.tables.conversations import Message, PendingTurn
from qwendesk.memory.tables.reports import TicketRating
from qwendesk.memory.tables.tickets import Ticket, TicketApproval, TicketEvent
from qwendesk.memory.tables.types import UtcDateTime
from qwendesk.memory.tenancy import TenantDatabase
from qwendesk.messages import Author, Inbound, Outbound, PendingCall
from qwendesk.service import Service
from qwendesk.settings import Settings, load_settings
from qwendesk.testing.ticket_scenario import Expectation, MockTool, ScriptedAnswer, TicketScenario, TicketStep
from qwendesk.tools.base import MOCK, RISKY
from qwendesk.wiring import build_timed_rules

CHANNEL = "scenario"
_KINDS: dict[str, Any] = {"text": str, "number": int | float, "truth": bool}
_SETTLE_SECONDS = 120.0
_POLL_SECONDS = 0.02
Show = Callable[[str, str], None]
"""Receives who acts and what."""


class ScenarioSettings(Settings):
    """Settings of a scenario: the defaults and its own, whatever stands in files and in the environment."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read only what the scenario gives."""
        return (init_settings,)


class ScenarioChannel(Channel):
    """A channel without a platform."""

    manifest = Manifest(CHANNEL, "Scenario", ChannelCapabilities(buttons=5, groups=True, shows_author=True))

    def __init__(self) -> None:
        self.sent: list[Outbound] = []
        self._accept: Accept | None = None
        self._is_stopped = asyncio.Event()
        self.is_started = asyncio.Event()

    async def start(self, accept: Accept) -> None:
        """Receive messages until ``stop``."""
        self._accept = accept
        self.is_started.set()
        await self._is_stopped.wait()

    async def stop(self) -> None:
        """Stop receiving."""
        self._is_stopped.set()

    async def send(self, message: Outbound) -> str | None:
        """Keep a message."""
        self.sent.append(message)
        return str(len(self.sent))

    async def check(self) -> str:
        """Return that nothing has to be checked."""
        return "a scenario"

    async def write(self, inbound: Inbound) -> None:
        """Pass a customer's message on."""
        assert self._accept, "the channel is started first"
        admitted = await self._accept(inbound)
        if admitted.outcome in ("refused", "busy"):
            self.sent.append(Outbound("", inbound.conversation, admitted.text or "(busy)"))

    def to(self, conversation: str) -> list[Outbound]:
        """Return what was sent to a conversation."""
        return [message for message in self.sent if message.conversation == conversation]


@dataclass
class ScriptedModel:
    """Answers by a scenario's script."""

    answers: Sequence[ScriptedAnswer]
    asked: int = 0
    released: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, messages: list[BaseMessage]) -> str:
        """Return the answer to the newest message."""
        newest, text = messages[-1], messages[-1].text.casefold()
        self.asked += 1
        tool = (newest.name or "") if isinstance(newest, ToolMessage) else ""
        fitting = [one for one in self.answers if one.after == tool and one.when.casefold() in text]
        found = next(iter(fitting), None)
        if found is None:
            return f"OK {self.asked}."
        if found.waits:
            await self.released.wait()
        if found.fails:
            raise EngineUnavailable("The scripted model is away.")
        calls = [json.dumps({"name": name, "arguments": given}) for name, given in found.calls.items()]
        return found.say + "".join(f"<tool_call>{call}</tool_call>" for call in calls)


def mock_tool(mock: MockTool, called: list[str]) -> BaseTool:
    """Return a tool without an effect; its calls are added to a list."""

    async def run(**given: Any) -> str:
        called.append(shown_call(mock.name, given))
        if mock.fails is not None:
            raise ToolError(mock.fails)
        return mock.returns or ""

    fields: dict[str, Any] = {name: (_KINDS[kind], ...) for name, kind in mock.arguments.items()}
    made = StructuredTool.from_function(
        coroutine=run, name=mock.name, description=mock.description, args_schema=create_model(mock.name, **fields)
    )
    is_played = mock.returns is not None or mock.fails is not None
    made.metadata = {RISKY: mock.risky, MOCK: is_played}
    return made


async def play_scenario(scenario: TicketScenario, folder: Path, show: Show = lambda who, what: None) -> list[str]:
    """Play a scenario on a desk of its own and return what did not go as expected.

    Args:
        scenario: the scenario.
        folder: an empty folder for the desk's data.
        show: receives each action.
    """
    async with _playing(scenario, folder, show) as player:
        for number, step in enumerate(scenario.steps, 1):
            await player.play(step, f"{scenario.name}, step {number}")
        return player.failures


@asynccontextmanager
async def _playing(scenario: TicketScenario, folder: Path, show: Show) -> AsyncIterator[_Player]:
    values = {
        "dry_run_tools": True,
        "channels": {CHANNEL: {"access": "open", "machine_notice": "false"}},
        **scenario.settings,
    }
    if scenario.closed_today:
        today = datetime.now(UTC).date()
        days = [str(today + timedelta(days=number)) for number in (-1, 0, 1)]
        values["hours"] = {"zone": "UTC", "week": {"mon-sun": "09:00-17:00"}, "closed": days}
    engines: dict[str, Any] = {}
    model = ScriptedModel(scenario.script)
    if scenario.model == "scripted":
        engines["scripted"] = ScriptedEngine(model)
        try:
            settings: Settings = ScenarioSettings(home=folder, engine="scripted", port=0, shutdown_timeout=5, **values)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            told = "there is no such setting" if first["type"] == "extra_forbidden" else first["msg"]
            raise ConfigError(f"{scenario.name}: settings.{place}: {told}.") from error
    else:
        database = f"sqlite+aiosqlite:///{folder}/desk.db"
        settings = load_settings(database_url=database, host="127.0.0.1", port=0, **values)
    channel, called = ScenarioChannel(), list[str]()
    desk = Desk(settings, engines=engines, tools=[mock_tool(one, called) for one in scenario.tools])
    async with Service(settings, channels={CHANNEL: channel}, desk=desk) as service:
        await channel.is_started.wait()
        player = _Player(scenario, service, channel, model, show, called)
        await player.add_operators()
        try:
            yield player
        finally:
            model.released.set()


@dataclass
class _Player:
    scenario: TicketScenario
    service: Service
    channel: ScenarioChannel
    model: ScriptedModel
    show: Show
    called: list[str]
    """The calls of the scenario's tools."""
    failures: list[str] = field(default_factory=list)
    refused: str = ""
    _operators: dict[str, Actor] = field(default_factory=dict)
    _seen: dict[str, int] = field(default_factory=dict)
    _written: int = 0

    async def add_operators(self) -> None:
        """Add the operators' accounts."""
        accounts = OperatorAccounts(self.service.runtime.database)
        for number, one in enumerate(self.scenario.operators):
            added = await accounts.add(
                one.name,
                "no password: nobody logs in",
                AuditActor(),
                display_name=one.name.title(),
                role=one.role if number else "admin",  # as the first account is
                languages=one.languages,
                teams=one.teams,
            )
            self._operators[one.name] = Actor.operator(added.id, added.display_name)
            if one.online:
                await accounts.touch(added.id)

    async def play(self, step: TicketStep, where: str) -> None:
        """Play one step and compare what is expected after it."""
        conversation = _conversation(step)
        self._seen = {name: len(self.channel.to(name)) for name in self._conversations()}
        self.refused = ""
        if step.together:
            await asyncio.gather(*(self._act(one) for one in step.together))
        else:
            await self._act(step)
        if not (step.until_asked or self._is_waiting()):
            await self._settle()
        for message in self.channel.to(conversation)[self._seen.get(conversation, 0) :]:
            self.show(message.author.name if message.author and message.author.name else "desk", message.text)
        expectations = [(step, conversation), *((one, _conversation(one)) for one in step.together)]
        for one, of in expectations:
            if one.expect:
                self.failures += [f"{where}: {fault}" async for fault in self._compare(one, of)]

    def _conversations(self) -> set[str]:
        return {message.conversation for message in self.channel.sent}

    def _is_waiting(self) -> bool:
        """Return whether the script holds an answer back."""
        return (
            any(one.waits for one in self.scenario.script) and not self.model.released.is_set() and self.model.asked > 0
        )

    async def _act(self, step: TicketStep) -> None:
        if step.release:
            self.model.released.set()
        elif step.wait is not None:
            self.show("time", f"{step.wait} later")
            settings, runtime = self.service.settings, self.service.runtime
            await _let_time_pass(runtime.database, step.wait)
            await runtime.approvals.expire()
            await build_timed_rules(settings, runtime.database, runtime.tickets).once()
            if settings.tickets.ask_rating:
                await runtime.satisfaction.ask_due()
        elif step.customer is not None:
            self.show(step.person, step.customer)
            await asyncio.gather(*(self._write(step) for _ in range(step.times)))
            if step.until_asked:
                await self._until(lambda: self.model.asked > 0, "the model is asked")
        elif step.operator is not None:
            try:
                await self._operate(step, self._operators[step.operator])
            except QwendeskError as error:
                self.refused = str(error)
                self.show(step.operator, f"({error})")
                if not (step.expect and step.expect.refused):
                    self.failures.append(f"{self.scenario.name}: {step.operator} was refused: {error}")
        elif step.until_asked:
            await self._until(lambda: self.model.asked > 0, "the model is asked")

    async def _write(self, step: TicketStep) -> None:
        self._written += 1
        await self.channel.write(
            Inbound(
                step.customer or "",
                _conversation(step),
                person=step.person,
                channel=CHANNEL,
                event=f"e{self._written}",
                locale=step.locale or self.scenario.language,
                group=step.group,
                display_name=step.person.title(),
            )
        )

    async def _operate(self, step: TicketStep, operator: Actor) -> None:
        ticket = await self._ticket(step)
        tickets, done = self.service.runtime.tickets, step.does
        if done in ("go_online", "go_offline"):
            await self._set_online(operator, is_online=done == "go_online")
            return
        if ticket is None:
            self.failures.append(f"{self.scenario.name}: {step.operator} finds no ticket")
            return
        self.show(step.operator or "", step.says or step.does or "acts")
        for action in self._actions(step, ticket, operator):
            await action
        if step.says is not None:
            await tickets.reply(ticket.id, operator, step.says)

    def _actions(self, step: TicketStep, ticket: TicketRecord, operator: Actor) -> Iterator[Awaitable[Any]]:
        """Yield what a step does to a ticket, beside a reply."""
        tickets = self.service.runtime.tickets
        does: dict[str, Callable[[], Awaitable[Any]]] = {
            "take_over": lambda: tickets.take_over(ticket.id, operator),
            "force_take_over": lambda: tickets.take_over(ticket.id, operator, force=True),
            "hand_back": lambda: tickets.hand_back(ticket.id, operator),
            "hand_over": lambda: tickets.hand_over(ticket.id, operator, "operator"),
            "resolve": lambda: tickets.resolve(ticket.id, operator),
            "reopen": lambda: tickets.reopen(ticket.id, operator),
            "wake": lambda: tickets.wake(ticket.id, operator),
            "unassign": lambda: tickets.assign(ticket.id, operator, None),
            "approve": lambda: self._decide(step, ticket, operator, approve=True),
            "decline": lambda: self._decide(step, ticket, operator, approve=False),
        }
        if step.does:
            yield does[step.does]()
        if step.assigns:
            yield tickets.assign(ticket.id, operator, self._operators[step.assigns].operator_id)
        if step.snoozes:
            yield tickets.snooze(ticket.id, operator, datetime.now(UTC) + step.snoozes)
        if step.tags or step.priority:
            yield tickets.update(ticket.id, operator, add_tags=step.tags, priority=step.priority)
        if step.notes:
            yield tickets.note(ticket.id, operator, step.notes)
        if step.splits_from is not None:
            yield tickets.split(ticket.id, operator, step.splits_from)
        if step.merges_into is not None:
            yield self._merge(ticket, step.merges_into, operator)

    async def _decide(self, step: TicketStep, ticket: TicketRecord, operator: Actor, *, approve: bool) -> None:
        approvals = self.service.runtime.approvals
        waiting = await self._waiting(ticket)
        call = next((call.id for call in waiting if call.tool == step.call), step.call)
        approval = await approvals.find(ticket, call)
        await approvals.decide(ticket.id, operator, approval.id, call, approve, step.sets)

    async def _waiting(self, ticket: TicketRecord) -> list[PendingCall]:
        """Return the calls that wait for an approval on a ticket."""
        found = await self.service.runtime.approvals.waiting()
        return [call for one in found if one.ticket_id == ticket.id for call in one.undecided]

    async def _merge(self, ticket: TicketRecord, number: int, operator: Actor) -> None:
        target = await self.service.runtime.ticket_queries.numbered(number)
        await self.service.runtime.tickets.merge(ticket.id, target.id, operator)

    async def _set_online(self, operator: Actor, *, is_online: bool) -> None:
        assert operator.operator_id
        accounts = OperatorAccounts(self.service.runtime.database)
        await accounts.touch(operator.operator_id)
        await accounts.set_available(operator.operator_id, is_online, AuditActor())

    async def _ticket(self, step: TicketStep) -> TicketRecord | None:
        queries = self.service.runtime.ticket_queries
        if step.ticket is not None:
            return await queries.numbered(step.ticket)
        return next(iter(await self._tickets(_conversation(step))), None)

    async def _tickets(self, conversation: str) -> list[TicketRecord]:
        """Return the tickets of a conversation, newest first."""
        id_ = await self.service.runtime.inbox.conversation_id(CHANNEL, "", conversation)
        return await self.service.runtime.ticket_queries.of_conversation(id_) if id_ else []

    async def _settle(self) -> None:
        """Wait until every message is answered and delivered."""
        async with asyncio.timeout(_SETTLE_SECONDS):
            while await self.service.runtime.acceptance.open_count():  # noqa: ASYNC110 - a worker changes the table
                await asyncio.sleep(_POLL_SECONDS)

    async def _until(self, holds: Callable[[], bool], what: str) -> None:
        try:
            async with asyncio.timeout(_SETTLE_SECONDS):
                while not holds():  # noqa: ASYNC110 - the model counts
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError:
            self.failures.append(f"{self.scenario.name}: waited in vain until {what}")

    async def _compare(self, step: TicketStep, conversation: str) -> AsyncIterator[str]:
        assert step.expect
        expected, tickets = step.expect, await self._tickets(conversation)
        sent = self.channel.to(conversation)[self._seen.get(conversation, 0) :]
        ticket = await self._ticket(step) if step.ticket is not None else next(iter(tickets), None)
        for name, wanted, found in _values(expected, ticket, len(tickets)):
            if wanted is not None and wanted != found:
                yield f"{name} is {found!r}, not {wanted!r}"
        for fault in await self._compare_calls(expected, ticket):
            yield fault
        for fault in self._compare_messages(expected, sent):
            yield fault
        everything = "\n".join(message.text for message in self.channel.to(conversation))
        for text in expected.never or ():
            if text in everything:
                yield f"the customer got {text!r}"
        if expected.refused is not None and not re.search(expected.refused, self.refused):
            yield f"it was refused with {self.refused!r}, not with {expected.refused!r}"
        if expected.events and ticket:
            thread = await self.service.runtime.ticket_queries.thread(ticket.id)
            kinds = iter([event.kind for event in thread.events])
            missing = [kind for kind in expected.events if kind not in kinds]
            if missing:
                yield f"the ticket has no event {missing[0]!r} in this order: {[one.kind for one in thread.events]}"

    async def _compare_calls(self, expected: Expectation, ticket: TicketRecord | None) -> list[str]:
        faults = []
        waiting = [call.tool for call in await self._waiting(ticket)] if ticket else []
        if expected.needs_approval is not None and waiting != list(expected.needs_approval):
            faults.append(f"calls of {waiting} wait for an approval, not of {list(expected.needs_approval)}")
        if expected.called is not None and self.called != list(expected.called):
            faults.append(f"the calls were {self.called}, not {list(expected.called)}")
        return faults

    def _compare_messages(self, expected: Expectation, sent: Sequence[Outbound]) -> list[str]:
        faults, texts = [], [message.text for message in sent]
        if expected.silent is not None and expected.silent != (not texts):
            faults.append(f"the customer got {texts}" if texts else "the customer got nothing")
        if expected.gets is not None and not _contain(texts, expected.gets):
            faults.append(f"the customer got {texts}, not {list(expected.gets)}")
        for key in expected.told or ():
            if not any(_is_text(key, text, self.scenario.language) for text in texts):
                faults.append(f"the customer was not told {key!r} in {self.scenario.language!r}: {texts}")
        if expected.by and (not sent or (sent[-1].author or Author()).kind != expected.by):
            faults.append(f"the newest message is not by the {expected.by}")
        return faults


async def _let_time_pass(database: TenantDatabase, duration: timedelta) -> None:
    """Make everything that has happened to tickets older, which is as good as a later clock."""
    async with database.write() as connection:
        for table in (Ticket, TicketEvent, TicketRating, Message, TicketApproval, PendingTurn):
            times = [column for column in table.__table__.columns if isinstance(column.type, UtcDateTime)]
            for row in (await connection.execute(select(table.id, *times))).all():
                older = {name: at - duration for name, at in row._mapping.items() if isinstance(at, datetime)}
                await connection.execute(update(table).where(table.id == row.id).values(**older))


def _conversation(step: TicketStep) -> str:
    return step.conversation or step.person


def _values(expected: Expectation, ticket: TicketRecord | None, count: int) -> list[tuple[str, Any, Any]]:
    """Return the name, the expected and the real value of what is compared of a ticket."""
    return [
        ("the state", expected.state, ticket and ticket.state),
        ("the reason", expected.reason, ticket and ticket.reason),
        ("the holder", expected.held_by, ticket and ticket.operator_name.lower()),
        ("the language", expected.language, ticket and ticket.language),
        ("the priority", expected.priority, ticket and ticket.priority),
        ("the tags", expected.tags, ticket and ticket.tags),
        ("the team", expected.team, ticket and ticket.team),
        ("the number of tickets", expected.tickets, count),
    ]


def _contain(texts: Sequence[str], wanted: Sequence[str]) -> bool:
    """Return whether each text contains the wanted one at its place."""
    return len(texts) == len(wanted) and all(part in text for text, part in zip(texts, wanted, strict=True))


def _is_text(key: str, text: str, language: str) -> bool:
    """Return whether a message holds a text of the desk, whatever values it was given."""
    raw = say(key, language)
    pattern = ".+".join(re.escape(part) for part in re.split(r"\{\w+\}", raw))
    return re.search(pattern, text, re.DOTALL) is not None
