"""The command ``channels``."""

from qwendesk.cli.channels.command import app

__all__ = ["app"]
