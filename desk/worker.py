"""Answer one accepted message: run its turn, deliver the answer, close it. Run again, it finds what is done."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from qwendesk.desk.commands.chat_commands import Commands, Done, parse
from qwendesk.desk.commands.rating import thumbs
from qwendesk.desk.delivery.deliver import Delivery, Outlet, RunTurn
from qwendesk.desk.delivery.streaming import Live
from qwendesk.desk.inbox.cancellation import Stops
from qwendesk.desk.inbox.records import HEARD, TOLD_MACHINE, Arrived, Outcome
from qwendesk.desk.inbox.reply_language import language_of, newly_heard
from qwendesk.desk.inbox.repository import Inbox
from qwendesk.desk.inbox.rows import conversation_key
from qwendesk.desk.machine_notice import MachineNotices, after_notice
from qwendesk.desk.translations import say
from qwendesk.errors import EngineTimeout, EngineUnavailable, InputError, StoreError
from qwendesk.messages import Button, Finished, Inbound, Reply, as_role
from qwendesk.redaction import redact

MOST_RUNS = 3
"""A message whose run has ended a process so often is given up."""
_TRIES = (1.0, 3.0)
"""Seconds to wait before a model that is not there is asked again."""
_THUMBS = 2
"""Buttons that an opinion takes."""
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """What is to be delivered, and how the message is closed with it."""

    text: str
    outcome: Outcome = "done"
    error: str | None = None
    is_rated: bool = False
    """Whether the person is asked what to think of it."""
    is_stored: bool = False
    """Whether the memory holds it word for word as the answer, so that a later run finds it there."""
    tells_machine: bool = False
    """Whether it begins with the line that a machine answers."""

    def behind(self, first_line: str) -> Answer:
        """Return the answer behind the line that a machine answers."""
        if not first_line or not self.text or self.tells_machine:
            return self
        return replace(self, text=after_notice(first_line, self.text), is_stored=False, tells_machine=True)

    def as_verdict(self) -> dict[str, Any]:
        """Return it as it is kept until it is delivered, which a later run may have to do."""
        return {
            "text": self.text,
            "outcome": self.outcome,
            "error": self.error,
            "is_rated": self.is_rated,
            "tells_machine": self.tells_machine,
        }


class Worker:
    """Runs turns of accepted messages and delivers their answers.

    Args:
        unrated: channels on which people are not asked what they think of an answer.
        notices: how people are told that a machine answers.
    """

    def __init__(
        self,
        inbox: Inbox,
        delivery: Delivery,
        run_turn: RunTurn,
        outlets: Mapping[str, Outlet],
        commands: Commands,
        unrated: Collection[str] = (),
        notices: MachineNotices | None = None,
    ) -> None:
        self._inbox = inbox
        self._delivery = delivery
        self._run_turn = run_turn
        self._outlets = outlets
        self._commands = commands
        self._unrated = unrated
        self._notices = notices or MachineNotices()
        self.stops = Stops(inbox.asked_to_stop)
        self._patience = delivery.patience
        self._in_hand: dict[str, Arrived] = {}

    def hurry(self) -> None:
        """Let no delivery wait long for its next try: the next start tries it."""
        self._patience.hurry()

    def set_aside(self) -> set[str]:
        """Return the messages in hand that are left to the next start, and wait for nothing here."""
        return self._patience.standing

    def close(self) -> None:
        """Leave what fails from now on to another worker, or to the next start."""
        self._patience.end()

    async def release(self) -> None:
        """Say of what is still in hand that it was only broken off, as the desk was stopped."""
        with suppress(StoreError):
            for arrived in self._in_hand.values():
                await self._inbox.pardon(arrived)

    async def handle(self, id_: str) -> None:
        """Answer a message; while the database is away, wait for it."""
        arrived = await self._patience.through(partial(self._inbox.begin, id_))
        if arrived is None:
            return
        self._in_hand[id_] = arrived  # broken off, it stays there
        try:
            await self._handle(arrived)
        except Exception:
            self._in_hand.pop(id_, None)
            raise
        self._in_hand.pop(id_, None)

    async def _handle(self, arrived: Arrived) -> None:
        outlet = self._outlets.get(arrived.inbound.channel)
        if outlet is None:
            error = f"No channel {arrived.inbound.channel!r} is configured here."
            log.warning("A message is given up: %s Set it up, and 'qwendesk messages retry' answers it.", error)
            await self._close(arrived, "dead", error)
            return
        answer = (await self._surely(arrived, outlet)).behind(self._first_line(arrived))
        if answer.is_stored or not answer.text or await self._settle(arrived, answer):
            if answer.tells_machine and answer.outcome != "gone":
                await self._patience.through(partial(self._note_told, arrived))
            await self._deliver(arrived, outlet, answer)

    def _first_line(self, arrived: Arrived) -> str:
        return self._notices.first_line(arrived.inbound.channel, arrived.settings, _language(arrived))

    async def _note_told(self, arrived: Arrived) -> None:
        await self._inbox.choose(arrived.conversation_id, **{TOLD_MACHINE: True})

    async def _surely(self, arrived: Arrived, outlet: Outlet) -> Answer:
        """Return an answer whatever happens: a message that was left open would be overtaken by the next one."""
        again = arrived.run > 1

        async def find() -> Answer:
            nonlocal again
            looks, again = again, True
            return await self._answer(arrived, outlet, looks)

        try:
            return await self._patience.through(find)
        except Exception as error:
            await self._patience.unless_closing()
            log.exception("A message failed with %s.", type(error).__name__)
            return Answer(say("failed", _language(arrived)), "failed", _told(error))

    async def _settle(self, arrived: Arrived, answer: Answer) -> bool:
        return await self._patience.through(partial(self._inbox.settle, arrived, answer.as_verdict()))

    async def _deliver(self, arrived: Arrived, outlet: Outlet, answer: Answer) -> None:
        buttons = self._buttons(arrived, outlet) if answer.is_rated else ()
        try:
            await self._delivery.deliver(arrived, outlet, answer.text, (answer.outcome, answer.error), buttons)
        except Exception as error:
            await self._patience.unless_closing()
            log.exception("An answer could not be made ready: %s", type(error).__name__)
            await self._apologize(arrived, outlet, "gone" if answer.outcome == "gone" else "failed", _told(error))

    async def _apologize(self, arrived: Arrived, outlet: Outlet, outcome: Outcome, why: str) -> None:
        try:
            await self._delivery.deliver(arrived, outlet, say("failed", _language(arrived)), (outcome, why))
        except Exception as error:
            log.warning("Not even that could be said: %s", type(error).__name__)
            await self._close(arrived, outcome, why)

    async def _close(self, arrived: Arrived, outcome: Outcome, why: str) -> None:
        await self._patience.through(partial(self._inbox.close, arrived.id, arrived.run, outcome, why))

    async def _answer(self, arrived: Arrived, outlet: Outlet, again: bool) -> Answer:
        """Return what is to be said; ``again``: somebody may have come so far before."""
        if arrived.saved_reply:
            return Answer(**arrived.saved_reply)
        if again and (text := await self._inbox.answered(arrived)):
            return Answer(text, is_rated=True, is_stored=True)
        if arrived.attempt > MOST_RUNS:
            error = f"{arrived.attempt - 1} runs ended their process"
            log.warning("A message on %s is given up ('qwendesk messages failed'): %s.", arrived.inbound.channel, error)
            return Answer(say("gave_up", _language(arrived)), "dead", error)
        inbound = arrived.inbound
        if (command := parse(inbound.text)) and (done := await self._commands.run(command, arrived)):
            seen = await self._mark(arrived, outlet, done)
            if done.ask is None:
                text = done.text or ("" if seen else done.unseen)
                return Answer(text, done.outcome)
            inbound = done.ask
        rights = await self._commands.permissions.of(arrived.inbound)
        # in a group others read along
        for_operator = rights.is_operator and not inbound.group
        asked = replace(
            chosen(inbound, arrived.settings), for_operator=for_operator, has_ended_a_run=arrived.attempt > 1
        )
        return await self._ask(arrived, asked, outlet)

    async def _mark(self, arrived: Arrived, outlet: Outlet, done: Done) -> bool:
        if done.marks is None or arrived.inbound.channel in self._unrated:
            return False
        return await self._delivery.mark(arrived, outlet, *done.marks)

    def _buttons(self, arrived: Arrived, outlet: Outlet) -> tuple[Button, ...]:
        sequence = arrived.inbound.sequence
        if sequence is None or outlet.capabilities.buttons < _THUMBS or arrived.inbound.channel in self._unrated:
            return ()
        return thumbs(sequence)

    async def _ask(self, arrived: Arrived, inbound: Inbound, outlet: Outlet) -> Answer:
        live = Live(arrived, outlet, self._delivery, self._first_line(arrived))
        async with live:
            try:
                reply = await self._insist(arrived, inbound, live)
                await self._hear(arrived, reply.receipt.language)
                text = _noted(reply, inbound, arrived)
                return Answer(text, is_rated=True, is_stored=text == reply.text)
            except StoreError:
                raise
            except EngineTimeout as error:
                return self._told_of(live, "timeout", error, arrived)
            except EngineUnavailable as error:
                return self._told_of(live, "unavailable", error, arrived)
            except InputError as error:
                return _not_taken(inbound, error, arrived)
            except asyncio.CancelledError:
                if not self.stops.was_stopped(arrived.id):
                    raise
                return Answer(_with(live.said, say("stopped", _language(arrived))), "stopped")
            except Exception as error:
                await self._patience.unless_closing()
                log.exception("A turn failed: %s", type(error).__name__)
                return _failed(live, say("failed", _language(arrived)), error)

    @staticmethod
    def _told_of(live: Live, key: str, error: Exception, arrived: Arrived) -> Answer:
        """Return what a person is told of an engine that failed; the log has the details."""
        log.warning("A question on %s was not answered: %s", arrived.inbound.channel, error)
        return _failed(live, say(key, _language(arrived)), error)

    async def _hear(self, arrived: Arrived, language: str | None) -> None:
        """Keep what language is written here: a command or a picture does not tell."""
        if heard := newly_heard(language, arrived.inbound, arrived.settings):
            await self._inbox.choose(arrived.conversation_id, **{HEARD: heard})

    async def _insist(self, arrived: Arrived, inbound: Inbound, live: Live) -> Reply:
        """Ask again where the model is not there, as it may be starting."""
        for pause in _TRIES:
            try:
                return await self.stops.run(arrived.id, self._turn(inbound, live))
            except EngineUnavailable:
                await self._patience.unless_closing()
                await asyncio.sleep(pause)
        return await self.stops.run(arrived.id, self._turn(inbound, live))

    async def _turn(self, inbound: Inbound, live: Live) -> Reply:
        async with aclosing(self._run_turn(inbound)) as events:
            async for event in events:
                live.tell(event)
                if isinstance(event, Finished):
                    return event.reply
        raise RuntimeError("The turn ended without a reply.")


def chosen(inbound: Inbound, settings: Mapping[str, Any]) -> Inbound:
    """Return the message as the memory knows its conversation, with what was chosen there where it says nothing."""
    think = settings.get("think")
    return replace(
        inbound,
        conversation=conversation_key(inbound.account, inbound.conversation),
        account="",
        role=inbound.role or as_role(settings.get("role") or ""),
        model=inbound.model or settings.get("model"),
        think=inbound.think if inbound.think is not None else think,
        # what was written is looked at only where the desk itself has something to say in the turn
        locale=language_of(inbound, settings) if inbound.attachments else settings.get("language") or inbound.locale,
    )


def _language(arrived: Arrived) -> str | None:
    return language_of(arrived.inbound, arrived.settings)


def _told(error: Exception) -> str:
    return redact(f"{type(error).__name__}: {error}")


def _noted(reply: Reply, inbound: Inbound, arrived: Arrived) -> str:
    """Say with the answer what of the message could not be read, and that a second try had nobody better to ask."""
    if inbound.unsupported_media:
        return _with(reply.text, say("unreadable", _language(arrived), kind=inbound.unsupported_media))
    if inbound.retry and not reply.receipt.escalation:
        return _with(reply.text, say("no_stronger", _language(arrived)))
    return reply.text


def _not_taken(inbound: Inbound, error: InputError, arrived: Arrived) -> Answer:
    """Return what a person is told of a message that cannot be taken; only an operator is told the program's reason."""
    log.warning("A message on %s was not taken: %s", inbound.channel, error)
    reason = str(error) if inbound.for_operator else error.told
    key, values = ("not_taken", {"reason": reason}) if reason else ("not_taken_here", {})
    return Answer(say(key, _language(arrived), **values), "done", str(error))


def _failed(live: Live, text: str, error: Exception) -> Answer:
    return Answer(_with(live.said, text), "failed", redact(str(error)))


def _with(said: str, text: str) -> str:
    return f"{said.rstrip()}\n\n{text}" if said.strip() else text
