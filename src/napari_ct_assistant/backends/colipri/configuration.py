"""Sizes and preparation of a COLIPRI folder, from its `config.json` and its tensors.

The published repository holds weights only; its sizes are in the package `colipri` (0.1.3), as
Hydra settings. `config.json` here is either ours (`model_type` "colipri") or these settings as
JSON, with the processor's under "processor". Importing this module brings no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from napari_ct_assistant.backends.loading.shapes import Shapes
from napari_ct_assistant.model.errors import ModelLoadError
from napari_ct_assistant.support.translation import said

MODEL_TYPE: Final = "colipri"
PACKAGE_MODEL: Final = "colipri.model.multimodal.Model"
IMAGE: Final = "image_encoder."
TEXT: Final = "text_encoder."
# Of the encoder's own training only.
UNUSED: Final = (f"{IMAGE}backbone.mask_token",)
TEMPERATURE: Final = "softmax_temperature"
ORIENTATIONS: Final = ("RAS", "SAR")

# The released COLIPRI-CRM.
INPUT_SIZE: Final = 192
NUM_HEADS: Final = 12
SPACING: Final = 2.0
MAX_TOKENS: Final = 512


@dataclass(frozen=True)
class Preparation:
    """How a scan becomes the model's input.

    Attributes
    ----------
    orientation : "RAS" or "SAR"
        Order of the input's axes. Releases differ, and cubes do not show it.
    spacing : float
        mm between voxels.
    input_size : int
        Voxels of the cube's edge.
    """

    orientation: str = "RAS"
    spacing: float = SPACING
    input_size: int = INPUT_SIZE


@dataclass(frozen=True)
class TextSizes:
    """Sizes of the text side: a stock BERT without pooler, and attention pooling."""

    vocabulary: int
    width: int
    depth: int
    num_heads: int
    intermediate: int
    positions: int
    pooler_heads: int


@dataclass(frozen=True)
class ColipriSizes:
    """Sizes of the network.

    Attributes
    ----------
    input_size, patch_size : int
        Voxels of the cube's edge and of a patch's.
    embed_dim, depth, num_heads, mlp_hidden : int
        Of the trunk.
    projection_dim, pooler_heads : int
        Of what is compared with text.
    text : TextSizes or None
        None for a folder without the text side.
    """

    input_size: int
    patch_size: int
    embed_dim: int
    depth: int
    num_heads: int
    mlp_hidden: int
    projection_dim: int
    pooler_heads: int
    text: TextSizes | None = None

    @property
    def grid(self) -> int:
        """Tokens along each edge of the cube."""
        return self.input_size // self.patch_size

    @property
    def num_tokens(self) -> int:
        """Tokens of one volume."""
        return self.grid**3


def is_colipri(config: Mapping[str, Any]) -> bool:
    """Return whether a `config.json` describes COLIPRI."""
    return config.get("model_type") == MODEL_TYPE or config.get("_target_") == PACKAGE_MODEL


def preparation(config: Mapping[str, Any], name: str) -> Preparation:
    """Return how a folder's scans are prepared.

    Raises
    ------
    ModelLoadError
        If the folder does not say in which order the axes go, or says something impossible.
    """
    stated = config.get("preprocessing", config.get("processor"))
    stated = stated if isinstance(stated, Mapping) else {}
    orientation = stated.get("orientation")
    if orientation not in ORIENTATIONS:
        raise ModelLoadError(
            said(
                "{name}: config.json says orientation {orientation} under preprocessing; give "
                "'RAS' (colipri 0.1.2 and later) or 'SAR' (0.1.0), as the weights were trained",
                name=name,
                orientation=repr(str(orientation)[:20]),
            )
        )
    spacing = stated.get("spacing", SPACING)
    if type(spacing) not in (int, float) or not 0.1 <= spacing <= 20:
        raise ModelLoadError(
            said(
                "{name}: config.json says spacing {spacing}, expected mm",
                name=name,
                spacing=str(spacing)[:20],
            )
        )
    size = _whole(stated.get("input_size", INPUT_SIZE), "input_size", name)
    return Preparation(orientation, float(spacing), size)


def colipri_sizes(config: Mapping[str, Any], shapes: Shapes, name: str) -> ColipriSizes:
    """Return the sizes of a folder's network.

    Parameters
    ----------
    config
        Content of `config.json`; it gives what no tensor shows: the heads, the cube's edge.
    shapes
        Of the checkpoint's tensors.
    name
        Of the model, for errors.

    Raises
    ------
    ModelLoadError
        If tensors of the encoder are missing or do not fit `config.json`.
    """
    trunk = f"{IMAGE}backbone."
    embed = shapes.get(f"{trunk}down_projection.proj.weight")
    projector = shapes.get(f"{IMAGE}projector.weight")
    if embed is None or len(embed) != 5 or projector is None:
        raise ModelLoadError(
            said(
                "{name}: the checkpoint has no tensors of COLIPRI's image encoder ({image}*); "
                "copy the model again",
                name=name,
                image=IMAGE,
            )
        )
    image, text = _heads(config, name)
    size = preparation(config, name).input_size
    dim, patch = embed[0], embed[2]
    if tuple(embed[2:]) != (patch,) * 3 or size % patch:
        raise ModelLoadError(
            said(
                "{name}: config.json says input_size {size}, which is no multiple of the "
                "encoder's patches {list}",
                name=name,
                size=size,
                list=list(embed[2:]),
            )
        )
    heads, pool = image
    if dim % heads or (dim // heads) % 6 or projector[0] % pool:
        raise ModelLoadError(
            said(
                "{name}: {heads} attention heads do not fit an encoder of width {dim} (the "
                "width of a head must be a multiple of 6), or {pool} heads the projection of "
                "{projector}",
                name=name,
                heads=heads,
                dim=dim,
                pool=pool,
                projector=projector[0],
            )
        )
    return ColipriSizes(
        size,
        patch,
        dim,
        _count(shapes, f"{trunk}eva.blocks.", ".norm1.weight"),
        heads,
        shapes.get(f"{trunk}eva.blocks.0.mlp.fc1_g.weight", (0,))[0],
        projector[0],
        pool,
        _text_sizes(shapes, text, name),
    )


def _heads(config: Mapping[str, Any], name: str) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the heads of trunk and pooler, image side and text side."""
    if config.get("_target_") == PACKAGE_MODEL:
        image, text = _part(config, "image_encoder"), _part(config, "text_encoder")
        bert = _part(_part(text, "backbone"), "config")
        stated = (
            _part(image, "backbone").get("eva_numheads"),
            _part(image, "pooler").get("num_heads"),
            bert.get("num_attention_heads"),
            _part(text, "pooler").get("num_heads"),
        )
    else:
        image, text = _part(config, "image_encoder"), _part(config, "text_encoder")
        stated = (
            image.get("num_heads"),
            image.get("pooler_heads"),
            text.get("num_heads"),
            text.get("pooler_heads"),
        )
    a, b, c, d = (NUM_HEADS if n is None else _whole(n, "num_heads", name) for n in stated)
    return (a, b), (c, d)


