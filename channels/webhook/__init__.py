"""The generic webhook channel: signed HTTP calls in both directions, for any program."""
