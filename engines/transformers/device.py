"""Where a model runs and in which numbers, and how much memory there is for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import psutil
import torch

from qwendesk.errors import EngineError
from qwendesk.settings import Settings

_SHARE = 0.8
"""Part of the free memory that models may take."""


@dataclass(frozen=True, slots=True)
class Place:
    """A device, and the numbers that weights are kept in there."""

    device: str
    dtype: torch.dtype
    quantize: Literal["8bit", "4bit"] | None = None

    @classmethod
    def chosen(cls, settings: Settings) -> Place:
        """Return what the settings say, else the best there is.

        Raises:
            EngineError: the settings ask for what this machine does not have.
        """
        device = settings.device or _best_device()
        if device.startswith("cuda") and not torch.cuda.is_available():
            raise EngineError(f"There is no device {device!r} here: unset QWENDESK_DEVICE to take what there is.")
        if settings.quantize and not device.startswith("cuda"):
            raise EngineError(
                f"Weights of {settings.quantize} need an NVIDIA GPU, and the device is {device!r}: unset "
                "QWENDESK_QUANTIZE, or use a quantised GGUF file with the engine 'llamacpp'."
            )
        named = settings.dtype
        dtype: torch.dtype = getattr(torch, named) if named else _best_dtype(device)
        return cls(device, dtype, settings.quantize)

    @property
    def bytes_per_parameter(self) -> float:
        """Memory of one weight."""
        return {"8bit": 1.1, "4bit": 0.6}.get(self.quantize or "", float(self.dtype.itemsize))

    def free_bytes(self) -> int:
        """Return the memory that a model may take here now."""
        if self.device.startswith("cuda"):
            free = torch.cuda.mem_get_info(self.device)[0]
        else:
            free = psutil.virtual_memory().available
        return int(free * _SHARE)

    def quantization(self) -> Any:
        """Return transformers' settings for smaller weights; None: they stay as they are."""
        if self.quantize is None:
            return None
        import transformers

        try:
            import bitsandbytes  # noqa: F401 - asked for here, so that the error says how to get it
        except ImportError as error:
            raise EngineError("QWENDESK_QUANTIZE needs bitsandbytes: pip install bitsandbytes") from error
        made: Any = transformers.BitsAndBytesConfig
        if self.quantize == "8bit":
            return made(load_in_8bit=True)
        return made(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16,
        )


def _best_device() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _best_dtype(device: str) -> torch.dtype:
    if device.startswith("cuda"):
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    if device.startswith("mps"):
        return torch.float16
    # torch names these tests with an underscore; without them, float32 is always right
    native = [getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")]
    return torch.bfloat16 if any(test and test() for test in native) else torch.float32
