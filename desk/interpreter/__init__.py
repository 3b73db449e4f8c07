"""Translation between a customer and an operator: protected tokens, checks, glossary, canned answers."""
