"""The model store: fetch model files from where they are, check them, keep them."""

from qwendesk.engines.store.base import PullProgress, Remotes
from qwendesk.engines.store.record import StoredFile, StoredModel
from qwendesk.engines.store.store import SOURCES, ModelStore

__all__ = ["SOURCES", "ModelStore", "PullProgress", "Remotes", "StoredFile", "StoredModel"]
