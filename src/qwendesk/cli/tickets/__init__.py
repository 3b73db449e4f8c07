"""``qwendesk tickets``: tickets of the support desk."""

from qwendesk.cli.tickets.command import app

__all__ = ["app"]
