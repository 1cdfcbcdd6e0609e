"""How RevCT folders are recognised. Importing it brings no torch."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Final

from napari_ct_assistant.backends.family import Family
from napari_ct_assistant.backends.loading.sizes import Counts, header_shapes
from napari_ct_assistant.backends.rev_ct.layout import HEADS_FILE, PATCHES, is_rev_ct

TRAINED_ON: Final = "CT-RATE's labels, on COLIPRI's frozen image encoder"
NOTICE: Final = (
    "RevCT is for research. It is no medical device; every output has to be reviewed. Its labels "
    "are CT-RATE's (CC BY-NC-SA 4.0)."
)
TOKENS: Final = 24**3


def count_folder(folder: Path) -> tuple[Counts, int] | None:
    """Return the values of a model and the tokens of a scan; None for a broken folder."""
    try:
        shapes = header_shapes(folder)
        width = next(shape[0] for key, shape in shapes.items() if key.endswith(PATCHES))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, StopIteration):
        return None
    values = sum(map(math.prod, shapes.values()))
    return Counts(values, linear=0, cached=10 * width, copies=1), TOKENS


REV_CT: Final = Family(
    name="RevCT",
    module="napari_ct_assistant.backends.rev_ct.loading",
    matches=is_rev_ct,
    about=lambda _: (TRAINED_ON, NOTICE),
    count=count_folder,
    files=("model.safetensors", "config.json", HEADS_FILE, "LICENSE*", "README.md"),
    writes_text=False,
)
