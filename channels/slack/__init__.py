"""The Slack channel: Socket Mode or signed HTTP requests, on slack_sdk."""
