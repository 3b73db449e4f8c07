"""Delivery of answers: streaming, retries, the outbox, and transcripts."""
