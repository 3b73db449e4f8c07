"""Translate error responses of a homeserver and errors of matrix-nio to ``ChannelError``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

from qwendesk.errors import ChannelError, reason

T = TypeVar("T")
_UNKNOWN_TOKEN = "M_UNKNOWN_TOKEN"
_NOT_LOGGED_IN = "Not logged in"
"""The library's text of a call after its access token became invalid."""
_CREDENTIALS = {"M_MISSING_TOKEN", "M_USER_DEACTIVATED"}
_PERMANENT = {"M_FORBIDDEN", "M_NOT_FOUND", "M_TOO_LARGE", "M_BAD_JSON", "M_INVALID_PARAM", "M_UNRECOGNIZED"}
ADVICE = "Check QWENDESK_CHANNELS__MATRIX__USER and QWENDESK_CHANNELS__MATRIX__PASSWORD."


class LoggedOut(ChannelError):
    """The access token is invalid.

    Args:
        soft: Whether the homeserver keeps the device and its keys.
    """

    def __init__(self, *, soft: bool) -> None:
        super().__init__("The homeserver has invalidated the access token; the desk logs in again with its password.")
        self.soft = soft


def checked(response: T) -> T:
    """Return a response of the homeserver.

    Raises:
        ChannelError: The response is an error.
    """
    from nio import ErrorResponse

    if not isinstance(response, ErrorResponse):
        return response
    code = response.status_code or ""
    if wait := response.retry_after_ms:
        raise ChannelError(f"The homeserver asks to wait {wait / 1000:g} s.", retry_after=wait / 1000)
    if code == _UNKNOWN_TOKEN:
        raise LoggedOut(soft=response.soft_logout)
    advice = f" {ADVICE}" if code in _CREDENTIALS else ""
    permanent = code in _CREDENTIALS or code in _PERMANENT
    raise ChannelError(f"The homeserver refuses: {code} {response.message}.{advice}", permanent=permanent)


@asynccontextmanager
async def translate_errors() -> AsyncIterator[None]:
    """Raise ``ChannelError`` for exceptions of the library."""
    import aiohttp
    from nio.exceptions import LocalProtocolError

    try:
        yield
    except LocalProtocolError as error:
        if str(error).startswith(_NOT_LOGGED_IN):
            raise LoggedOut(soft=False) from error
        raise ChannelError(f"The library refuses a call to the homeserver: {error}.") from error
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise ChannelError(f"The homeserver cannot be reached: {reason(error)}.") from error
