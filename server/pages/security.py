"""Security of the operators' pages: headers, the origin of a request, cookies, encryption of the connection."""

from __future__ import annotations

import hmac
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from qwendesk.server.addresses import is_forwarded, is_loopback

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_POLICY = (
    "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'self'; img-src 'self' data: blob:; media-src 'self'; "
    "font-src 'self'; connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types htmx desk"
)
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # not no-referrer, with which browsers send the origin "null" with a form
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cache-Control": "no-store",
}


def add_headers(response: Response, nonce: str) -> None:
    """Add the security headers to a response; those that it sets itself stay."""
    response.headers.setdefault("Content-Security-Policy", _POLICY.format(nonce=nonce))
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)


def is_same_origin(request: Request) -> bool:
    """Return whether a request comes from a page of this server, or from a program that is no browser."""
    if site := request.headers.get("sec-fetch-site"):
        return site in ("same-origin", "none")
    origin = request.headers.get("origin")
    if origin is None:
        return True
    try:
        scheme, place = urlsplit(origin)[:2]
    except ValueError:
        return False
    # a proxy that is not trusted may hide that the browser's connection is encrypted
    return place == request.headers.get("host", "") and (scheme == "https" or request.url.scheme == "http")


def is_encrypted(request: Request) -> bool:
    """Return whether the browser's connection is encrypted, as the server or a trusted proxy says."""
    return request.url.scheme == "https"


def is_local(request: Request) -> bool:
    """Return whether the browser is on this machine and behind no proxy."""
    return bool(request.client and is_loopback(request.client.host)) and not is_forwarded(request.headers)


def cookie_name(request: Request, name: str) -> str:
    """Return the name of a cookie; one with the prefix ``__Host-`` cannot come from another host or without TLS."""
    return f"__Host-{name}" if is_encrypted(request) else name


def set_cookie(request: Request, response: Response, name: str, value: str) -> None:
    """Set a cookie until the browser is closed, out of reach of scripts."""
    response.set_cookie(
        cookie_name(request, name), value, path="/", secure=is_encrypted(request), httponly=True, samesite="lax"
    )


def delete_cookie(request: Request, response: Response, name: str) -> None:
    """Delete a cookie."""
    response.delete_cookie(
        cookie_name(request, name), path="/", secure=is_encrypted(request), httponly=True, samesite="lax"
    )


def is_equal(given: object, wanted: str) -> bool:
    """Compare a token of a request in constant time."""
    return isinstance(given, str) and bool(wanted) and hmac.compare_digest(given.encode(), wanted.encode())


def seal(text: str, token: str) -> str:
    """Return a seal of a text, which only the session with the token can have made."""
    return hmac.digest(token.encode(), text.encode(), "sha256").hex()[:24]
