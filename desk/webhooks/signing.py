"""Signatures of outbound webhooks by the specification Standard Webhooks (standardwebhooks.com)."""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Iterable
from datetime import datetime
from secrets import token_bytes

from qwendesk.webhook_settings import SECRET_PREFIX, read_secret

_SECRET_BYTES = 32


def signed_headers(id_: str, at: datetime, body: bytes, secrets: Iterable[str]) -> dict[str, str]:
    """Return the headers by which a receiver knows the sender, the message and its time.

    Args:
        id_: identifies the message; the same in each try.
        at: the time of this try.
        body: the body.
        secrets: the secrets, each of which makes a signature.
    """
    timestamp = str(int(at.timestamp()))
    signed = f"{id_}.{timestamp}.".encode() + body
    signatures = [b64encode(hmac.digest(read_secret(secret), signed, "sha256")).decode() for secret in secrets]
    return {
        "webhook-id": id_,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }


def new_secret() -> str:
    """Return a random secret."""
    return SECRET_PREFIX + b64encode(token_bytes(_SECRET_BYTES)).decode()
