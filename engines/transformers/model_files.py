"""Find the files of a model: in a folder, a GGUF file, the Hub's cache, or the Hub."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from qwendesk.engines.base import EngineParts, Progress
from qwendesk.errors import ConfigError, EngineUnavailable, ModelStoreError, reason
from qwendesk.models.card import ModelCard

_FETCHED_PATTERNS = ["*.json", "*.safetensors", "*.txt", "*.jinja"]


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """A model's files on this machine."""

    card: ModelCard
    path: Path
    """A folder of safetensors, or a GGUF file."""
    adapter: Path | None = None
    """A folder with a LoRA adapter for the weights."""

    @property
    def is_gguf(self) -> bool:
        """Whether the model is a GGUF file."""
        return self.path.suffix.lower() == ".gguf"


def find_model_files(name: str, parts: EngineParts, progress: Progress | None = None) -> ModelFiles:
    """Return the files of a model, downloaded from the Hub if they are not on this machine.

    Args:
        name: a catalogue name, a folder, a GGUF file or a repository (``Qwen/Qwen3-0.6B``); ``NAME+ADAPTER`` adds a
            LoRA adapter: a folder, or the name of one in ``adapters`` in the data folder.
        parts: settings, catalogue and model store.
        progress: called when a download starts.

    Raises:
        ConfigError: the model is unknown.
        EngineUnavailable: the files are not on this machine and cannot be downloaded.
    """
    base, plus, adapter = name.partition("+")
    if Path(name).expanduser().exists():
        base, plus = name, ""
    found = _find(base, parts, progress)
    if not plus:
        return found
    return ModelFiles(replace(found.card, name=name), found.path, _adapter(adapter, parts))


def hub_models(parts: EngineParts) -> list[ModelCard]:
    """Return the catalogue's models whose original weights are in the Hub's cache."""
    return [card for card in parts.catalogue if card.repo and _cached(card.repo)]


def _find(name: str, parts: EngineParts, progress: Progress | None) -> ModelFiles:
    folder = Path(name).expanduser()
    if folder.is_dir():
        return _from_folder(name, folder, parts)
    if name.lower().endswith(".gguf"):
        card = parts.catalogue.get(name)
        return ModelFiles(card, card.file or folder)
    if "/" in name and name not in parts.catalogue:
        known = parts.catalogue.find_by_repo(name)
        return _from_hub(replace(known or ModelCard(name=name), name=name, repo=name), parts, progress)
    card = parts.catalogue.get(name)
    return _from_hub(card, parts, progress)


def _from_folder(name: str, folder: Path, parts: EngineParts) -> ModelFiles:
    if not (folder / "config.json").is_file():
        raise ConfigError(f"The folder {name!r} holds no model: it has no config.json.")
    card = parts.catalogue.find_by_repo(folder.resolve().name) or _described(folder)
    return ModelFiles(replace(card, name=name, weights=None), folder.resolve())


def _from_hub(card: ModelCard, parts: EngineParts, progress: Progress | None) -> ModelFiles:
    if found := card.repo and _cached(card.repo):
        return ModelFiles(card, found)
    with suppress(ModelStoreError, EngineUnavailable, ConfigError):
        return ModelFiles(card, parts.store.path(card))
    if not card.repo:
        raise EngineUnavailable(f"No source of the weights of {card.name!r} is known: name a folder or a GGUF file.")
    if progress:
        progress(f"Fetching {card.repo} from {parts.settings.huggingface_url}", None)
    return ModelFiles(card, _fetched(card.repo, parts))


def _cached(repo: str) -> Path | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(repo, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError, OSError):
        return None
    # an interrupted download leaves an incomplete folder
    is_complete = (folder / "config.json").is_file() and _has_weights(folder)
    return folder if is_complete else None


def _fetched(repo: str, parts: EngineParts) -> Path:
    """Download a repository, after one short request that fails quickly without a network."""
    from huggingface_hub import HfApi, constants, snapshot_download

    settings = parts.settings
    if constants.HF_HUB_OFFLINE:
        raise EngineUnavailable(f"{repo!r} is not in the Hub's cache, and HF_HUB_OFFLINE forbids the download.")
    try:
        HfApi(endpoint=settings.huggingface_url).model_info(repo, timeout=settings.connect_timeout)
        return Path(snapshot_download(repo, endpoint=settings.huggingface_url, allow_patterns=_FETCHED_PATTERNS))
    except Exception as error:  # errors of the Hub's client, of its HTTP library and of the system
        raise EngineUnavailable(
            f"{repo!r} is not on this machine and {settings.huggingface_url!r} does not provide it "
            f"({reason(error)}). Name a folder or a GGUF file, or try again with a network."
        ) from error


def _has_weights(folder: Path) -> bool:
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return any(folder.glob("*.safetensors"))
    names = set(json.loads(index.read_text("utf-8")).get("weight_map", {}).values())
    return all((folder / name).is_file() for name in names)


def _described(folder: Path) -> ModelCard:
    """Return a card with the data of the folder's config and chat template."""
    config = json.loads((folder / "config.json").read_text("utf-8"))
    inner = config.get("text_config") or config
    template = _template(folder)
    return ModelCard(
        name="",
        context=int(inner.get("max_position_embeddings") or 32768),
        vision="vision_config" in config,
        audio="audio_config" in config,
        tools="tools" in template,
        thinking="hybrid" if "enable_thinking" in template else "always" if "<think>\\n' }}" in template else "none",
    )


def _template(folder: Path) -> str:
    if (file := folder / "chat_template.jinja").is_file():
        return file.read_text("utf-8")
    if (file := folder / "tokenizer_config.json").is_file():
        return str(json.loads(file.read_text("utf-8")).get("chat_template") or "")
    return ""


def _adapter(name: str, parts: EngineParts) -> Path:
    for folder in (Path(name).expanduser(), parts.settings.data_dir / "adapters" / name):
        if (folder / "adapter_config.json").is_file():
            return folder.resolve()
    raise ConfigError(
        f"There is no LoRA adapter {name!r}: name a folder with an adapter_config.json, or put it into "
        f"{str(parts.settings.data_dir / 'adapters')!r}."
    )
