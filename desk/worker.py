"""Answer an accepted message: claim it, run its turn, deliver the answer, complete it.

Each step is repeatable: a second run of a message finds the results of the first one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

from qwendesk.desk import prepared_answer
from qwendesk.desk.commands.chat_commands import ChatCommands, Command, CommandResult, parse
from qwendesk.desk.commands.rating import rating_buttons
from qwendesk.desk.decided_turns import DecidedTurns, ResumeTurn
from qwendesk.desk.delivery.deliver import Delivered, Delivery, Outlet, RunTurn
from qwendesk.desk.delivery.running_turn import StreamingReply, TurnCancellation, last_reply
from qwendesk.desk.inbox.repository import ClaimedMessage, InboxRepository, Outcome, conversation_key
from qwendesk.desk.prepared_answer import PreparedAnswer, language
from qwendesk.desk.reports.satisfaction import Satisfaction
from qwendesk.desk.tickets.flow import HandedOver, TicketFlow
from qwendesk.desk.tickets.records import TicketRecord
from qwendesk.desk.tickets.waiting_turns import WaitingTurns
from qwendesk.desk.translations import (
    DETECTED_LANGUAGE,
    NOTICE_SENT,
    MachineNotices,
    language_of,
    newly_detected,
    say,
)
from qwendesk.errors import EngineTimeout, EngineUnavailable, InputError, StoreError
from qwendesk.messages import Button, Inbound, Reply, as_role
from qwendesk.redaction import redact

MAX_ATTEMPTS = 3
"""A message is given up when this many of its runs have ended their process."""
_MODEL_RETRY_PAUSES_SECONDS = (1.0, 3.0)
"""Pauses before an unavailable model is asked again."""
_RATING_BUTTON_COUNT = 2
"""Buttons that a rating needs."""
_NOT_HERE = PreparedAnswer("", "dead", "this worker does not go on with turns that operators have decided on")
OutgoingText = Callable[[ClaimedMessage], Awaitable[str]]
"""Returns an operator's text as its customer gets it."""
log = logging.getLogger(__name__)


