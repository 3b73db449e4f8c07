"""Access control: who may use a channel, and which commands and models they may use there.

A channel admits people after an operator's approval (``pairing``), people on a list (``allowlist``), or everybody
(``open``).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from cachetools import TTLCache

from qwendesk.desk.access_repository import MAX_CODE_LIFETIME, AccessRepository, AccessRequest, AccessRole
from qwendesk.desk.rate_limiter import RateLimiter
from qwendesk.errors import ConfigError, not_among
from qwendesk.memory.people.linking import CODE_ALPHABET
from qwendesk.messages import Inbound
from qwendesk.network_addresses import network_of, parse_address

AccessMode = Literal["pairing", "allowlist", "open"]
CODE_LENGTH = 8
CODE_LIFETIME = timedelta(hours=1)
_RANKS: tuple[AccessRole | None, ...] = (None, "person", "operator", "owner")
_CACHE_SECONDS = 2.0
_MAX_CACHED_PEOPLE = 10_000
_CHANNEL_CODE_BURST, _CHANNEL_CODES_PER_HOUR = 50, 200
"""Limit of new pairing codes on one channel: each is a row in the database, and new names are free."""
_ORIGIN_CODE_BURST, _ORIGIN_CODES_PER_HOUR = 5, 20
"""Limit of new pairing codes for one origin: a network address, a mail domain, a home server, a host."""
PUBLIC_COMMANDS = (
    "help", "new", "why", "retry", "good", "bad", "model", "think", "no_think", "lang", "stop",
    "memory", "remember", "forget", "link",
)  # fmt: skip
"""Chat commands for everybody, which channels recognise without their slash, too."""
TICKET_COMMANDS = ("human", "tickets", "ticket")
"""Chat commands for everybody at a desk with operators; without the slash they are words of a message."""
OPERATOR_COMMANDS = ("approve", "deny")
"""Chat commands for operators and owners; a channel's setting ``commands`` may give them to known people, too."""
UNRESTRICTED_COMMANDS = frozenset({"help", "rate", "csat", "stop"})
"""Commands that no setting removes: the help, those that rating buttons send, and the end of one's own answer."""
PairingRequest = Callable[[Inbound, str], None]
"""Callback for a new pairing request: the message, and the code that was sent to its person."""


@dataclass(frozen=True, slots=True)
class AccessPolicy:
    """Access rules of one channel, from its settings."""

    mode: AccessMode = "pairing"
    allow: frozenset[str] = frozenset()
    operators: frozenset[str] = frozenset()
    owners: frozenset[str] = frozenset()
    forgeable_senders: bool = False
    """Whether senders are easily forged, so that a refusal may reach a person who has not written."""
    authenticates_senders: bool = True
    """Whether the platform authenticates senders; if not, the channel has no operators and owners."""
    commands: frozenset[str] | None = None
    """Chat commands that people may use; None: all public commands. Operators and owners may use every command."""
    models: tuple[str, ...] = ()
    """Models that people may select by ``/model NAME``; operators and owners may select any model."""

    @classmethod
    def read(cls, channel: str, settings: Mapping[str, Any]) -> AccessPolicy:
        """Return the access policy of a channel's settings.

        Raises:
            ConfigError: a mode or command is unknown, or a value is not a list.
        """
        mode = settings.get("access", "pairing")
        if mode not in ("pairing", "allowlist", "open"):
            raise ConfigError(
                f"[channels.{channel}] has access = {mode!r}; it may be 'pairing', 'allowlist' or 'open'."
            )
        allow, operators, owners, models = (
            _names(channel, name, settings.get(name, ())) for name in ("allow", "operators", "owners", "models")
        )
        commands = _commands(channel, settings["commands"]) if "commands" in settings else None
        people = frozenset(allow), frozenset(operators), frozenset(owners)
        return cls(mode, *people, commands=commands, models=models)

    def role_of(self, person: str) -> AccessRole | None:
        """Return a person's role by the settings."""
        people: dict[AccessRole, frozenset[str]]
        people = {"owner": self.owners, "operator": self.operators, "person": self.allow}
        return self.limited(next((role for role, named in people.items() if person in named), None))

    def limited(self, role: AccessRole | None) -> AccessRole | None:
        """Return the role, or ``person`` where the platform does not authenticate senders."""
        return role if self.authenticates_senders or role is None else "person"


@dataclass(frozen=True, slots=True)
class AccessDecision:
    """Whether a person has access, in which role, and the text for a person without access."""

    role: AccessRole | None
    text_key: str = ""
    code: str = ""
    is_known: bool = False
    """Whether the settings or a decision name the person; False for visitors of an open channel."""


