"""The settings of outbound webhooks: the tables ``[[webhooks]]``."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

EVENT_KINDS = (
    "opened",
    "message",
    "answered",
    "approval_needed",
    "approved",
    "declined",
    "approval_dropped",
    "handed_over",
    "assigned",
    "taken_over",
    "replied",
    "delivered",
    "not_delivered",
    "handed_back",
    "escalated",
    "resolved",
    "reopened",
    "snoozed",
    "woken",
    "updated",
    "noted",
    "merged",
    "merged_from",
    "split",
    "split_from",
    "reminded",
    "sla_warning",
    "sla_breached",
)
"""Kinds of tickets' events."""
ALL_EVENTS = "*"
SECRET_PREFIX = "whsec_"
_MIN_SECRET_BYTES, _MAX_SECRET_BYTES = 24, 64


def read_secret(text: str) -> bytes:
    """Return the key of a secret as Standard Webhooks write it: ``whsec_`` and Base64.

    Raises:
        ValueError: it is none.
    """
    written = text.removeprefix(SECRET_PREFIX)
    try:
        key = b64decode(written + "=" * (-len(written) % 4), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not text.startswith(SECRET_PREFIX) or not _MIN_SECRET_BYTES <= len(key) <= _MAX_SECRET_BYTES:
        raise ValueError(
            f"{SECRET_PREFIX!r} and {_MIN_SECRET_BYTES} to {_MAX_SECRET_BYTES} bytes in Base64; "
            "'qwendesk webhooks secret' writes one"
        )
    return key


def _is_secret(value: SecretStr) -> SecretStr:
    read_secret(value.get_secret_value())
    return value


def _is_event(value: str) -> str:
    if value != ALL_EVENTS and value not in EVENT_KINDS:
        near = get_close_matches(value, EVENT_KINDS, 1)
        raise ValueError(f"{near[0]!r}" if near else f"'{ALL_EVENTS}' for all, or one of {', '.join(EVENT_KINDS)}")
    return value


def _is_address(value: str) -> str:
    if not re.match(r"https?://[^/?#\s]", value, re.I):
        raise ValueError("an address that begins with https:// or http://")
    return value


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str | SecretStr) else value


class WebhookSettings(BaseModel):
    """An outbound webhook, to which tickets' events are posted: a table ``[[webhooks]]``."""

    model_config = ConfigDict(extra="forbid")

    url: Annotated[str, AfterValidator(_is_address)]
    """Address that events are posted to. Required."""
    secret: Annotated[
        tuple[Annotated[SecretStr, AfterValidator(_is_secret)], ...], BeforeValidator(_listed), Field(min_length=1)
    ]
    """Secret that signs them, ``whsec_`` and Base64, or a list of several while a receiver changes over. Required."""
    name: str = ""
    """Name in commands, logs and the database; empty: the host. One that changes begins anew."""
    events: Annotated[tuple[Annotated[str, AfterValidator(_is_event)], ...], BeforeValidator(_listed)] = (ALL_EVENTS,)
    """Kinds of events that are posted, such as ``handed_over``; ``*``: all."""
    include_text: bool = False
    """Whether the customer's name, the subject and the texts of messages are posted as well."""
    allow_private: bool = False
    """Whether the address may be one of a private network or of this machine."""
    timeout: float = Field(default=10, gt=0, le=60)
    """Seconds that the receiver may take."""

    @property
    def label(self) -> str:
        """The name, or the host where it has none: an address may hold a secret."""
        return self.name or urlsplit(self.url).netloc.rpartition("@")[2]


def refuse_repeated(webhooks: Sequence[WebhookSettings]) -> Sequence[WebhookSettings]:
    """Return webhooks with different names.

    Raises:
        ValueError: two have the same.
    """
    labels = [webhook.label for webhook in webhooks]
    if len(set(labels)) < len(labels):
        raise ValueError("tables with different names; give those with the same host a name each")
    return webhooks
