"""Go on with turns whose risky calls operators have decided on, and say what became of them.

A decided turn goes on once: what waits is deleted when it begins, and a later run of the same message finds the answer,
or that there is none.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from functools import partial

from qwendesk.agents.phrases import phrase
from qwendesk.desk import prepared_answer
from qwendesk.desk.delivery.deliver import Delivery, Outlet
from qwendesk.desk.delivery.running_turn import StreamingReply, TurnCancellation, last_reply
from qwendesk.desk.inbox.repository import ClaimedMessage, conversation_key
from qwendesk.desk.prepared_answer import PreparedAnswer, language
from qwendesk.desk.tickets.approval_records import ApprovalRecord
from qwendesk.desk.tickets.flow import TicketFlow
from qwendesk.desk.tickets.waiting_turns import WaitingTurns
from qwendesk.desk.translations import say
from qwendesk.errors import StoreError
from qwendesk.messages import Approval, Event, Inbound, Reply

ResumeTurn = Callable[[Inbound, Approval], AsyncGenerator[Event, None]]
"""Goes on with a pending turn: yields its events, the last one ``Finished``."""
log = logging.getLogger(__name__)


class DecidedTurns:
    """Goes on with the turns that operators have decided on.

    Args:
        waiting: the turns that wait.
        tickets: the tickets of the messages.
        resume: goes on with a turn.
        delivery: shows an answer while it is written.
        cancellation: stops a turn whose message was deleted.
    """

    def __init__(
        self,
        waiting: WaitingTurns,
        tickets: TicketFlow,
        resume: ResumeTurn,
        delivery: Delivery,
        cancellation: TurnCancellation,
    ) -> None:
        self._waiting = waiting
        self._tickets = tickets
        self._resume = resume
        self._delivery = delivery
        self._cancellation = cancellation

    async def can_be_asked(self) -> bool:
        """Return whether there are operators who can approve a call."""
        return await self._tickets.has_operators()

    async def ask(self, claimed: ClaimedMessage) -> PreparedAnswer | None:
        """Let the turn of a message wait for operators; return what its customer is told, or None if nothing waits."""
        text = await self._waiting.ask(claimed.about)
        return None if text is None else PreparedAnswer(text, by_bot=True)

    async def withdraw(self, claimed: ClaimedMessage) -> bool:
        """Withdraw what waits for the writer of a command that begins anew; False: nothing did."""
        return await self._waiting.withdraw(claimed)

    async def withhold(self, claimed: ClaimedMessage, outlet: Outlet) -> bool:
        """End an answer that is not sent, because a person is to answer; False: the bot is to answer again."""
        await self._delivery.end_posted(claimed, outlet)
        return await self._delivery.database_retry.run(partial(self._waiting.withhold, claimed))

    async def answer(self, claimed: ClaimedMessage, outlet: Outlet, notice: str) -> PreparedAnswer:
        """Return the answer of a turn that operators have decided on.

        Args:
            claimed: the message by which it goes on.
            outlet: the channel, on which the answer is shown while it is written.
            notice: the notice that a machine answers, before it.
        """
        approval = await self._waiting.get(claimed.approval or "")
        if approval is None:  # deleted with its customer
            return PreparedAnswer("")
        how, text = await self._waiting.progress(approval)
        if how == "ready":
            return await self._go_on(claimed, outlet, approval, notice)
        if how == "asked again":
            return await self._asked_again(claimed, approval)
        if how == "answered":
            await self._waiting.finish(approval)
            return PreparedAnswer(text, by_bot=True)
        return await self._end(claimed, approval)

    async def _go_on(
        self, claimed: ClaimedMessage, outlet: Outlet, approval: ApprovalRecord, notice: str
    ) -> PreparedAnswer:
        streaming = StreamingReply(claimed, outlet, self._delivery, notice)
        key = conversation_key(claimed.inbound.account, claimed.inbound.conversation)
        about = Inbound("", key, channel=claimed.inbound.channel, person=claimed.inbound.person)
        async with streaming:
            try:
                events = self._resume(about, approval.as_approval)
                reply = await self._cancellation.run(claimed.id, last_reply(events, streaming))
            except StoreError:
                raise
            except asyncio.CancelledError:
                if not self._cancellation.was_stopped(claimed.id):
                    raise
                return PreparedAnswer("")  # deleted with its customer
            except Exception as error:
                await self._delivery.database_retry.suspend_if_closing()
                log.exception("A turn failed after an approval: %s", type(error).__name__)
                return await self._end(claimed, approval)
        if reply.status == "needs_approval":
            return await self._asked_again(claimed, approval)
        await self._waiting.finish(approval)
        return await self._handed_over(claimed, approval, reply) or PreparedAnswer(reply.text, by_bot=True)

    async def _asked_again(self, claimed: ClaimedMessage, approval: ApprovalRecord) -> PreparedAnswer:
        """Let the turn wait for the approval of a further call."""
        await self._waiting.finish(approval)
        return await self.ask(claimed) or PreparedAnswer("", is_withheld=True)

    async def _handed_over(
        self, claimed: ClaimedMessage, approval: ApprovalRecord, reply: Reply
    ) -> PreparedAnswer | None:
        """Hand the ticket over if the answer is a reason to, such as a failed call; None: it is not."""
        ticket = await self._waiting.ticket(approval)
        if ticket is None or not ticket.bot_answers:
            return None
        handed = await self._tickets.after_turn(claimed.about, ticket, reply)
        if handed is None:
            return None
        text = prepared_answer.followed_by(reply.text, handed.text) if handed.keeps_answer else handed.text
        return PreparedAnswer(text)

    async def _end(self, claimed: ClaimedMessage, approval: ApprovalRecord) -> PreparedAnswer:
        """End a turn that has not gone on to its end; a person gets the ticket if a call was approved."""
        how = await self._waiting.fail(approval)
        ticket = await self._waiting.ticket(approval)
        if ticket is None:
            return PreparedAnswer("")
        if how == "answered":  # by a run that was slower than thought
            return PreparedAnswer((await self._waiting.progress(approval))[1], by_bot=True)
        told = language(claimed) or ticket.language
        if how == "declined":
            return PreparedAnswer(phrase("not_approved", told), by_bot=True)
        text = say("approval_interrupted" if how == "interrupted" else "approval_not_done", told)
        if await self._tickets.after_failure(claimed.about, ticket, text):
            return PreparedAnswer(text)
        return PreparedAnswer("", is_withheld=True)
