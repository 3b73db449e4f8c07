"""The certificates that HTTPS connections trust."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ssl import SSLContext


@cache
def trusted_certificates() -> SSLContext:
    """Return httpx's TLS context: its own certificates, or those of ``SSL_CERT_FILE`` and ``SSL_CERT_DIR``.

    All HTTP clients share it, because each client would otherwise read the certificates again, which blocks the
    event loop.

    Raises:
        OSError: the file that the environment names cannot be read.
    """
    import httpx

    return httpx.create_ssl_context()
