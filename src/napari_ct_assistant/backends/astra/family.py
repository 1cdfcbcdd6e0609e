"""How Astra folders are recognised. Importing it brings no torch."""

from __future__ import annotations

from napari_ct_assistant.backends.astra.configuration import count_folder, is_astra
from napari_ct_assistant.backends.family import Family
from napari_ct_assistant.backends.i3resnet.folder import about

ASTRA = Family(
    name="Astra",
    module="napari_ct_assistant.backends.astra.loading",
    matches=is_astra,
    about=about,
    count=count_folder,
)
