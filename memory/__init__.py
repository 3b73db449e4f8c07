"""SQL memory: conversations, messages, receipts."""
