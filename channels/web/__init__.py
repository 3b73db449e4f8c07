"""The web chat: a page, a widget for any site, and the socket between them and the desk."""
