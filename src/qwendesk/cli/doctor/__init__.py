"""The command ``doctor``."""

from qwendesk.cli.doctor.command import app

__all__ = ["app"]
