"""Where the input of an I3ResNet lies in the scan."""

from __future__ import annotations

import math
from typing import Final

from napari_ct_assistant.backends.i3resnet.input.chains import EncoderInput
from napari_ct_assistant.backends.i3resnet.network.sizes import STRIDES
from napari_ct_assistant.backends.i3resnet.places.heat import along_the_volume
from napari_ct_assistant.volume import ModelGrid

FIXED_BOX: Final = "This model reads the middle of every scan: its box is not moved."


def input_grid(made: EncoderInput) -> ModelGrid:
    """Return where an input lies, its axes along the volume's."""
    turned, affine = along_the_volume(made.values, made.affine)
    d, h, w = turned.shape
    x, y, z = STRIDES["layer4"]
    patch = (math.gcd(d, z), math.gcd(h, y), math.gcd(w, x))
    return ModelGrid((d, h, w), patch, affine)
