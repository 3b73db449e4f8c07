"""The IRC channel, on irctokens."""
