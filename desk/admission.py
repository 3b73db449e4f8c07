"""Admission of messages: deduplicate, authorise, rate-limit, store, enqueue."""

from __future__ import annotations

import asyncio
import logging
import math
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from time import monotonic
from typing import Literal

from qwendesk.desk.access import AccessControl, Permissions, origin_of
from qwendesk.desk.commands.chat_commands import STOP, parse
from qwendesk.desk.inbox.acceptance import AcceptResult, InboxAcceptance, TokenBucket
from qwendesk.desk.inbox.queue import DurableQueue
from qwendesk.desk.inbox.repository import InboxRepository
from qwendesk.desk.operator_rooms.reception import RoomReception
from qwendesk.desk.rate_limiter import RateLimiter
from qwendesk.desk.tickets.approvals import TicketApprovals
from qwendesk.desk.translations import language_of, say
from qwendesk.errors import StoreError
from qwendesk.messages import Admission, Inbound

_SECONDS_PER_DAY = 24 * 3600.0
_REFUSAL_INTERVAL_SECONDS = 60.0
"""Seconds before the same refusal is sent to a person again."""
_FORGEABLE_REFUSAL_INTERVAL_SECONDS = 3600.0
"""The same on channels whose senders are easily forged."""
_STOP_BURST = 10
_COUNT_CACHE_SECONDS = 1.0
ExceededLimit = Literal["desk", "share", "person"]
"""A limit of open messages: of the desk, of strangers, or of one person."""
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AdmissionLimits:
    """Limits of admission.

    Strangers are people whom neither the settings nor an operator's decision name, such as visitors of an open channel.
    """

    per_hour: float = 100
    """Messages of one person on one channel in an hour, and the largest burst."""
    channel_per_hour: float | None = None
    """Messages of all people on one channel in an hour; None: any number."""
    max_open_per_conversation: int = 20
    """Open messages of one conversation."""
    max_open_per_person: int = 40
    """Open messages of one person on one channel, in all conversations."""
    max_open_total: int = 5000
    """Open messages in all."""
    max_open_of_strangers: int = 4000
    """Open messages in all up to which strangers are admitted; the rest is reserved for known people."""
    max_open_of_strangers_per_channel: int = 2500
    """The same on one channel."""
    people_per_address: float = 10
    """How many strangers at one public network address may each send ``per_hour`` messages."""
    file_senders_per_address: float = 2
    """The same for files."""
    person_bytes_per_day: float = 100 * 2**20
    """Bytes of files of one person on one channel in a day."""
    stranger_bytes_per_day: float = 1000 * 2**20
    """Bytes of files of all strangers on one channel in a day."""
    max_chars: int = 8192
    """Characters of one message."""


class OpenMessageCounter:
    """Compares the counts of open messages with their limits.

    Args:
        acceptance: counts open messages.
        limits: the limits.
    """

    def __init__(self, acceptance: InboxAcceptance, limits: AdmissionLimits) -> None:
        self._acceptance = acceptance
        self._limits = limits
        self._counted_until = 0.0
        self._open: Counter[str] = Counter()
        """Open messages by channel."""

    def add(self, inbound: Inbound) -> None:
        """Count a message that was accepted."""
        self._open[inbound.channel] += 1

    async def exceeded(self, inbound: Inbound, *, is_known: bool) -> ExceededLimit | None:
        """Return the limit that a message exceeds; None: it may be admitted.

        Args:
            inbound: the message.
            is_known: whether the settings or an operator's decision name its person.
        """
        if monotonic() > self._counted_until:
            self._counted_until = monotonic() + _COUNT_CACHE_SECONDS
            self._open = Counter(await self._acceptance.open_count_by_channel())
        limits, open_ = self._limits, self._open.total()
        if open_ >= limits.max_open_total:
            return "desk"
        if not is_known and (
            open_ >= limits.max_open_of_strangers
            or self._open[inbound.channel] >= limits.max_open_of_strangers_per_channel
        ):
            return "share"
        # counted only where the channel has that many
        if self._open[inbound.channel] >= limits.max_open_per_person and await self._person_is_over(inbound):
            return "person"
        return None

    async def _person_is_over(self, inbound: Inbound) -> bool:
        of_person = await self._acceptance.open_count_of_person(inbound.channel, inbound.account, inbound.person)
        return of_person >= self._limits.max_open_per_person


