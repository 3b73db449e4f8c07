"""The transformers engine; torch is imported only when a model is loaded."""
