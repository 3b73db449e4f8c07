"""Load a model with transformers: its class by its own config, checked before it answers anybody."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from qwendesk.engines.transformers.attention import PACKED, register
from qwendesk.engines.transformers.device import Place
from qwendesk.engines.transformers.modality import Pictures, Sense, Sounds
from qwendesk.engines.transformers.model_files import Source
from qwendesk.engines.transformers.runner import PackedRunner, PlainRunner, Runner
from qwendesk.engines.transformers.vocabulary import Vocabulary
from qwendesk.errors import EngineUnavailable, reason

_ATTENDING = ("full_attention", "sliding_attention")
"""Kinds of layers whose whole memory is keys and values."""


def load_model(source: Source, place: Place) -> Any:
    """Return the model, ready for inference.

    Raises:
        EngineUnavailable: the files are broken, incomplete or of an unknown kind.
    """
    from transformers.utils import logging

    untyped: Any = logging
    untyped.set_verbosity_error()
    untyped.disable_progress_bar()
    with _errors(source):
        model = _with_adapter(_loaded(source, place), source, place)
        return model.eval().requires_grad_(False)


def load_vocabulary(source: Source, model: Any, template: str | None = None) -> Vocabulary:
    """Return the model's own tokenizer; ``template`` is a chat template that comes before its own.

    Raises:
        EngineUnavailable: it is missing or belongs to another model.
    """
    from transformers import AutoTokenizer

    with _errors(source):
        tokenizer = AutoTokenizer.from_pretrained(**_where(source), local_files_only=True)
    rows = model.get_input_embeddings().weight.shape[0]
    if len(tokenizer) > rows:
        raise EngineUnavailable(
            f"The tokenizer of {source.card.name!r} has {len(tokenizer)} tokens, its weights {rows}: it belongs to "
            "another model. Put the tokenizer.json beside the weights that came with them."
        )
    tokenizer.chat_template = template or tokenizer.chat_template
    if not tokenizer.chat_template:
        raise EngineUnavailable(
            f"{source.card.name!r} has no chat template: it is a base model. Take its Instruct one."
        )
    return Vocabulary.of(tokenizer, model.generation_config)


def make_runner(model: Any) -> Runner[Any]:
    """Return what runs the model: packed, where every layer keeps nothing but keys and values."""
    config = model.config.get_text_config()
    kinds = getattr(config, "layer_types", None) or ["full_attention"]
    if not all(kind in _ATTENDING for kind in kinds) or not _takes_attention(model):
        return PlainRunner(model)
    register()
    # a tower of the eyes or ears takes in each medium as a whole and keeps its own attention
    model.set_attn_implementation(PACKED if config is model.config else {"text_config": PACKED})
    return PackedRunner(model)


def load_sense(source: Source, model: Any, context: int) -> Sense | None:
    """Return what prepares pictures or recordings for the model; None: it neither sees nor hears.

    Raises:
        EngineUnavailable: its processor is missing or cannot be used here.
    """
    config = model.config
    with _errors(source):
        if getattr(config, "vision_config", None) is not None and hasattr(config, "image_token_id"):
            return _pictures(source, config.image_token_id, context)
        if getattr(config, "audio_config", None) is not None and hasattr(config, "audio_token_id"):
            return _sounds(source, config.audio_token_id, context)
    return None


def _pictures(source: Source, token: int, context: int) -> Pictures:
    from transformers import AutoImageProcessor

    # Pillow does it everywhere; torchvision is one more large package to keep in step with torch
    untyped: Any = AutoImageProcessor
    return Pictures(untyped.from_pretrained(str(source.path), backend="pil", local_files_only=True), token, context)


def _sounds(source: Source, token: int, context: int) -> Sounds:
    from transformers import AutoProcessor

    untyped: Any = AutoProcessor
    return Sounds(untyped.from_pretrained(str(source.path), local_files_only=True), token, context)


def _takes_attention(model: Any) -> bool:
    """Tell whether the text model can be given another attention; the whole does not always say so."""
    return any(getattr(part, "_supports_attention_backend", False) for part in (model, model.get_decoder()))


def parameters(source: Source) -> int:
    """Return how many weights the files hold, without reading them."""
    with _errors(source):
        if source.is_gguf:
            from gguf import GGUFReader

            return sum(int(tensor.n_elements) for tensor in GGUFReader(source.path).tensors)
        return sum(_parameters(file) for file in source.path.glob("*.safetensors"))


def _parameters(file: Path) -> int:
    """Read the header of a safetensors file: its length in 8 bytes, then JSON."""
    with file.open("rb") as opened:
        size = int.from_bytes(opened.read(8), "little")
        if size > file.stat().st_size:
            raise ValueError("the header is longer than the file")
        header = json.loads(opened.read(size))
    shapes = [entry["shape"] for name, entry in header.items() if name != "__metadata__"]
    return sum(int(torch.Size(shape).numel()) for shape in shapes)


def _loaded(source: Source, place: Place) -> Any:
    options = {
        "dtype": place.dtype,
        "device_map": place.device if place.device != "cuda" else "auto",
        "quantization_config": place.quantization(),
        "local_files_only": True,
        "output_loading_info": True,
    }
    options = {name: value for name, value in options.items() if value is not None}
    made = _class_of(source)
    try:
        model, told = made.from_pretrained(**_where(source), attn_implementation="sdpa", **options)
    except ValueError as error:
        if "scaled_dot_product_attention" not in str(error):
            raise
        model, told = made.from_pretrained(**_where(source), attn_implementation="eager", **options)
    if missing := sorted(told["missing_keys"]):
        raise ValueError(f"weights are missing: {', '.join(missing[:3])}{' ...' if len(missing) > 3 else ''}")
    if other := sorted(map(str, told["mismatched_keys"])):
        raise ValueError(f"weights do not fit the config: {', '.join(other[:3])}")
    return model


def _class_of(source: Source) -> Any:
    import transformers

    if source.is_gguf:
        return transformers.AutoModelForCausalLM
    config = json.loads((source.path / "config.json").read_text("utf-8"))
    name = (config.get("architectures") or ["AutoModelForCausalLM"])[0]
    made = getattr(transformers, name, None)
    if made is None:
        raise ValueError(f"transformers {transformers.__version__} does not know the architecture {name!r}")
    return made


def _with_adapter(model: Any, source: Source, place: Place) -> Any:
    if source.adapter is None:
        return model
    try:
        from peft import PeftModel
    except ImportError as error:
        raise EngineUnavailable("An adapter needs peft: pip install 'qwendesk[transformers]'") from error
    adapted = PeftModel.from_pretrained(model, str(source.adapter))
    # merged weights cost nothing at run time; those of 8 or 4 bits cannot take an adapter in without loss
    return adapted if place.quantize else adapted.merge_and_unload()


def _where(source: Source) -> dict[str, Any]:
    if source.is_gguf:
        return {"pretrained_model_name_or_path": str(source.path.parent), "gguf_file": source.path.name}
    return {"pretrained_model_name_or_path": str(source.path)}


@contextmanager
def _errors(source: Source) -> Iterator[None]:
    try:
        yield
    except EngineUnavailable:
        raise
    except Exception as error:  # transformers, safetensors, tokenizers and gguf each have errors of their own
        what = reason(error)
        raise EngineUnavailable(
            f"transformers cannot load {source.card.name!r}: the files at {str(source.path)!r} are truncated, broken "
            f"or of an unknown kind ({what}). Fetch them anew, or take another model."
        ) from error
