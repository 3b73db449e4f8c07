"""The model store: fetch model files from where they are, check them, keep them."""

from qwendesk.models.sources.base import PullProgress, Remotes
from qwendesk.models.store.model_store import SOURCES, ModelStore
from qwendesk.models.store.record import StoredFile, StoredModel

__all__ = ["SOURCES", "ModelStore", "PullProgress", "Remotes", "StoredFile", "StoredModel"]
