"""The knowledge base: documents in passages, found by words and by meaning, shown only to whom they are meant for."""
