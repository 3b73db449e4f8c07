"""The second factor: codes of an authenticator app, each of which counts once."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from time import time

from pyotp import TOTP, random_base32

_STEP_SECONDS = 30
_TOLERATED_STEPS = 1
"""Steps by which the clocks of the desk and of a phone may differ."""
_ISSUER = "Qwendesk"


def new_secret() -> str:
    """Return a secret for an authenticator app."""
    return random_base32()


@dataclass(frozen=True, slots=True)
class SecondFactor:
    """An operator's second factor."""

    secret: str
    last_step: int | None = None
    """Time step of the last accepted code."""

    def step_of(self, code: str, now: float | None = None) -> int | None:
        """Return the time step of a code; None if the code is wrong, expired or was accepted before."""
        digits = "".join(code.split())
        if not (digits.isascii() and digits.isdigit()):
            return None
        current = int(time() if now is None else now) // _STEP_SECONDS
        for step in range(current - _TOLERATED_STEPS, current + _TOLERATED_STEPS + 1):
            is_right = hmac.compare_digest(TOTP(self.secret).generate_otp(step), digits)
            if is_right and (self.last_step is None or step > self.last_step):
                return step
        return None

    def address(self, name: str) -> str:
        """Return the ``otpauth:`` address that an authenticator app reads from a QR code."""
        return TOTP(self.secret).provisioning_uri(name=name, issuer_name=_ISSUER)
