"""The door: each message is taken once, in order, from people who may talk, as fast as the desk can follow."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Iterable
from dataclasses import replace

from qwendesk.desk.access import Guests, Permissions, origin_of
from qwendesk.desk.admission_limits import Limits, Waiting
from qwendesk.desk.commands.chat_commands import STOP, parse
from qwendesk.desk.inbox.queue import Dispatcher
from qwendesk.desk.inbox.records import Bucket, Stored
from qwendesk.desk.inbox.reply_language import language_of
from qwendesk.desk.inbox.repository import Inbox
from qwendesk.desk.rate_limiter import Allowance
from qwendesk.desk.translations import say
from qwendesk.desk.turns.attachments import is_empty
from qwendesk.errors import StoreError
from qwendesk.messages import Admission, Inbound

_DAY = 24 * 3600.0
_TELL_AGAIN = 60.0
"""Seconds before somebody who goes on all the same is told again that there is a limit."""
_WRITE_AGAIN = 3600.0
"""The same by letter."""
_STOPS_AT_ONCE = 10
log = logging.getLogger(__name__)


class Reception:
    """Takes messages for good: once ``accept`` returns ``accepted``, the message survives a killed process.

    Args:
        heard_stop: is told which messages a person asked to stop.
    """

    def __init__(
        self,
        inbox: Inbox,
        guests: Guests,
        dispatcher: Dispatcher,
        limits: Limits | None = None,
        heard_stop: Callable[[Iterable[str]], None] = lambda ids: None,
    ) -> None:
        self._inbox = inbox
        self._guests = guests
        self._permissions = Permissions(guests)
        self._dispatcher = dispatcher
        self._limits = limits or Limits()
        self._heard_stop = heard_stop
        self._told = Allowance(1, 3600 / _TELL_AGAIN)
        self._written = Allowance(1, 3600 / _WRITE_AGAIN)
        self._stops = Allowance(_STOPS_AT_ONCE, self._limits.per_hour)
        self._waiting = Waiting(inbox, self._limits)

    async def accept(self, inbound: Inbound) -> Admission:
        """Take a message, or say why not; a database that is away makes the desk ``busy``, not fail."""
        try:
            return await self._accept(inbound)
        except StoreError as error:
            log.warning("A message was put off: %s", error)
            is_told = self._told.spend(
                inbound.channel, inbound.account, inbound.conversation, inbound.person, "not_stored"
            )
            return Admission("busy", text=say("not_stored", inbound.locale) if is_told else "", retry_after=1.0)

    async def _accept(self, inbound: Inbound) -> Admission:
        verdict = await self._guests.look(inbound)
        if verdict.role is None:
            if inbound.group:  # there the desk keeps silent towards strangers: a code is nobody else's business
                return Admission("refused")
            return self._refused(inbound, verdict.text_key, await _tongue(inbound), code=verdict.code)
        command = parse(inbound.text)
        if command and command.name == STOP:
            rights = await self._permissions.of(inbound)
            if rights.may_run(STOP):
                return await self._stop(inbound, by_operator=rights.is_operator)
        if is_empty(inbound):
            if inbound.unsupported_media:
                return self._refused(inbound, "unreadable", inbound.locale, kind=inbound.unsupported_media)
            return self._refused(inbound, "empty_message", inbound.locale)
        if len(inbound.text) > self._limits.max_chars:
            return self._refused(inbound, "too_long", await _tongue(inbound), most=self._limits.max_chars)
        if full := await self._waiting.refusal(inbound, is_known=verdict.is_known):
            if full == "desk":
                return Admission("busy", text=say("busy", await _tongue(inbound)), retry_after=5.0)
            # not "busy": a platform that delivers in order would hold back known people behind this one
            return self._refused(inbound, "busy", await _tongue(inbound))
        buckets = self._buckets(inbound, is_known=verdict.is_known)
        stored = await self._inbox.admit(
            inbound, buckets, self._dispatcher.enqueue, most_open=self._limits.open_in_conversation
        )
        return self._admission(inbound, stored)

    def _admission(self, inbound: Inbound, stored: Stored) -> Admission:
        match stored.outcome:
            case "accepted":
                self._waiting.add(inbound)
                return Admission("accepted", stored.sequence)
            case "duplicate":
                return Admission("duplicate")
            case "full":
                # not "busy": a platform that delivers in order would hold back everybody else behind this one
                return self._refused(inbound, "busy", stored.locale)
        minutes = max(1, math.ceil(stored.wait / 60))
        hours = max(1, math.ceil(stored.wait / 3600))
        refused = self._refused(inbound, stored.refusal, stored.locale, minutes=minutes, hours=hours)
        return replace(refused, retry_after=minutes * 60.0)

    def _refused(self, inbound: Inbound, text_key: str, locale: str | None, **values: object) -> Admission:
        """Refuse; the same is said to somebody only now and then, as a flood is not answered by one."""
        # a letter's sender is easily forged: whoever it names is not to be flooded
        by_letter = self._guests.house_of(inbound).by_letter
        whom = (inbound.person,) if by_letter else (inbound.conversation, inbound.person)
        told = self._written if by_letter else self._told
        is_told = told.spend(inbound.channel, inbound.account, *whom, text_key)
        return Admission("refused", text=say(text_key, locale, **values) if is_told else "")

    async def _stop(self, inbound: Inbound, *, by_operator: bool) -> Admission:
        """Stop the answer to the person's own question; an operator stops anybody's."""
        if not self._stops.spend(inbound.channel, inbound.account, inbound.person):
            return Admission("refused")
        person = None if by_operator else inbound.person
        ids = await self._inbox.ask_to_stop(inbound.channel, inbound.account, inbound.conversation, person)
        self._heard_stop(ids)
        return Admission("accepted") if ids else self._refused(inbound, "nothing_to_stop", inbound.locale)

    def _buckets(self, inbound: Inbound, *, is_known: bool) -> list[Bucket]:
        limits = self._limits
        buckets = [
            Bucket(
                f"person:{inbound.channel}:{inbound.account}:{inbound.person}",
                limits.per_hour,
                limits.per_hour / 3600,
            )
        ]
        if limits.channel_per_hour:
            key = f"channel:{inbound.channel}:{inbound.account}"
            buckets.append(Bucket(key, limits.channel_per_hour, limits.channel_per_hour / 3600))
        if address := _address(inbound, is_known=is_known):
            most = limits.per_hour * limits.people_an_address
            buckets.append(Bucket(f"address:{inbound.channel}:{address}", most, most / 3600))
        return buckets + self._buckets_of_files(inbound, is_known=is_known)

    def _buckets_of_files(self, inbound: Inbound, *, is_known: bool) -> list[Bucket]:
        size = float(sum(len(file.data) for file in inbound.attachments))
        if not size:
            return []
        limits = self._limits
        daily = {f"files:{inbound.channel}:{inbound.account}:{inbound.person}": limits.person_bytes_a_day}
        if not is_known:
            daily[f"files of strangers:{inbound.channel}:{inbound.account}"] = limits.strangers_bytes_a_day
        if address := _address(inbound, is_known=is_known):
            daily[f"files of an address:{inbound.channel}:{address}"] = (
                limits.person_bytes_a_day * limits.files_people_an_address
            )
        return [Bucket(key, most, most / _DAY, size, "files_limited") for key, most in daily.items()]


def _address(inbound: Inbound, *, is_known: bool) -> str:
    """Return the public network address that a stranger's new names share; empty where there is none."""
    return origin_of(inbound) if inbound.address and not is_known else ""


async def _tongue(inbound: Inbound) -> str | None:
    """Return the language of somebody of whom nothing is known yet; the first time, that takes a second to load."""
    return await asyncio.to_thread(language_of, inbound, {})
