"""The command ``imports``."""

from qwendesk.cli.imports.command import app

__all__ = ["app"]