class AdmissionController:
    """Admits messages: once ``accept`` returns ``accepted``, the message survives a killed process.

    Args:
        acceptance: stores and enqueues messages.
        inbox: accepted messages.
        access: decides who may use a channel.
        queue: the durable queue.
        limits: limits of admission.
        on_stop: callback for ids of messages that a person asked to stop.
        on_reply: callback for messages that an operator has sent to a customer on the platform itself.
        rooms: handles the messages of operators' rooms; None: there are none.
        approvals: what waits for operators' approvals; None: nothing does.
    """

    def __init__(
        self,
        acceptance: InboxAcceptance,
        inbox: InboxRepository,
        access: AccessControl,
        queue: DurableQueue,
        limits: AdmissionLimits | None = None,
        on_stop: Callable[[Iterable[str]], None] = lambda ids: None,
        on_reply: Callable[[Inbound], Awaitable[object]] | None = None,
        rooms: RoomReception | None = None,
        approvals: TicketApprovals | None = None,
    ) -> None:
        self._acceptance = acceptance
        self._inbox = inbox
        self._access = access
        self._permissions = Permissions(access)
        self._queue = queue
        self._limits = limits or AdmissionLimits()
        self._on_stop = on_stop
        self._on_reply = on_reply
        self._rooms = rooms
        self._approvals = approvals
        self._refusals = RateLimiter(1, 3600 / _REFUSAL_INTERVAL_SECONDS)
        self._forgeable_refusals = RateLimiter(1, 3600 / _FORGEABLE_REFUSAL_INTERVAL_SECONDS)
        self._stops = RateLimiter(_STOP_BURST, self._limits.per_hour)
        self._open_messages = OpenMessageCounter(acceptance, self._limits)

    async def accept(self, inbound: Inbound) -> Admission:
        """Accept or refuse a message; without a database the outcome is ``busy``."""
        try:
            if inbound.from_operator:
                return await self._note_reply(inbound)
            if self._rooms and self._rooms.takes(inbound):
                return await self._rooms.handle(inbound)
            if inbound.in_operators_room:
                return Admission("refused")
            return await self._accept(inbound)
        except StoreError as error:
            log.warning("A message was not accepted: %s", error)
            is_told = self._refusals.allow(
                inbound.channel, inbound.account, inbound.conversation, inbound.person, "not_stored"
            )
            return Admission("busy", text=say("not_stored", inbound.locale) if is_told else "", retry_after=1.0)

    async def _note_reply(self, inbound: Inbound) -> Admission:
        if self._on_reply:
            await self._on_reply(inbound)
        return Admission("accepted")

    async def _accept(self, inbound: Inbound) -> Admission:
        decision = await self._access.decide(inbound)
        if decision.role is None:
            if inbound.group:  # no code in a group, where others read it
                return Admission("refused")
            return self._refused(inbound, decision.text_key, await _language(inbound), code=decision.code)
        command = parse(inbound.text)
        if command and command.name == STOP:
            rights = await self._permissions.of(inbound)
            if rights.may_run(STOP):
                return await self._stop(inbound, by_operator=rights.is_operator)
        if inbound.is_empty:
            if inbound.unsupported_media:
                return self._refused(inbound, "unreadable", inbound.locale, kind=inbound.unsupported_media)
            return self._refused(inbound, "empty_message", inbound.locale)
        if len(inbound.text) > self._limits.max_chars:
            return self._refused(inbound, "too_long", await _language(inbound), most=self._limits.max_chars)
        if exceeded := await self._open_messages.exceeded(inbound, is_known=decision.is_known):
            if exceeded == "desk":
                return Admission("busy", text=say("busy", await _language(inbound)), retry_after=5.0)
            # not "busy": a platform that delivers in order would hold back the messages of known people
            return self._refused(inbound, "busy", await _language(inbound))
        buckets = self._buckets(inbound, is_known=decision.is_known)
        result = await self._acceptance.accept(
            inbound, buckets, self._queue.enqueue, max_open=self._limits.max_open_per_conversation
        )
        return self._admission(inbound, result)

    def _admission(self, inbound: Inbound, result: AcceptResult) -> Admission:
        match result.outcome:
            case "accepted":
                self._open_messages.add(inbound)
                return Admission("accepted", result.sequence)
            case "duplicate":
                return Admission("duplicate")
            case "full":
                # not "busy": a platform that delivers in order would hold back the messages of all other people
                return self._refused(inbound, "busy", result.locale)
        minutes = max(1, math.ceil(result.wait / 60))
        hours = max(1, math.ceil(result.wait / 3600))
        refused = self._refused(inbound, result.refusal, result.locale, minutes=minutes, hours=hours)
        return replace(refused, retry_after=minutes * 60.0)

    def _refused(self, inbound: Inbound, text_key: str, locale: str | None, **values: object) -> Admission:
        """Refuse a message; the same refusal is sent to a person at most once in an interval."""
        # a forged sender may open many conversations: refusals are limited by person
        forgeable_senders = self._access.policy_of(inbound).forgeable_senders
        whom = (inbound.person,) if forgeable_senders else (inbound.conversation, inbound.person)
        limiter = self._forgeable_refusals if forgeable_senders else self._refusals
        is_told = limiter.allow(inbound.channel, inbound.account, *whom, text_key)
        return Admission("refused", text=say(text_key, locale, **values) if is_told else "")

    async def _stop(self, inbound: Inbound, *, by_operator: bool) -> Admission:
        """Stop the answer to the person's own message, or withdraw the call that it waits for.

        An operator stops the answer to any message.
        """
        if not self._stops.allow(inbound.channel, inbound.account, inbound.person):
            return Admission("refused")
        person = None if by_operator else inbound.person
        ids = await self._inbox.request_stop(inbound.channel, inbound.account, inbound.conversation, person)
        self._on_stop(ids)
        if self._approvals and await self._approvals.withdraw(inbound, of_all=by_operator) and not ids:
            return Admission("refused", text=say("approval_withdrawn", await _language(inbound)))
        return Admission("accepted") if ids else self._refused(inbound, "nothing_to_stop", inbound.locale)

    def _buckets(self, inbound: Inbound, *, is_known: bool) -> list[TokenBucket]:
        limits = self._limits
        buckets = [
            TokenBucket(
                f"person:{inbound.channel}:{inbound.account}:{inbound.person}",
                limits.per_hour,
                limits.per_hour / 3600,
            )
        ]
        if limits.channel_per_hour:
            key = f"channel:{inbound.channel}:{inbound.account}"
            buckets.append(TokenBucket(key, limits.channel_per_hour, limits.channel_per_hour / 3600))
        if address := _address(inbound, is_known=is_known):
            most = limits.per_hour * limits.people_per_address
            buckets.append(TokenBucket(f"address:{inbound.channel}:{address}", most, most / 3600))
        return buckets + self._file_buckets(inbound, is_known=is_known)

    def _file_buckets(self, inbound: Inbound, *, is_known: bool) -> list[TokenBucket]:
        size = float(sum(len(file.data) for file in inbound.attachments))
        if not size:
            return []
        limits = self._limits
        daily = {f"files:{inbound.channel}:{inbound.account}:{inbound.person}": limits.person_bytes_per_day}
        if not is_known:
            daily[f"files of strangers:{inbound.channel}:{inbound.account}"] = limits.stranger_bytes_per_day
        if address := _address(inbound, is_known=is_known):
            daily[f"files of an address:{inbound.channel}:{address}"] = (
                limits.person_bytes_per_day * limits.file_senders_per_address
            )
        return [TokenBucket(key, most, most / _SECONDS_PER_DAY, size, "files_limited") for key, most in daily.items()]


def _address(inbound: Inbound, *, is_known: bool) -> str:
    """Return the public network address that a stranger writes from; empty if there is none."""
    return origin_of(inbound) if inbound.address and not is_known else ""


async def _language(inbound: Inbound) -> str | None:
    """Return the language of a message; in a thread, since the detector takes a second to load."""
    return await asyncio.to_thread(language_of, inbound, {})
