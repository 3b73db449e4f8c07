"""The model store: a folder of model files, each checked when it is downloaded."""
