"""The rules for people on whose behalf a program asks the desk by ``Desk.ask`` and ``Desk.stream``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from qwendesk.desk.access import Guests, House, Rights
from qwendesk.desk.access_repository import Guestbook
from qwendesk.desk.inbox.reply_language import language_of
from qwendesk.desk.rate_limiter import Allowance
from qwendesk.desk.translations import say
from qwendesk.errors import InputError
from qwendesk.messages import Inbound

_SECONDS_AN_HOUR = 3600


class DirectAccess:
    """Applies the rules of a configured channel and the limit of each person.

    Args:
        book: what operators have decided about people.
        channels: the settings of the configured channels, by name; any other channel is open to everybody.
        per_hour: messages of one person on one channel in an hour; as many may come at once.

    Raises:
        ConfigError: the rules of a channel do not hold.
    """

    def __init__(self, book: Guestbook, channels: Mapping[str, Mapping[str, Any]], per_hour: float) -> None:
        self._houses = {name: House.read(name, values) for name, values in channels.items()}
        self._guests = Guests(book, self._houses)
        self._per_hour = per_hour
        self._limit = Allowance(per_hour, per_hour)

    async def check(self, inbound: Inbound) -> Rights:
        """Return the rights of the person of a message.

        Raises:
            InputError: the person may not talk on the channel, or has sent too many messages; ``told`` says so in the
                person's language.
        """
        rights = await self._rights(inbound)
        if not self._limit.spend(inbound.channel, inbound.person):
            minutes = max(1, math.ceil(_SECONDS_AN_HOUR / self._per_hour / 60))
            raise _refused("limited", inbound, minutes=minutes)
        return rights

    async def _rights(self, inbound: Inbound) -> Rights:
        house = self._houses.get(inbound.channel)
        if house is None:
            return Rights("person")
        verdict = await self._guests.look(inbound)
        if verdict.role is None:
            raise _refused(verdict.text_key, inbound, code=verdict.code)
        return Rights(verdict.role, verdict.is_known, house)


def conversation_of(person: str | None, conversation: str) -> str:
    """Return the key of a person's conversation, so that people who use the same name for one do not share it."""
    return conversation if person is None else f"{quote(person, safe='')}/{conversation}"


def _refused(key: str, inbound: Inbound, **values: object) -> InputError:
    text = say(key, language_of(inbound, {}), **values)
    return InputError(text, told=text)