def _text_sizes(shapes: Shapes, heads: tuple[int, int], name: str) -> TextSizes | None:
    if not any(key.startswith(TEXT) for key in shapes):
        return None
    bert = f"{TEXT}backbone."
    words = shapes.get(f"{bert}embeddings.word_embeddings.weight", (0, 0))
    places = shapes.get(f"{bert}embeddings.position_embeddings.weight", (0, 0))
    if len(words) != 2 or not words[1] or words[1] % heads[0] or words[1] % heads[1]:
        raise ModelLoadError(
            said(
                "{name}: {heads} attention heads do not fit the text side's embeddings {list}",
                name=name,
                heads=heads[0],
                list=list(words),
            )
        )
    return TextSizes(
        words[0],
        words[1],
        _count(shapes, f"{bert}encoder.layer.", ".output.dense.weight"),
        heads[0],
        shapes.get(f"{bert}encoder.layer.0.intermediate.dense.weight", (0,))[0],
        places[0],
        heads[1],
    )


def _count(shapes: Shapes, before: str, after: str) -> int:
    depth = 0
    while f"{before}{depth}{after}" in shapes:
        depth += 1
    return depth


def _part(config: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    part = config.get(key)
    return part if isinstance(part, Mapping) else {}


def _whole(value: Any, key: str, name: str) -> int:
    if type(value) is not int or not 0 < value <= 1024:
        raise ModelLoadError(
            said(
                "{name}: config.json says {key} {value}, expected a whole number",
                name=name,
                key=key,
                value=str(value)[:40],
            )
        )
    return value
