"""The command ``chat``."""

from qwendesk.cli.chat.command import app

__all__ = ["app"]
