"""The command ``models``."""

from qwendesk.cli.models.command import app

__all__ = ["app"]
