"""Passwords: what is accepted as one, and argon2 hashes of them."""

from __future__ import annotations

import asyncio
import unicodedata
from functools import cached_property
from secrets import token_urlsafe

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from qwendesk.errors import InputError

MIN_PASSWORD_CHARS = 10
MAX_PASSWORD_CHARS = 1024
_MIN_DIFFERENT_CHARS = 5
_MAX_CONCURRENT_HASHES = 2
"""Each takes tens of megabytes and a processor, so that log-ins must not push out answers."""


class Passwords:
    """Hashes passwords and compares them with hashes, in threads.

    Args:
        hasher: computes the hashes; None: with the parameters that argon2-cffi recommends.
    """

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._slots = asyncio.Semaphore(_MAX_CONCURRENT_HASHES)

    async def hash(self, password: str) -> str:
        """Return the hash of a password."""
        async with self._slots:
            return await asyncio.to_thread(self._hasher.hash, normalized(password))

    async def verify(self, password: str, stored: str | None) -> bool:
        """Return whether a password has a hash; without one the comparison takes as long and fails."""
        async with self._slots:
            return await asyncio.to_thread(self._verify, password, stored)

    def needs_rehash(self, stored: str) -> bool:
        """Return whether a hash was computed with other parameters than those of today."""
        return self._hasher.check_needs_rehash(stored)

    def _verify(self, password: str, stored: str | None) -> bool:
        try:
            self._hasher.verify(stored or self._nobodys_hash, normalized(password)[:MAX_PASSWORD_CHARS])
        except (VerificationError, InvalidHashError):
            return False
        return stored is not None

    @cached_property
    def _nobodys_hash(self) -> str:
        return self._hasher.hash(token_urlsafe())


def normalized(password: str) -> str:
    """Return a password in the form in which it is hashed: keyboards compose the same characters differently."""
    return unicodedata.normalize("NFKC", password)


def check_password(password: str, name: str = "") -> None:
    """Check that a new password is hard enough to guess.

    Args:
        password: the new password.
        name: the log-in name, which it must not repeat.

    Raises:
        InputError: it is too short, too long, or too simple.
    """
    length = len(normalized(password))
    if length < MIN_PASSWORD_CHARS:
        raise InputError(f"The password has {length} characters; use at least {MIN_PASSWORD_CHARS}.")
    if length > MAX_PASSWORD_CHARS:
        raise InputError(f"The password has {length} characters; use at most {MAX_PASSWORD_CHARS}.")
    if len(set(password)) < _MIN_DIFFERENT_CHARS:
        raise InputError(f"The password repeats few characters; use at least {_MIN_DIFFERENT_CHARS} different ones.")
    if name and name.casefold() in password.casefold() and length - len(name) < MIN_PASSWORD_CHARS // 2:
        raise InputError("The password is the log-in name with little added; use another.")
