"""Signatures of the Standard Webhooks specification: HMAC-SHA256 over id, timestamp and body.

Source: https://github.com/standard-webhooks/standard-webhooks, version 1.0.
"""

from __future__ import annotations

import base64
import hmac
import time
from collections.abc import Mapping

from qwendesk.channels.ingest import is_recent
from qwendesk.errors import ConfigError


def signed_headers(secret: str, name: str, body: bytes, now: float | None = None) -> dict[str, str]:
    """Return the headers of a signed body; a repeated message has the same ``name``."""
    moment = str(int(time.time() if now is None else now))
    return {
        "webhook-id": name,
        "webhook-timestamp": moment,
        "webhook-signature": f"v1,{_sign(secret, name, moment, body)}",
        "content-type": "application/json",
    }


def has_fresh_signature(headers: Mapping[str, str], now: float | None = None) -> bool:
    """Return whether a call is recent and has a signature; the body of other calls is not read."""
    named = headers.get("webhook-id") and "v1," in headers.get("webhook-signature", "")
    return bool(named) and is_recent(headers.get("webhook-timestamp", ""), now)


def verified_id(secret: str, headers: Mapping[str, str], body: bytes, now: float | None = None) -> str | None:
    """Return the id of a recent call with a valid signature; None for other calls."""
    if not has_fresh_signature(headers, now):
        return None
    name, moment = headers["webhook-id"], headers["webhook-timestamp"]
    expected = _sign(secret, name, moment, body).encode()
    shown = [one[3:].encode() for one in headers.get("webhook-signature", "").split(" ") if one.startswith("v1,")]
    return name if any(hmac.compare_digest(one, expected) for one in shown) else None


def signing_key(secret: str) -> bytes:
    """Return the key of a secret.

    Raises:
        ConfigError: The secret is not ``whsec_`` and base64, or its key is shorter than 24 bytes.
    """
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError:  # not base64
        key = b""
    if not secret.startswith("whsec_") or len(key) < 24:
        raise ConfigError(
            "The webhook's secret must be 'whsec_' and at least 24 bytes in base64; make one: "
            "echo whsec_$(openssl rand -base64 32)"
        )
    return key


def _sign(secret: str, name: str, moment: str, body: bytes) -> str:
    content = f"{name}.{moment}.".encode() + body
    return base64.b64encode(hmac.digest(signing_key(secret), content, "sha256")).decode()
