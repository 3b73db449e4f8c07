"""The HTTP server: the health check and the routes of channels."""
