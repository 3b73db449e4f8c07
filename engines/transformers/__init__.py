"""What the transformers engine is made of; torch is imported only when a model is loaded."""
