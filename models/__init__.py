"""Models: the catalogue, recommendations for a machine, and the files of models."""
