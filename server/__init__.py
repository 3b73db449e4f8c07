"""The HTTP server: the health check, the routes of channels, and the operators' pages."""
