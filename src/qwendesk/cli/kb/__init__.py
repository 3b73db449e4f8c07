"""The command ``kb``."""

from qwendesk.cli.kb.command import app

__all__ = ["app"]
