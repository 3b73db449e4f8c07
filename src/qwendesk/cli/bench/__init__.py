"""The command ``bench``."""

from qwendesk.cli.bench.command import app

__all__ = ["app"]
