"""What a homeserver refuses, as errors the desk knows what to do about."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

from qwendesk.errors import ChannelError, reason

T = TypeVar("T")
_TOKEN = "M_UNKNOWN_TOKEN"
_LOGGED_OUT = "Not logged in"
"""What the library says of a call after it has forgotten a token that ended."""
_CREDENTIALS = {"M_MISSING_TOKEN", "M_USER_DEACTIVATED"}
_PERMANENT = {"M_FORBIDDEN", "M_NOT_FOUND", "M_TOO_LARGE", "M_BAD_JSON", "M_INVALID_PARAM", "M_UNRECOGNIZED"}
ADVICE = "Check QWENDESK_CHANNELS__MATRIX__USER and QWENDESK_CHANNELS__MATRIX__PASSWORD."


class TokenLost(ChannelError):
    """Somebody has logged the desk's device out.

    Args:
        soft: whether the device with its keys is still known.
    """

    def __init__(self, *, soft: bool) -> None:
        super().__init__("The homeserver has logged the desk out; it logs in again by its password.")
        self.soft = soft


def good(answer: T) -> T:
    """Return an answer that is no error.

    Raises:
        ChannelError: it is one.
    """
    from nio import ErrorResponse

    if not isinstance(answer, ErrorResponse):
        return answer
    code = answer.status_code or ""
    if wait := answer.retry_after_ms:
        raise ChannelError(f"The homeserver asks to wait {wait / 1000:g} s.", retry_after=wait / 1000)
    if code == _TOKEN:
        raise TokenLost(soft=answer.soft_logout)
    advice = f" {ADVICE}" if code in _CREDENTIALS else ""
    permanent = code in _CREDENTIALS or code in _PERMANENT
    raise ChannelError(f"The homeserver refuses: {code} {answer.message}.{advice}", permanent=permanent)


@asynccontextmanager
async def told() -> AsyncIterator[None]:
    """Turn the library's exceptions into ``ChannelError``."""
    import aiohttp
    from nio.exceptions import LocalProtocolError

    try:
        yield
    except LocalProtocolError as error:
        if str(error).startswith(_LOGGED_OUT):
            raise TokenLost(soft=False) from error
        raise ChannelError(f"The library refuses a call to the homeserver: {error}.") from error
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise ChannelError(f"The homeserver cannot be reached: {reason(error)}.") from error
