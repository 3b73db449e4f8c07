"""Signed visitor identities: a shop's server says who its logged-in customer is, and the desk checks the signature."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import unicodedata
from contextlib import suppress
from dataclasses import dataclass
from time import time
from typing import Any, Literal

from qwendesk.desk.visitors import CUSTOMER_PREFIX
from qwendesk.errors import ConfigError
from qwendesk.messages import Customer
from qwendesk.printable import one_line

IdentityFault = Literal["required", "not_set_up", "malformed", "signature", "expired", "not_yet", "audience", "claims"]
"""Why an identity is refused."""
IN_WORDS: dict[IdentityFault, str] = {
    "required": "the page passes no identity, and 'identity_enforce' is on",
    "not_set_up": "the page passes an identity, and 'identity_secret' is not set",
    "malformed": "the token is no JWT",
    "signature": "the signature is wrong: another secret, another user id, or another algorithm than HS256",
    "expired": "the token has expired",
    "not_yet": "the token is not valid yet: compare the clocks",
    "audience": "the token's 'aud' is not that of 'identity_audience'",
    "claims": "'sub' is missing or is no plain text of at most 128 characters, or 'exp' is missing",
}
"""What the log and the console of the shop's page say."""
MIN_SECRET_CHARS = 32
MAX_TOKEN_CHARS = 4096
_MAX_ID_CHARS, _MAX_NAME_CHARS, _MAX_EMAIL_CHARS = 128, 100, 254
_LEEWAY_SECONDS = 60
_LOCALE = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8}){0,3}")
_HASH = re.compile(r"[0-9a-fA-F]{64}")
_EMAIL = re.compile(r"[^\s@<>\"(),:;]+@[^\s@<>\"(),:;]+")


class IdentityRefused(Exception):
    """An identity is not accepted."""

    def __init__(self, fault: IdentityFault) -> None:
        super().__init__(IN_WORDS[fault])
        self.fault = fault


@dataclass(frozen=True, slots=True)
class SignedIdentity:
    """What a shop's server has signed."""

    customer: Customer
    locale: str | None = None
    expires_at: float | None = None
    """Seconds since 1970 until which it is accepted; None: it has no end, as with the hash of a user id."""

    @property
    def person(self) -> str:
        """The person's name on the channel."""
        return f"{CUSTOMER_PREFIX}{self.customer.id}"

    @property
    def seconds_left(self) -> float | None:
        """Seconds until it expires."""
        return None if self.expires_at is None else max(0.0, self.expires_at + _LEEWAY_SECONDS - time())


class IdentityVerifier:
    """Checks identities with one secret, or with two while the secret is changed.

    Args:
        secrets: the secrets; any of them may have signed.
        audience: value that ``aud`` of a token must have; empty: a token must have no ``aud``.

    Raises:
        ConfigError: a secret is too short to be safe.
    """

    def __init__(self, secrets: tuple[str, ...], audience: str = "") -> None:
        if any(len(secret) < MIN_SECRET_CHARS for secret in secrets):
            raise ConfigError(
                f"'identity_secret' of the web chat is shorter than {MIN_SECRET_CHARS} characters. "
                "Make one with: openssl rand -hex 32"
            )
        self._secrets = secrets
        self._audience = audience

    @property
    def is_set_up(self) -> bool:
        """Whether identities can be checked."""
        return bool(self._secrets)

    def verify_token(self, token: str) -> SignedIdentity:
        """Return the identity of a JSON Web Token, signed with HS256.

        Raises:
            IdentityRefused: it is not accepted.
        """
        claims = self._claims(token)
        name, email = _line(claims.get("name"), _MAX_NAME_CHARS), _line(claims.get("email"), _MAX_EMAIL_CHARS)
        locale = claims.get("locale") or claims.get("language")
        is_locale = isinstance(locale, str) and _LOCALE.fullmatch(locale)
        return SignedIdentity(
            Customer(_user_id(claims.get("sub")), name, email if _EMAIL.fullmatch(email) else ""),
            locale if is_locale else None,
            float(claims["exp"]),
        )

    def verify_hash(self, user_id: str, user_hash: str) -> SignedIdentity:
        """Return the identity of a user id with its HMAC-SHA256 in hexadecimal digits.

        Raises:
            IdentityRefused: it is not accepted.
        """
        if not self._secrets:
            raise IdentityRefused("not_set_up")
        known = _user_id(user_id)
        if _is_token(known):
            raise IdentityRefused("claims")
        given = user_hash.lower() if _HASH.fullmatch(user_hash) else ""
        digests = [hmac.new(secret.encode(), known.encode(), hashlib.sha256).hexdigest() for secret in self._secrets]
        if not any(hmac.compare_digest(digest, given) for digest in digests):
            raise IdentityRefused("signature")
        return SignedIdentity(Customer(known))

    def _claims(self, token: str) -> dict[str, Any]:
        """Return the claims of a token that one of the secrets has signed."""
        import jwt

        if not self._secrets:
            raise IdentityRefused("not_set_up")
        if len(token) > MAX_TOKEN_CHARS or not token.isascii():
            raise IdentityRefused("malformed")
        for secret in self._secrets:
            try:
                claims: dict[str, Any] = jwt.decode(
                    token,
                    secret,
                    algorithms=["HS256"],  # never what the token asks for
                    audience=self._audience or None,
                    leeway=_LEEWAY_SECONDS,
                    options={"require": ["sub", "exp", *(["aud"] if self._audience else [])]},
                )
            except (jwt.InvalidSignatureError, jwt.InvalidAlgorithmError):
                continue
            except (jwt.InvalidTokenError, RecursionError, OverflowError) as error:
                raise IdentityRefused(_fault(error)) from None
            return claims
        raise IdentityRefused("signature")


def _fault(error: Exception) -> IdentityFault:
    import jwt

    faults: tuple[tuple[type[Exception], IdentityFault], ...] = (
        (jwt.ExpiredSignatureError, "expired"),
        (jwt.ImmatureSignatureError, "not_yet"),
        (jwt.InvalidAudienceError, "audience"),
        (jwt.DecodeError, "malformed"),
        (RecursionError, "malformed"),
    )
    if isinstance(error, jwt.MissingRequiredClaimError) and error.claim == "aud":
        return "audience"
    return next((fault for kind, fault in faults if isinstance(error, kind)), "claims")


def _user_id(value: Any) -> str:
    """Return a user id, which becomes part of the person's name.

    Raises:
        IdentityRefused: it is empty, too long, or has signs that no name on one line has.
    """
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_ID_CHARS or value != value.strip():
        raise IdentityRefused("claims")
    if one_line(value) != value or unicodedata.normalize("NFC", value) != value:
        raise IdentityRefused("claims")
    return value


def _is_token(text: str) -> bool:
    """Return whether a text begins like a JSON Web Token without its signature.

    The hash of such a user id would be the signature of that token, so a customer who may choose their user id could
    write one for somebody else.
    """
    header = text.partition(".")[0]
    with suppress(ValueError, RecursionError):
        return isinstance(json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4))), dict)
    return False


def _line(value: Any, most: int) -> str:
    return " ".join(one_line(value[:most]).split()) if isinstance(value, str) else ""
