"""Chat platforms: the channel port, what channels share, and one folder for each platform."""
