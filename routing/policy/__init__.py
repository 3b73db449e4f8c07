"""The routing policy: overrides, rules, the conversation, sub-questions."""
