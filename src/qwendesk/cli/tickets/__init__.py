"""``qwendesk tickets``: tickets of the support desk."""
