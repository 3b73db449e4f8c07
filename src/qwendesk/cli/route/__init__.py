"""The command ``route``."""

from qwendesk.cli.route.command import app

__all__ = ["app"]