@dataclass(slots=True)
class AccessControl:
    """Decides on access by the channels' policies and the stored decisions of operators."""

    repository: AccessRepository
    policies: Mapping[str, AccessPolicy] = field(default_factory=dict)
    """Policies by channel; a channel without one pairs people."""
    on_request: PairingRequest | None = None
    """Callback for each new pairing code."""
    _channel_codes: RateLimiter = field(
        default_factory=lambda: RateLimiter(_CHANNEL_CODE_BURST, _CHANNEL_CODES_PER_HOUR)
    )
    _origin_codes: RateLimiter = field(default_factory=lambda: RateLimiter(_ORIGIN_CODE_BURST, _ORIGIN_CODES_PER_HOUR))
    _known: TTLCache[tuple[str, str, str], AccessDecision] = field(
        default_factory=lambda: TTLCache(_MAX_CACHED_PEOPLE, _CACHE_SECONDS)
    )

    def policy_of(self, inbound: Inbound) -> AccessPolicy:
        """Return the policy of a message's channel."""
        return self.policies.get(inbound.channel, AccessPolicy())

    async def decide(self, inbound: Inbound) -> AccessDecision:
        """Decide on the access of a message's person; a channel that pairs gives a stranger a code."""
        policy = self.policy_of(inbound)
        if policy.mode == "allowlist" and not policy.role_of(inbound.person):
            return AccessDecision(None, "not_allowed")
        key = (inbound.channel, inbound.account, inbound.person)
        if known := self._known.get(key):
            return known
        decision = await self._decide(policy, inbound)
        if decision.role:
            self._known[key] = decision
        return decision

    async def _decide(self, policy: AccessPolicy, inbound: Inbound) -> AccessDecision:
        request = await self.repository.find(inbound.channel, inbound.account, inbound.person)
        if request and request.state == "denied":
            return AccessDecision(None, "not_allowed")
        known = [policy.role_of(inbound.person), request.role if request and request.state == "allowed" else None]
        if role := policy.limited(max(known, key=_RANKS.index)):
            return AccessDecision(role, is_known=True)
        if policy.mode == "open":
            return AccessDecision("person")
        if request and _is_valid(request):
            return AccessDecision(None, "pairing", request.code or "")
        origin = origin_of(inbound)
        # checked first, so that an origin over its limit takes no token of the channel
        if origin and not self._origin_codes.allow(inbound.channel, origin):
            return AccessDecision(None, "busy")
        if not self._channel_codes.allow(inbound.channel):
            return AccessDecision(None, "busy")
        code = "".join(secrets.choice(CODE_ALPHABET) for _ in range(CODE_LENGTH))
        valid = await self.repository.request(inbound, code, datetime.now(UTC) + CODE_LIFETIME)
        if self.on_request:
            self.on_request(inbound, valid)
        return AccessDecision(None, "pairing", valid)


def _is_valid(request: AccessRequest) -> bool:
    return (
        bool(request.code)
        and request.expires_at is not None
        and timedelta() < request.expires_at - datetime.now(UTC) <= MAX_CODE_LIFETIME
    )


def origin_of(inbound: Inbound) -> str:
    """Return the origin that new names of one sender share; empty if the platform has accounts.

    The origin is the network address of a visitor, else the domain, home server or host in a person's name. A private
    network address is no origin: all visitors behind a proxy on this machine share it.
    """
    if inbound.address:
        return _network(inbound.address)
    _, at, host = inbound.person.rpartition("@")
    if at:
        # Matrix: @user:server, others: user@host
        return (host.partition(":")[2] or host).partition("/")[0].lower()
    return ""


def _network(address: str) -> str:
    parsed = parse_address(address)
    if parsed is None or parsed.is_loopback or parsed.is_private or parsed.is_link_local or parsed.is_unspecified:
        return ""
    return network_of(parsed)


def _commands(channel: str, value: Any) -> frozenset[str]:
    """Return the commands of a list, with or without slash.

    Raises:
        ConfigError: a command is unknown.
    """
    given = {name.removeprefix("/").lower() for name in _names(channel, "commands", value)}
    known = (*PUBLIC_COMMANDS, *TICKET_COMMANDS, *OPERATOR_COMMANDS)
    if unknown := given - set(known):
        raise ConfigError(f"'commands' in [channels.{channel}] has {not_among('unknown commands', unknown, known)}")
    return frozenset(given)


def _names(channel: str, setting: str, value: Any) -> tuple[str, ...]:
    """Return a list of names; an environment variable separates them by commas.

    Raises:
        ConfigError: the value is neither a list nor a text.
    """
    parts: Sequence[Any] = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple | set | frozenset) or not all(isinstance(one, str | int) for one in parts):
        raise ConfigError(f"{setting!r} in [channels.{channel}] must be a list of names, not {value!r}.")
    return tuple(dict.fromkeys(name for one in parts if (name := str(one).strip())))


@dataclass(frozen=True, slots=True)
class Rights:
    """Rights of one person on one channel."""

    role: AccessRole | None = None
    """The person's role; None: the person has no access."""
    is_known: bool = False
    """Whether the settings or an operator's decision name the person; False for visitors of an open channel."""
    policy: AccessPolicy = AccessPolicy()
    """The channel's policy."""

    @property
    def is_operator(self) -> bool:
        """Whether the person is an operator or an owner."""
        return self.role in ("operator", "owner")

    def may_run(self, command: str) -> bool:
        """Return whether the person may use a command."""
        if self.is_operator or command in UNRESTRICTED_COMMANDS:
            return True
        if command in OPERATOR_COMMANDS:
            widened = command in (self.policy.commands or ())
            return widened and self.is_known and self.policy.authenticates_senders
        return self.policy.commands is None or command in self.policy.commands

    def model_named(self, name: str) -> str | None:
        """Return the allowed model of a name, spelled as in the channel's list; None if it is not allowed."""
        if self.is_operator:
            return name
        return next((model for model in self.policy.models if model.lower() == name.strip().lower()), None)


@dataclass(frozen=True, slots=True)
class Permissions:
    """Looks up rights; without access control all people may use the public commands, and there are no operators."""

    access: AccessControl | None = None

    async def of(self, inbound: Inbound) -> Rights:
        """Return the rights of the person who wrote a message."""
        if self.access is None:
            return Rights("person")
        decision = await self.access.decide(inbound)
        return Rights(decision.role, decision.is_known, self.access.policy_of(inbound))
