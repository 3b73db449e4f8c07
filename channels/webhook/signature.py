"""Signatures as the Standard Webhooks specification has them: HMAC-SHA256 over id, time and body.

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
    """Return the headers for a body; ``name`` is the same whenever the same message is sent."""
    moment = str(int(time.time() if now is None else now))
    return {
        "webhook-id": name,
        "webhook-timestamp": moment,
        "webhook-signature": f"v1,{_sign(secret, name, moment, body)}",
        "content-type": "application/json",
    }


def has_fresh_signature(headers: Mapping[str, str], now: float | None = None) -> bool:
    """Tell whether a call is fresh and has what a signature needs: a body need not be read of any other."""
    named = headers.get("webhook-id") and "v1," in headers.get("webhook-signature", "")
    return bool(named) and is_recent(headers.get("webhook-timestamp", ""), now)


def verified_id(secret: str, headers: Mapping[str, str], body: bytes, now: float | None = None) -> str | None:
    """Return the name of a delivery whose signature holds and is fresh; None for any other."""
    if not has_fresh_signature(headers, now):
        return None
    name, moment = headers["webhook-id"], headers["webhook-timestamp"]
    expected = _sign(secret, name, moment, body).encode()
    shown = [one[3:].encode() for one in headers.get("webhook-signature", "").split(" ") if one.startswith("v1,")]
    return name if any(hmac.compare_digest(one, expected) for one in shown) else None


def signing_key(secret: str) -> bytes:
    """Return the key in a secret.

    Raises:
        ConfigError: it is not written as ``whsec_`` and base64, or is short.
    """
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError:  # base64 has no such signs, or no such length
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
