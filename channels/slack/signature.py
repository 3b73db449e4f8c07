"""Whether a call over HTTP is Slack's."""

from __future__ import annotations

from collections.abc import Mapping

from qwendesk.channels.incoming import is_fresh

_MOMENT, _SIGNATURE = "x-slack-request-timestamp", "x-slack-signature"


def is_promising(headers: Mapping[str, str]) -> bool:
    """Tell whether a call is fresh and has a signature: a body need not be read of any other."""
    shown = headers.get(_SIGNATURE, "")
    return bool(shown) and shown.isascii() and is_fresh(headers.get(_MOMENT, ""))


def is_signed(secret: str, headers: Mapping[str, str], body: bytes) -> bool:
    """Tell whether a signature holds."""
    from slack_sdk.signature import SignatureVerifier

    try:
        text = body.decode()
    except UnicodeDecodeError:
        return False
    return is_promising(headers) and SignatureVerifier(secret).is_valid(text, headers[_MOMENT], headers[_SIGNATURE])
