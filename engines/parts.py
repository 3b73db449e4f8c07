"""What pictures and recordings of a message have in common: they come as base64 inside of it."""

from __future__ import annotations

import base64
import binascii

from qwendesk.errors import EngineError


def data_of(url: str, what: str) -> bytes:
    """Return the bytes of a ``data:`` URL.

    Raises:
        EngineError: it is another kind of address, which is never fetched, or no base64.
    """
    head, comma, data = url.partition(",")
    if not (comma and head.startswith("data:") and head.endswith(";base64")):
        raise EngineError(f"A {what} has to be in the message itself, as a data: URL in base64.")
    try:
        return base64.b64decode(data, validate=True)
    except binascii.Error as error:
        raise EngineError(f"The {what} cannot be read: {error}") from error
