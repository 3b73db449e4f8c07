"""Load and check a model, its tokenizer and its processor with transformers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from qwendesk.engines.transformers.attention import PACKED_ATTENTION, register
from qwendesk.engines.transformers.device import Device
from qwendesk.engines.transformers.model_files import ModelFiles
from qwendesk.engines.transformers.prompt import AudioModality, ImageModality, Modality
from qwendesk.engines.transformers.runner import PackedRunner, PlainRunner, Runner
from qwendesk.engines.transformers.vocabulary import Vocabulary
from qwendesk.errors import EngineUnavailable, reason

_ATTENTION_LAYERS = ("full_attention", "sliding_attention")
"""Types of layers that keep only keys and values."""


def load_model(files: ModelFiles, device: Device) -> Any:
    """Return the model, ready for inference.

    Raises:
        EngineUnavailable: the files are broken, incomplete or of an unknown kind.
    """
    from transformers.utils import logging

    untyped: Any = logging
    untyped.set_verbosity_error()
    untyped.disable_progress_bar()
    with _errors(files):
        model = _with_adapter(_loaded(files, device), files, device)
        return model.eval().requires_grad_(False)


def load_vocabulary(files: ModelFiles, model: Any, template: str | None = None) -> Vocabulary:
    """Return the model's tokenizer; ``template`` overrides its chat template.

    Raises:
        EngineUnavailable: it is missing or belongs to another model.
    """
    from transformers import AutoTokenizer

    with _errors(files):
        tokenizer = AutoTokenizer.from_pretrained(**_where(files), local_files_only=True)
    rows = model.get_input_embeddings().weight.shape[0]
    if len(tokenizer) > rows:
        raise EngineUnavailable(
            f"The tokenizer of {files.card.name!r} has {len(tokenizer)} tokens, its weights {rows}: it belongs to "
            "another model. Use the tokenizer.json that was published with the weights."
        )
    tokenizer.chat_template = template or tokenizer.chat_template
    if not tokenizer.chat_template:
        raise EngineUnavailable(
            f"{files.card.name!r} has no chat template: it is a base model. Use its Instruct version."
        )
    return Vocabulary.of(tokenizer, model.generation_config)


def make_runner(model: Any) -> Runner[Any]:
    """Return the runner of a model: packed batches if all layers keep only keys and values."""
    config = model.config.get_text_config()
    kinds = getattr(config, "layer_types", None) or ["full_attention"]
    if not all(kind in _ATTENTION_LAYERS for kind in kinds) or not _supports_packed_attention(model):
        return PlainRunner(model)
    register()
    # vision and audio encoders process each medium separately and keep their attention
    model.set_attn_implementation(PACKED_ATTENTION if config is model.config else {"text_config": PACKED_ATTENTION})
    return PackedRunner(model)


def load_modality(files: ModelFiles, model: Any, context: int) -> Modality | None:
    """Return the preprocessing of images or recordings for the model; None for a text model.

    Raises:
        EngineUnavailable: the processor is missing or cannot be used.
    """
    config = model.config
    with _errors(files):
        if getattr(config, "vision_config", None) is not None and hasattr(config, "image_token_id"):
            return _image_modality(files, config.image_token_id, context)
        if getattr(config, "audio_config", None) is not None and hasattr(config, "audio_token_id"):
            return _audio_modality(files, config.audio_token_id, context)
    return None


def _image_modality(files: ModelFiles, token: int, context: int) -> ImageModality:
    from transformers import AutoImageProcessor

    # the Pillow backend does not need torchvision, which has to match the version of torch
    untyped: Any = AutoImageProcessor
    return ImageModality(untyped.from_pretrained(str(files.path), backend="pil", local_files_only=True), token, context)


def _audio_modality(files: ModelFiles, token: int, context: int) -> AudioModality:
    from transformers import AutoProcessor

    untyped: Any = AutoProcessor
    return AudioModality(untyped.from_pretrained(str(files.path), local_files_only=True), token, context)


def _supports_packed_attention(model: Any) -> bool:
    """Return whether the text model accepts registered attention functions; not every whole model declares it."""
    return any(part.is_backend_compatible() for part in (model, model.get_decoder()))


def count_parameters(files: ModelFiles) -> int:
    """Return the number of weights in the files, without reading the weights."""
    with _errors(files):
        if files.is_gguf:
            from gguf import GGUFReader

            return sum(int(tensor.n_elements) for tensor in GGUFReader(files.path).tensors)
        return sum(_parameters(file) for file in files.path.glob("*.safetensors"))


def _parameters(file: Path) -> int:
    """Read the header of a safetensors file: its length in 8 bytes, then JSON."""
    with file.open("rb") as opened:
        size = int.from_bytes(opened.read(8), "little")
        if size > file.stat().st_size:
            raise ValueError("the header is longer than the file")
        header = json.loads(opened.read(size))
    shapes = [entry["shape"] for name, entry in header.items() if name != "__metadata__"]
    return sum(int(torch.Size(shape).numel()) for shape in shapes)


def _loaded(files: ModelFiles, device: Device) -> Any:
    options = {
        "dtype": device.dtype,
        "device_map": device.device if device.device != "cuda" else "auto",
        "quantization_config": device.quantization(),
        "local_files_only": True,
        "output_loading_info": True,
    }
    options = {name: value for name, value in options.items() if value is not None}
    made = _class_of(files)
    try:
        model, told = made.from_pretrained(**_where(files), attn_implementation="sdpa", **options)
    except ValueError as error:
        if "scaled_dot_product_attention" not in str(error):
            raise
        model, told = made.from_pretrained(**_where(files), attn_implementation="eager", **options)
    if missing := sorted(told["missing_keys"]):
        raise ValueError(f"weights are missing: {', '.join(missing[:3])}{' ...' if len(missing) > 3 else ''}")
    if other := sorted(map(str, told["mismatched_keys"])):
        raise ValueError(f"weights do not fit the config: {', '.join(other[:3])}")
    return model


def _class_of(files: ModelFiles) -> Any:
    import transformers

    if files.is_gguf:
        return transformers.AutoModelForCausalLM
    config = json.loads((files.path / "config.json").read_text("utf-8"))
    name = (config.get("architectures") or ["AutoModelForCausalLM"])[0]
    made = getattr(transformers, name, None)
    if made is None:
        raise ValueError(f"transformers {transformers.__version__} does not know the architecture {name!r}")
    return made


def _with_adapter(model: Any, files: ModelFiles, device: Device) -> Any:
    if files.adapter is None:
        return model
    try:
        from peft import PeftModel
    except ImportError as error:
        raise EngineUnavailable("An adapter needs peft: pip install 'qwendesk[transformers]'") from error
    adapted = PeftModel.from_pretrained(model, str(files.adapter))
    # merged weights are as fast as plain ones; quantized weights cannot be merged without loss
    return adapted if device.quantize else adapted.merge_and_unload()


def _where(files: ModelFiles) -> dict[str, Any]:
    if files.is_gguf:
        return {"pretrained_model_name_or_path": str(files.path.parent), "gguf_file": files.path.name}
    return {"pretrained_model_name_or_path": str(files.path)}


@contextmanager
def _errors(files: ModelFiles) -> Iterator[None]:
    try:
        yield
    except EngineUnavailable:
        raise
    except Exception as error:  # transformers, safetensors, tokenizers and gguf have no common error class
        what = reason(error)
        raise EngineUnavailable(
            f"transformers cannot load {files.card.name!r}: the files at {str(files.path)!r} are truncated, broken "
            f"or of an unknown kind ({what}). Download them again, or use another model."
        ) from error
