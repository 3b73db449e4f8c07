"""The trained router: features, linear models and their files."""
