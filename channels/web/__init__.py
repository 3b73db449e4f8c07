"""The web chat: a page, a widget for any website, and the WebSocket that connects them with the desk."""
