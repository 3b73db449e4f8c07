"""Qwendesk: every message gets the right Qwen model."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qwendesk.app import Desk as Desk
    from qwendesk.errors import QwendeskError as QwendeskError
    from qwendesk.messages import Attachment as Attachment
    from qwendesk.messages import Receipt as Receipt
    from qwendesk.messages import Reply as Reply
    from qwendesk.settings import Settings as Settings

_HOMES = {
    "Attachment": "messages",
    "Desk": "app",
    "QwendeskError": "errors",
    "Receipt": "messages",
    "Reply": "messages",
    "Settings": "settings",
}

__all__ = ["Attachment", "Desk", "QwendeskError", "Receipt", "Reply", "Settings", "__version__"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that ``import qwendesk`` costs nothing."""
    if name in _HOMES:
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
