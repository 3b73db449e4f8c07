"""Delivery of answers: outbox, streaming, transcript."""
