"""How COLIPRI folders are recognised. Importing it brings no torch."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Final

from napari_ct_assistant.backends.colipri.configuration import (
    UNUSED,
    ColipriSizes,
    colipri_sizes,
    is_colipri,
)
from napari_ct_assistant.backends.family import Family
from napari_ct_assistant.backends.loading.shapes import Shapes
from napari_ct_assistant.backends.loading.sizes import Counts, header_shapes
from napari_ct_assistant.model.errors import ModelLoadError

HUB_ID: Final = "microsoft/colipri"
# Of the repository of the text side, whose code is not run.
TEXT_FILES: Final = ("vocab.txt", "tokenizer_config.json")
TRAINED_ON: Final = "chest CT volumes and reports (CT-RATE and NLST), without labels"
NOTICE: Final = (
    "COLIPRI is for research only. It ranks findings by comparing the scan with words; its scores "
    "are no probabilities and no diagnosis."
)


def model_counts(shapes: Shapes, sizes: ColipriSizes) -> tuple[Counts, int]:
    """Return the values of a model, and its tokens with what is held for each while it runs."""
    values = sum(math.prod(shape) for key, shape in shapes.items() if key not in UNUSED)
    # Of a block: its input, the norm, q, k, v in two forms, the scores' sum.
    return Counts(values, linear=0, cached=10 * sizes.embed_dim, copies=1), sizes.num_tokens


def count_folder(folder: Path) -> tuple[Counts, int] | None:
    """Return `model_counts` of a folder; None for a broken one."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        shapes = header_shapes(folder)
        return model_counts(shapes, colipri_sizes(config, shapes, folder.name))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ModelLoadError):
        return None


COLIPRI: Final = Family(
    name="COLIPRI",
    module="napari_ct_assistant.backends.colipri.loading",
    matches=is_colipri,
    about=lambda _: (TRAINED_ON, NOTICE),
    count=count_folder,
    files=("model.safetensors", "config.json", "vocab.txt", "tokenizer_config.json", "LICENSE*",
           "README.md"),
    writes_text=False,
)  # fmt: skip
