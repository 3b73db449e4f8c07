"""Measurements of the figures in docs/explanation/benchmarks.md; ``make bench`` runs the short ones."""
