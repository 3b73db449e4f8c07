"""Proxies of the environment (``HTTP_PROXY`` and others)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from urllib.parse import urlsplit

from qwendesk.errors import ConfigError

_VARIABLES = ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY")


def uses_proxies(url: str) -> bool:
    """Return whether requests to a URL use the environment's proxies.

    A server on this machine is always asked directly: a proxy elsewhere would look for it on its own machine.
    """
    host = urlsplit(url if "://" in url else f"http://{url}").hostname or ""
    try:
        return not (ip_address(host).is_loopback or ip_address(host).is_unspecified)
    except ValueError:
        return host != "localhost" and not host.endswith(".localhost")


@contextmanager
def proxy_errors() -> Iterator[None]:
    """Convert an HTTP client's error about an invalid proxy into one that names the variable.

    Raises:
        ConfigError: the environment names a proxy that cannot be used.
    """
    try:
        yield
    except (ValueError, ImportError, RuntimeError) as error:
        if not (given := _given()):
            raise
        raise ConfigError(
            f"The proxy of the environment cannot be used: {given}. It has to begin with http://, https:// or "
            "socks5:// (which needs: pip install 'httpx[socks]'); correct the variable or unset it."
        ) from error


def _given() -> str:
    """Return the proxy variables that are set, without credentials."""
    found = {name: os.environ.get(name) or os.environ.get(name.lower()) for name in _VARIABLES}
    return ", ".join(f"{name}={_without_login(value)}" for name, value in found.items() if value)


def _without_login(address: str) -> str:
    scheme, separator, rest = address.rpartition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"
