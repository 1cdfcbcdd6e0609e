"""Sizes of an NV-Reason-CT checkpoint, read from its `config.json` and its tensors.

Importing it brings no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from napari_ct_assistant.model.errors import ModelLoadError
from napari_ct_assistant.support.translation import said

Triple = tuple[int, int, int]
Shapes = Mapping[str, tuple[int, ...]]

ARCHITECTURE: Final = "VLM3D_ForConditionalGeneration"
ENCODER: Final = "model.vision3d.sub_vision."
MERGER: Final = "model.vision3d.merger."
LANGUAGE: Final = "model.language_model."
# In the checkpoint, but on no path from a CT to a text: the 2D tower of Qwen3.5, a copy of the
# embeddings, and what only the encoder's own training used.
UNUSED: Final = ("model.visual.", "lm_head.", f"{ENCODER}mask_token")

NUM_HEADS: Final = 12  # of the published encoder; neither in config.json nor in a tensor's shape
INPUT_SHAPE: Final = (192, 192, 192)
PATCH_SIZE: Final = (8, 8, 8)
PIXDIM: Final = (2.0, 2.0, 2.0)


@dataclass(frozen=True)
class EncoderSizes:
    """Sizes of encoder and merger.

    Attributes
    ----------
    input_shape, patch_size : (T, H, W)
        z, y, x.
    embed_dim, depth, num_heads, mlp_hidden, out_hidden_size : int
    """

    input_shape: Triple
    patch_size: Triple
    embed_dim: int
    depth: int
    num_heads: int
    mlp_hidden: int
    out_hidden_size: int

    @property
    def grid(self) -> Triple:
        """Tokens along (T, H, W)."""
        t, h, w = (n // p for n, p in zip(self.input_shape, self.patch_size, strict=True))
        return t, h, w

    @property
    def num_tokens(self) -> int:
        """Tokens of one volume."""
        t, h, w = self.grid
        return t * h * w


def is_nv_reason_ct(config: Mapping[str, Any]) -> bool:
    """Return whether a `config.json` describes an NV-Reason-CT checkpoint."""
    architectures = config.get("architectures")
    named = isinstance(architectures, list) and ARCHITECTURE in architectures
    return config.get("model_type") == "qwen3_5" and (named or "vit3d_input_shape" in config)


def encoder_sizes(config: Mapping[str, Any], shapes: Shapes, name: str) -> EncoderSizes:
    """Return the sizes of the encoder.

    Parameters
    ----------
    config
        Content of `config.json`.
    shapes
        Of the checkpoint's tensors.
    name
        Of the model, for errors.

    Raises
    ------
    ModelLoadError
        If the vision tensors are missing or do not fit each other or `config.json`.
    """
    embed = shapes.get(f"{ENCODER}down_projection.proj.weight")
    if embed is None or len(embed) != 5:
        raise ModelLoadError(
            said(
                "{name}: the checkpoint has no tensors of the CT encoder ({encoder}*), so it "
                "cannot see a scan; download the whole model again",
                name=name,
                encoder=ENCODER,
            )
        )
    input_shape = _triple(config, "vit3d_input_shape", INPUT_SHAPE, name)
    patch = _triple(config, "vit3d_patch_embed_size", PATCH_SIZE, name)
    if tuple(embed[2:]) != patch:
        raise ModelLoadError(
            said(
                "{name}: config.json says vit3d_patch_embed_size {list}, the encoder's tensors "
                "have {list2}; the folder holds parts of different models",
                name=name,
                list=list(patch),
                list2=list(embed[2:]),
            )
        )
    if any(n % p for n, p in zip(input_shape, patch, strict=True)):
        raise ModelLoadError(
            said(
                "{name}: config.json says vit3d_input_shape {list}, which is no multiple of "
                "its patches {list2}",
                name=name,
                list=list(input_shape),
                list2=list(patch),
            )
        )
    dim = embed[0]
    depth = 0
    while f"{ENCODER}eva.blocks.{depth}.norm1.weight" in shapes:
        depth += 1
    hidden = shapes.get(f"{ENCODER}eva.blocks.0.mlp.fc1_g.weight", (0,))[0]
    out = shapes.get(f"{MERGER}linear_fc2.weight", (0,))[0]
    own = config.get("vit3d_tiny")
    heads = own.get("num_heads") if isinstance(own, Mapping) else None
    heads = NUM_HEADS if heads is None else heads
    if not isinstance(heads, int) or heads < 1 or dim % heads or (dim // heads) % 6:
        raise ModelLoadError(
            said(
                "{name}: {heads} attention heads do not fit an encoder of width {dim} (the "
                "width of a head must be a multiple of 6)",
                name=name,
                heads=repr(heads),
                dim=dim,
            )
        )
    return EncoderSizes(input_shape, patch, dim, depth, heads, hidden, out)


def image_processor_sizes(
    settings: Mapping[str, Any], sizes: EncoderSizes, name: str
) -> tuple[float, float, float]:
    """Return the spacing (x, y, z) in mm of `image_processor_3d/preprocessor_config.json`.

    Raises
    ------
    ModelLoadError
        If the file describes another input than `config.json`.
    """
    file = "image_processor_3d/preprocessor_config.json"
    # Voxels are counted x, y, z there and z, y, x in config.json.
    wanted = {
        "spatial_size": list(sizes.input_shape[::-1]),
        "final_grid_size": list(sizes.grid),
        "merge_size": 1,
        "normalize_mode": "ct",
    }
    for key, value in wanted.items():
        stated = settings.get(key, value)
        # Published files are of cubes: the order of three sizes cannot be told from them.
        if stated != value and stated != (value[::-1] if isinstance(value, list) else value):
            raise ModelLoadError(
                said(
                    "{name}: {file} says {key} {stated}, the encoder needs {value}; the folder "
                    "holds parts of different models",
                    name=name,
                    file=file,
                    key=key,
                    stated=str(stated)[:60],
                    value=value,
                )
            )
    stated = settings.get("pixdim", list(PIXDIM))
    fits = isinstance(stated, list) and len(stated) == 3
    if not fits or not all(isinstance(n, int | float) and 0.1 <= n <= 20 for n in stated):
        raise ModelLoadError(
            said(
                "{name}: {file} says pixdim {stated}, expected three mm",
                name=name,
                file=file,
                stated=str(stated)[:60],
            )
        )
    return float(stated[0]), float(stated[1]), float(stated[2])


def _triple(config: Mapping[str, Any], key: str, default: Triple, name: str) -> Triple:
    """Return three whole numbers from 1 to 1024."""
    value = config.get(key, default)
    fits = isinstance(value, list | tuple) and len(value) == 3
    if not fits or not all(type(n) is int and 0 < n <= 1024 for n in value):
        raise ModelLoadError(
            said(
                "{name}: config.json says {key} {value}, expected three whole numbers",
                name=name,
                key=key,
                value=str(value)[:60],
            )
        )
    a, b, c = value
    return a, b, c
