"""CT slices as image-text models read them: which ones, as RGB images, in which message.

Shared by the models that run here and by those behind a server. This package imports no torch.

>>> from napari_ct_assistant.backends.slices import find_preset, slice_input
>>> chosen = slice_input(volume, find_preset("medgemma-1.5"))  # doctest: +SKIP
>>> chosen.indices, chosen.images()[0].shape  # doctest: +SKIP
"""

from napari_ct_assistant.backends.slices.choice import SliceRange, choose_slices
from napari_ct_assistant.backends.slices.message import conversation, question_part
from napari_ct_assistant.backends.slices.preset import (
    PresetError,
    SlicePreset,
    find_preset,
    list_presets,
    read_preset,
)
from napari_ct_assistant.backends.slices.rendering import (
    RGB,
    blank_images,
    encoded,
    rgb_slice,
    through_jpeg,
)
from napari_ct_assistant.backends.slices.slice_input import SliceInput, slice_input

__all__ = [
    "RGB",
    "PresetError",
    "SliceInput",
    "SlicePreset",
    "SliceRange",
    "blank_images",
    "choose_slices",
    "conversation",
    "encoded",
    "find_preset",
    "list_presets",
    "question_part",
    "read_preset",
    "rgb_slice",
    "slice_input",
    "through_jpeg",
]
