"""How much memory an NV-Reason-CT needs, from the header of its files. Brings no torch."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from napari_ct_assistant.backends.loading.sizes import QUESTION_TOKENS, Counts, header_shapes
from napari_ct_assistant.backends.nv_reason_ct.network.configuration import (
    LANGUAGE,
    UNUSED,
    EncoderSizes,
    Shapes,
    encoder_sizes,
)
from napari_ct_assistant.model.errors import ModelLoadError

# The language model's layers that are loaded in 8 bits where that is asked for; the two small
# projections of the linear layers keep their precision.
LINEAR: Final = (
    "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj", "self_attn.q_proj", "self_attn.k_proj",
    "self_attn.v_proj", "self_attn.o_proj", "linear_attn.in_proj_qkv", "linear_attn.in_proj_z",
    "linear_attn.out_proj",
)  # fmt: skip
MAX_NEW_TOKENS: Final = 2048
COPIES: Final = 3  # of the cache: the scan's, a question's, and that of the volume of air


def model_counts(
    shapes: Shapes, config: Mapping[str, Any], sizes: EncoderSizes
) -> tuple[Counts, int]:
    """Return the values of a model and the tokens of its longest prompt and answer.

    Only full-attention layers keep something for each token; the linear layers' states are
    counted as if they were spread over the volume's tokens.
    """
    text = config.get("text_config") or {}
    linear = [
        shape
        for key, shape in shapes.items()
        if key.startswith(LANGUAGE) and key.removesuffix(".weight").endswith(LINEAR)
    ]
    kinds = text.get("layer_types") or []
    full = kinds.count("full_attention")
    head_dim = text.get("head_dim") or 0
    keys = 2 * full * head_dim * (text.get("num_key_value_heads") or 0)
    state = (
        (len(kinds) - full)
        * (text.get("linear_num_value_heads") or 0)
        * (text.get("linear_value_head_dim") or 0)
        * (text.get("linear_key_head_dim") or 0)
    )
    tokens = sizes.num_tokens + QUESTION_TOKENS + MAX_NEW_TOKENS
    counts = Counts(
        values=sum(map(math.prod, shapes.values())),
        linear=sum(map(math.prod, linear)),
        # States are kept in float32.
        cached=keys + math.ceil(2 * state / tokens),
        copies=COPIES,
    )
    return counts, tokens


def count_folder(folder: Path) -> tuple[Counts, int] | None:
    """Return `model_counts` of a folder; None for a broken one."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        found = header_shapes(folder)
        shapes = {key: shape for key, shape in found.items() if not key.startswith(UNUSED)}
        return model_counts(shapes, config, encoder_sizes(config, shapes, folder.name))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ModelLoadError):
        return None
