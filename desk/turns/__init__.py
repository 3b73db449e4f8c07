"""Turns: context, attachments, documents, the graph's run, receipts, and background jobs."""
