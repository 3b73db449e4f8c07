"""Evaluation of search, within a language and across languages."""
