"""The quality bench: question suites, their scoring, and the runner that asks a bare model and the desk."""
