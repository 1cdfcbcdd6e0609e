"""How folders of an I3ResNet are recognised. Importing it brings no torch."""

from __future__ import annotations

from pathlib import Path

from napari_ct_assistant.backends.family import Family
from napari_ct_assistant.backends.i3resnet.folder import about, is_i3resnet
from napari_ct_assistant.backends.i3resnet.network.sizes import is_counter, values
from napari_ct_assistant.backends.loading.sizes import Counts, header_shapes

ACTIVATIONS = 320_000_000  # values that are held at a time for the published input


def count_folder(folder: Path) -> tuple[Counts, int] | None:
    """Return the values of a folder; None for a broken one. There is no prompt: one token."""
    try:
        shapes = {k: s for k, s in header_shapes(folder).items() if not is_counter(k)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return (Counts(values(shapes), 0, ACTIVATIONS, copies=1), 1) if shapes else None


I3RESNET = Family(
    name="I3ResNet (Merlin, Astra's backbone)",
    module="napari_ct_assistant.backends.i3resnet.backend",
    matches=is_i3resnet,
    about=about,
    count=count_folder,
    writes_text=False,
)
