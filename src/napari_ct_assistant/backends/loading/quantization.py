"""8-bit and 4-bit weights of the language model, if a quantization library is installed."""

from __future__ import annotations

import logging
from importlib.util import find_spec
from typing import Any, Final

import torch

from napari_ct_assistant.model.errors import ModelLoadError
from napari_ct_assistant.support.translation import said

# The image path is small and decides what the model sees, so it keeps full precision. These are
# the names of its modules: ours, Gemma's (3 and 4), Qwen's.
_IMAGE_PATH: Final = (
    "vision_tower", "projector", "multi_modal_projector", "embed_vision", "visual",
)  # fmt: skip
# A name is looked for at the beginning of a module's full name, so what may stand before it is
# part of the pattern.
NOT_QUANTIZED: Final = [*(rf"(?:.*\.)?{name}" for name in _IMAGE_PATH), "lm_head"]


def quantization_config(quantize: str, dtype: torch.dtype, name: str) -> Any:
    """Return transformers' configuration for loading quantized weights.

    Parameters
    ----------
    quantize : "8bit" or "4bit"
    dtype : torch.dtype
        The precision of the computation.
    name : str
        Of the model, for the error.

    Raises
    ------
    ModelLoadError
        If `quantize` is neither, or no library for it is installed.
    """
    if quantize not in {"8bit", "4bit"}:
        raise ModelLoadError(
            said(
                "{name}: quantize is {quantize}; give '8bit' or '4bit'",
                name=name,
                quantize=repr(quantize),
            )
        )
    if find_spec("accelerate") is None:
        raise ModelLoadError(
            said(
                "{name}: {quantize} weights need accelerate: pip install accelerate bitsandbytes",
                name=name,
                quantize=quantize,
            )
        )
    if find_spec("bitsandbytes") is not None:
        from transformers import BitsAndBytesConfig

        if quantize == "8bit":
            # Otherwise it logs for every layer and token that it computes in float16.
            logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)
            return BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=NOT_QUANTIZED)
        return BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_compute_dtype=dtype,
            llm_int8_skip_modules=NOT_QUANTIZED,
        )
    if find_spec("torchao") is not None:
        from torchao.quantization import Int4WeightOnlyConfig, Int8WeightOnlyConfig
        from transformers import TorchAoConfig

        kind = Int8WeightOnlyConfig() if quantize == "8bit" else Int4WeightOnlyConfig()
        return TorchAoConfig(kind, modules_to_not_convert=NOT_QUANTIZED)
    raise ModelLoadError(
        said(
            "{name}: {quantize} weights need a quantization library: pip install bitsandbytes "
            "(or torchao)",
            name=name,
            quantize=quantize,
        )
    )
