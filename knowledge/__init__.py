"""The knowledge base: read, index and search documents."""
