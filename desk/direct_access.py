"""Access control for people on whose behalf a program calls ``Desk.ask`` and ``Desk.stream``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from qwendesk.desk.access import AccessControl, AccessPolicy, Rights
from qwendesk.desk.access_repository import AccessRepository
from qwendesk.desk.rate_limiter import RateLimiter
from qwendesk.desk.translations import language_of, say
from qwendesk.errors import InputError
from qwendesk.messages import Inbound

_SECONDS_PER_HOUR = 3600


class DirectAccess:
    """Applies the access policy of a configured channel and the rate limit of each person.

    Args:
        repository: decisions of operators.
        channels: settings of the configured channels, by name; any other channel is open to everybody.
        per_hour: messages of one person on one channel in an hour, and the largest burst.

    Raises:
        ConfigError: the access settings of a channel are invalid.
    """

    def __init__(
        self, repository: AccessRepository, channels: Mapping[str, Mapping[str, Any]], per_hour: float
    ) -> None:
        self._policies = {name: AccessPolicy.read(name, values) for name, values in channels.items()}
        self._access = AccessControl(repository, self._policies)
        self._per_hour = per_hour
        self._limit = RateLimiter(per_hour, per_hour)

    async def check(self, inbound: Inbound) -> Rights:
        """Return the rights of a message's person.

        Raises:
            InputError: the person has no access to the channel, or has sent too many messages; ``told`` has the text
                in the person's language.
        """
        rights = await self._rights(inbound)
        if not self._limit.allow(inbound.channel, inbound.person):
            minutes = max(1, math.ceil(_SECONDS_PER_HOUR / self._per_hour / 60))
            raise _refused("limited", inbound, minutes=minutes)
        return rights

    async def _rights(self, inbound: Inbound) -> Rights:
        policy = self._policies.get(inbound.channel)
        if policy is None:
            return Rights("person")
        decision = await self._access.decide(inbound)
        if decision.role is None:
            raise _refused(decision.text_key, inbound, code=decision.code)
        return Rights(decision.role, decision.is_known, policy)


def _refused(key: str, inbound: Inbound, **values: object) -> InputError:
    text = say(key, language_of(inbound, {}), **values)
    return InputError(text, told=text)
