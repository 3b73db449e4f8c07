"""The command ``operators``."""

from qwendesk.cli.operators.command import app

__all__ = ["app"]