class Worker:
    """Runs turns of accepted messages and delivers their answers.

    Args:
        inbox: the accepted messages.
        delivery: delivers answers.
        run_turn: runs a turn.
        outlets: the channels to deliver to, by name.
        commands: the chat commands.
        unrated_channels: channels without rating buttons.
        notices: the notices that a machine answers.
        tickets: the tickets of the messages; None: there are none.
        outgoing_text: returns an operator's text as its customer gets it, such as translated; None: as it was written.
        satisfaction: customers' ratings of tickets; None: they are not asked for one.
        waiting: the turns that wait for operators; None: operators are not asked for approvals.
        resume_turn: goes on with such a turn.
    """

    def __init__(
        self,
        inbox: InboxRepository,
        delivery: Delivery,
        run_turn: RunTurn,
        outlets: Mapping[str, Outlet],
        commands: ChatCommands,
        unrated_channels: Collection[str] = (),
        notices: MachineNotices | None = None,
        tickets: TicketFlow | None = None,
        outgoing_text: OutgoingText | None = None,
        satisfaction: Satisfaction | None = None,
        waiting: WaitingTurns | None = None,
        resume_turn: ResumeTurn | None = None,
    ) -> None:
        self._satisfaction = satisfaction
        self._tickets = tickets
        self._outgoing_text = outgoing_text
        self._inbox = inbox
        self._delivery = delivery
        self._run_turn = run_turn
        self._outlets = outlets
        self._commands = commands
        self._unrated_channels = unrated_channels
        self._notices = notices or MachineNotices()
        self.cancellation = TurnCancellation(inbox.stop_requested)
        self._retry = delivery.database_retry
        self._decided = (
            DecidedTurns(waiting, tickets, resume_turn, delivery, self.cancellation)
            if waiting and tickets and resume_turn
            else None
        )
        self._claimed: dict[str, ClaimedMessage] = {}
        self._begun: set[str] = set()
        """Messages whose turn has begun in this run, and may have made calls."""

    def prepare_stop(self) -> None:
        """Suspend deliveries whose next try is not due within a few seconds: the next start retries them."""
        self._retry.prepare_stop()

    def suspended(self) -> set[str]:
        """Return the claimed messages whose delivery is left to the next start."""
        return self._retry.suspended

    def close(self) -> None:
        """Leave work that fails from now on to another worker or the next start."""
        self._retry.close()

    async def forgive_interrupted(self) -> None:
        """Exclude the runs that the stop of the desk interrupts from their messages' attempts."""
        with suppress(StoreError):
            for claimed in tuple(self._claimed.values()):  # a handler that is still ending removes its own
                await self._inbox.forgive_attempt(claimed)

    async def handle(self, id_: str) -> None:
        """Answer a message; during an outage of the database, wait for it."""
        claimed = await self._retry.run(partial(self._inbox.claim, id_))
        if claimed is None:
            return
        self._claimed[id_] = claimed  # kept when the task is cancelled
        try:
            await self._handle(claimed)
        except Exception:
            self._claimed.pop(id_, None)
            raise
        finally:
            self._begun.discard(id_)
        self._claimed.pop(id_, None)

    async def _handle(self, claimed: ClaimedMessage) -> None:
        outlet = self._outlets.get(claimed.inbound.channel)
        if outlet is None:
            error = f"No channel {claimed.inbound.channel!r} is configured here."
            log.warning("A message is given up: %s Set the channel up, then run 'qwendesk messages retry'.", error)
            await self._complete(claimed, "dead", error)
            if claimed.source != "customer":
                await self._note_delivery(claimed, is_sent=False)
            return
        if claimed.source != "customer" and claimed.approval is None:
            await self._deliver_outgoing(claimed, outlet)
            return
        look_up = claimed.run > 1
        while not await self._answer_and_deliver(claimed, outlet, look_up):
            look_up = True

    async def _answer_and_deliver(self, claimed: ClaimedMessage, outlet: Outlet, look_up: bool) -> bool:
        """Answer a message; False if a person who was to answer it has handed its ticket back meanwhile."""
        answer = (await self._prepare(claimed, outlet, look_up)).with_notice(self._notice(claimed))
        if answer.is_withheld:
            return await self._withdraw(claimed, outlet)
        if answer.is_stored or not answer.text or await self._save_result(claimed, answer):
            if answer.has_notice and answer.outcome != "gone":
                await self._retry.run(partial(self._store_notice_sent, claimed))
            return await self._deliver(claimed, outlet, answer)
        return True

    async def _deliver_outgoing(self, claimed: ClaimedMessage, outlet: Outlet) -> None:
        """Deliver a message to the customer, of an operator or of the desk."""
        text, files = await self._text_of(claimed), claimed.inbound.attachments
        try:
            done = await self._delivery.deliver(claimed, outlet, text, ("done", None), claimed.buttons, files=files)
        except Exception as error:
            await self._retry.suspend_if_closing()
            log.exception("A message to a customer could not be delivered: %s", type(error).__name__)
            await self._complete(claimed, "dead", _error_text(error))
            done = "given up"
        await self._note_delivery(claimed, is_sent=done == "completed")

    async def _note_delivery(self, claimed: ClaimedMessage, *, is_sent: bool) -> None:
        if self._tickets:
            await self._retry.run(partial(self._tickets.note_delivery, claimed, is_sent=is_sent))

    async def _text_of(self, claimed: ClaimedMessage) -> str:
        """Return the text as the customer gets it; stored before it is sent, so that a later run sends the same."""
        if claimed.result:
            return str(claimed.result["text"])
        text = claimed.inbound.text
        if self._outgoing_text is None or claimed.source != "operator" or not text:
            return text
        try:
            text = await self._retry.run(partial(self._outgoing_text, claimed))
        except Exception as error:
            await self._retry.suspend_if_closing()
            log.exception("An operator's text goes out as it was written: %s", type(error).__name__)
        await self._save_result(claimed, PreparedAnswer(text))
        return text

    async def _withdraw(self, claimed: ClaimedMessage, outlet: Outlet) -> bool:
        """End a message that the bot does not answer, or not to the end, because a person is to answer.

        False: the bot is to answer again.
        """
        if claimed.approval and self._decided:
            return await self._decided.withhold(claimed, outlet)
        assert self._tickets
        await self._delivery.end_posted(claimed, outlet)
        is_said = parse(claimed.inbound.text) is None
        return await self._retry.run(partial(self._tickets.withdraw, claimed, is_said=is_said))

    def _notice(self, claimed: ClaimedMessage) -> str:
        return self._notices.first_line(claimed.inbound.channel, claimed.settings, language(claimed))

    async def _store_notice_sent(self, claimed: ClaimedMessage) -> None:
        await self._inbox.update_settings(claimed.conversation_id, **{NOTICE_SENT: True})

    async def _prepare(self, claimed: ClaimedMessage, outlet: Outlet, look_up: bool) -> PreparedAnswer:
        """Return an answer in any case: a message that stays open would be overtaken by the next one."""
        is_repeated = look_up

        async def find() -> PreparedAnswer:
            nonlocal is_repeated
            looks_up, is_repeated = is_repeated, True
            return await self._answer(claimed, outlet, looks_up)

        try:
            return await self._retry.run(find)
        except Exception as error:
            await self._retry.suspend_if_closing()
            log.exception("A message failed with %s.", type(error).__name__)
            return PreparedAnswer(say("failed", language(claimed)), "failed", _error_text(error))

    async def _save_result(self, claimed: ClaimedMessage, answer: PreparedAnswer) -> bool:
        return await self._retry.run(partial(self._inbox.save_result, claimed, answer.as_result()))

    async def _deliver(self, claimed: ClaimedMessage, outlet: Outlet, answer: PreparedAnswer) -> bool:
        buttons = self._buttons(claimed, outlet) if answer.is_rated else ()
        completion = (answer.outcome, answer.error)
        try:
            done = await self._delivery.deliver(claimed, outlet, answer.text, completion, buttons, by_bot=answer.by_bot)
            return await self._delivered(claimed, outlet, answer, done)
        except Exception as error:
            await self._retry.suspend_if_closing()
            log.exception("An answer could not be delivered: %s", type(error).__name__)
            outcome: Outcome = "gone" if answer.outcome == "gone" else "failed"
            told = PreparedAnswer(say("failed", language(claimed)), outcome, _error_text(error), by_bot=answer.by_bot)
            return await self._deliver_error(claimed, outlet, told, outcome, _error_text(error))

    async def _delivered(
        self, claimed: ClaimedMessage, outlet: Outlet, answer: PreparedAnswer, done: Delivered
    ) -> bool:
        if done == "withheld":
            return await self._withdraw(claimed, outlet)
        if answer.by_bot and answer.text and self._tickets and await self._tickets.are_kept():
            await self._retry.run(partial(self._tickets.note_answer, claimed.about))
        return True

    async def _deliver_error(
        self, claimed: ClaimedMessage, outlet: Outlet, told: PreparedAnswer, outcome: Outcome, reason: str
    ) -> bool:
        try:
            done = await self._delivery.deliver(claimed, outlet, told.text, (outcome, reason), by_bot=told.by_bot)
            return await self._delivered(claimed, outlet, told, done)
        except Exception as error:
            log.warning("The error text could not be delivered either: %s", type(error).__name__)
            await self._complete(claimed, outcome, reason)
            return True

    async def _complete(self, claimed: ClaimedMessage, outcome: Outcome, error: str) -> None:
        await self._retry.run(partial(self._inbox.complete, claimed.id, claimed.run, outcome, error))

    async def _answer(self, claimed: ClaimedMessage, outlet: Outlet, look_up: bool) -> PreparedAnswer:
        """Return the answer; ``look_up``: an earlier run may have stored it."""
        if claimed.result:
            return PreparedAnswer(**claimed.result)
        if claimed.approval:
            return await self._decided.answer(claimed, outlet, self._notice(claimed)) if self._decided else _NOT_HERE
        command = await self._command_of(claimed)
        is_said = command is None
        entered = await self._enter(claimed, is_said=is_said) if is_said or claimed.ticket_id else None
        if isinstance(entered, PreparedAnswer):
            return entered
        if look_up and self._decided and (asked := await self._decided.ask(claimed)):
            return asked
        if look_up and (text := await self._inbox.stored_answer(claimed)):
            return PreparedAnswer(text, is_rated=True, is_stored=True, by_bot=True)
        if claimed.attempt > MAX_ATTEMPTS:
            error = f"{claimed.attempt - 1} runs ended their process"
            log.warning("A message on %s is given up ('qwendesk messages failed'): %s.", claimed.inbound.channel, error)
            return PreparedAnswer(say("gave_up", language(claimed)), "dead", error, by_bot=True)
        if command and (done := await self._run_command(command, claimed)):
            return await self._after_command(claimed, outlet, done)
        return await self._by_bot(claimed, claimed.inbound, outlet, entered)

    async def _command_of(self, claimed: ClaimedMessage) -> Command | None:
        """Return the command of a message; a bare number may be a rating."""
        text = claimed.inbound.text
        if (command := parse(text)) or self._satisfaction is None:
            return command
        return await self._satisfaction.command_of(text, claimed.conversation_id, claimed.inbound.sequence)

    async def _run_command(self, command: Command, claimed: ClaimedMessage) -> CommandResult | None:
        """Run a command; what begins anew withdraws what waits for an approval."""
        done = await self._commands.run(command, claimed)
        if done is None or not done.begins_anew or self._decided is None or not await self._decided.withdraw(claimed):
            return done
        return replace(done, text=f"{say('approval_withdrawn', language(claimed))}\n\n{done.text}")

    async def _after_command(self, claimed: ClaimedMessage, outlet: Outlet, done: CommandResult) -> PreparedAnswer:
        seen = await self._mark(claimed, outlet, done)
        if done.ask is None:
            text = done.text or ("" if seen else done.text_without_buttons)
            return PreparedAnswer(text, done.outcome)
        # what is repeated stands in the conversation already
        said = claimed if done.ask.retry else replace(claimed, inbound=done.ask)
        if done.hands_over and self._tickets:
            return await self._hand_over_on_command(self._tickets, said)
        is_placed = not done.ask.retry or self._tickets is None or await self._tickets.takes_retry(claimed)
        entered = await self._enter(said, is_said=not done.ask.retry) if is_placed else None
        if isinstance(entered, PreparedAnswer):
            return entered
        return await self._by_bot(claimed, done.ask, outlet, entered)

    async def _by_bot(
        self, claimed: ClaimedMessage, inbound: Inbound, outlet: Outlet, ticket: TicketRecord | None
    ) -> PreparedAnswer:
        """Return the bot's answer, or what the customer is told where the message is a reason to hand over."""
        said = replace(claimed, inbound=inbound)
        if self._tickets and ticket and (handed := await self._tickets.before_turn(said, ticket)):
            return PreparedAnswer(handed.text)
        rights = await self._commands.permissions.of(claimed.inbound)
        # in a group others read the answer
        for_operator = rights.is_operator and not inbound.group
        can_approve = bool(ticket and self._decided and await self._decided.can_be_asked())
        asked = replace(
            with_settings(inbound, claimed.settings),
            for_operator=for_operator,
            has_ended_a_run=claimed.attempt > 1,
            can_approve=can_approve,
            asks_operators=can_approve,
        )
        while (answer := await self._ask(claimed, asked, outlet, ticket)) is None:
            log.info("A turn runs again: its ticket was taken over and handed back at once.")
        return answer

    async def _enter(self, claimed: ClaimedMessage, *, is_said: bool) -> TicketRecord | PreparedAnswer | None:
        """Put a message into its ticket; return the ticket if the bot answers it, else what is sent instead.

        None: there are no tickets.

        Args:
            claimed: the message.
            is_said: whether it belongs into the conversation; a command or a pressed button does not.
        """
        if self._tickets is None or not await self._tickets.are_kept():
            return None
        placement = await self._tickets.place(claimed, is_said=is_said)
        if placement is None:  # it has a newer run
            return PreparedAnswer("")
        if handed := await self._tickets.repeated(claimed, placement):
            return PreparedAnswer(await self._with_answer(claimed, handed))
        if placement.bot_answers:
            return placement.ticket
        return PreparedAnswer("", is_withheld=True)

    async def _hand_over_on_command(self, tickets: TicketFlow, claimed: ClaimedMessage) -> PreparedAnswer:
        placement = await tickets.place(claimed)
        if placement is None:
            return PreparedAnswer("")
        handed = await tickets.on_command(claimed, placement)
        return PreparedAnswer(handed.text) if handed else PreparedAnswer("", is_withheld=True)

    async def _with_answer(self, claimed: ClaimedMessage, handed: HandedOver) -> str:
        answer = await self._inbox.stored_answer(claimed) if handed.keeps_answer else None
        return prepared_answer.followed_by(answer, handed.text) if answer else handed.text

    async def _mark(self, claimed: ClaimedMessage, outlet: Outlet, done: CommandResult) -> bool:
        if done.buttons is None or claimed.inbound.channel in self._unrated_channels:
            return False
        return await self._delivery.edit_buttons(claimed, outlet, *done.buttons)

    def _buttons(self, claimed: ClaimedMessage, outlet: Outlet) -> tuple[Button, ...]:
        sequence = claimed.inbound.sequence
        if (
            sequence is None
            or outlet.capabilities.buttons < _RATING_BUTTON_COUNT
            or claimed.inbound.channel in self._unrated_channels
        ):
            return ()
        return rating_buttons(sequence)

    async def _ask(
        self, claimed: ClaimedMessage, inbound: Inbound, outlet: Outlet, ticket: TicketRecord | None
    ) -> PreparedAnswer | None:
        """Run the turn and return the answer; None: it was stopped and is to run again."""
        streaming = StreamingReply(claimed, outlet, self._delivery, self._notice(claimed))
        async with streaming:
            try:
                reply = await self._run_with_retries(claimed, inbound, streaming)
                await self._store_language(claimed, reply.receipt.language)
                if reply.status == "needs_approval" and self._decided:
                    return await self._decided.ask(claimed) or PreparedAnswer("", is_withheld=True)
                said = replace(claimed, inbound=inbound)
                if self._tickets and ticket and (handed := await self._tickets.after_turn(said, ticket, reply)):
                    return PreparedAnswer(await self._with_answer(claimed, handed))
                return prepared_answer.finished(reply, inbound, claimed)
            except StoreError:
                raise
            except (EngineTimeout, EngineUnavailable) as error:
                return prepared_answer.unanswered(streaming.text, error, claimed)
            except InputError as error:
                return prepared_answer.refused(inbound, error, claimed)
            except asyncio.CancelledError:
                if not self.cancellation.was_stopped(claimed.id):
                    raise
                return await self._stopped(claimed, ticket, streaming.text)
            except Exception as error:
                await self._retry.suspend_if_closing()
                log.exception("A turn failed: %s", type(error).__name__)
                return prepared_answer.failed(streaming.text, error, claimed)

    async def _stopped(self, claimed: ClaimedMessage, ticket: TicketRecord | None, shown: str) -> PreparedAnswer | None:
        """Return the answer of a turn that was stopped, by the customer or because a person is to answer."""
        cause = await self._tickets.stopped(claimed) if self._tickets and ticket else "customer"
        if cause == "takeover":
            return PreparedAnswer("", is_withheld=True)
        if cause == "handed back":
            return None
        return prepared_answer.stopped(shown, claimed)

    async def _store_language(self, claimed: ClaimedMessage, language: str | None) -> None:
        """Store the conversation's language, for commands and pictures, which have none."""
        if detected := newly_detected(language, claimed.inbound, claimed.settings):
            await self._inbox.update_settings(claimed.conversation_id, **{DETECTED_LANGUAGE: detected})

    async def _run_with_retries(self, claimed: ClaimedMessage, inbound: Inbound, streaming: StreamingReply) -> Reply:
        """Run the turn, and repeat it while the model is unavailable: it may be starting.

        A risky call needs an approval where an earlier run may have made it, however that has ended.
        """
        may_repeat = claimed.run > 1 or inbound.retry or claimed.id in self._begun
        self._begun.add(claimed.id)
        asked = replace(inbound, may_repeat_calls=may_repeat)
        for pause in _MODEL_RETRY_PAUSES_SECONDS:
            try:
                return await self.cancellation.run(claimed.id, last_reply(self._run_turn(asked), streaming))
            except EngineUnavailable:  # no call was made
                await self._retry.suspend_if_closing()
                await asyncio.sleep(pause)
        return await self.cancellation.run(claimed.id, last_reply(self._run_turn(asked), streaming))


def with_settings(inbound: Inbound, settings: Mapping[str, Any]) -> Inbound:
    """Return the message with the memory's conversation key, completed by the conversation's settings."""
    think = settings.get("think")
    return replace(
        inbound,
        conversation=conversation_key(inbound.account, inbound.conversation),
        account="",
        role=inbound.role or as_role(settings.get("role") or ""),
        model=inbound.model or settings.get("model"),
        think=inbound.think if inbound.think is not None else think,
        # detected only where the turn has texts for the person
        locale=language_of(inbound, settings) if inbound.attachments else settings.get("language") or inbound.locale,
    )


def _error_text(error: Exception) -> str:
    return redact(f"{type(error).__name__}: {error}")
