"""Imports from other help desks: contacts, conversations, articles and canned answers of Chatwoot and Zammad."""
