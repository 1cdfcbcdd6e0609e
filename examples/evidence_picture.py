"""Lay the heat map of a sentence over the slice that it points at, and save the picture.

    python examples/evidence_picture.py [OUT.png]

A heat map has the resolution of the model's patches (tens of millimetres), and lies on the scan
through an affine in RAS mm. Here each voxel of the slice takes the value of the patch it lies in.
"""

from __future__ import annotations

import sys

import numpy as np
from PIL import Image
from scipy.ndimage import affine_transform

from napari_ct_assistant import load_assistant
from napari_ct_assistant.phantoms import make_phantom

out = sys.argv[1] if len(sys.argv) > 1 else "evidence.png"
volume = make_phantom(7, findings=["Pleural effusion"]).volume
draft = load_assistant("demo").read(volume).draft_report()
placed = [
    (sentence, heat)
    for sentence, heat in zip(draft.sentences, draft.heat, strict=True)
    if heat is not None and sentence.slice is not None and sentence.support is not None
]
# The sentence that the image supports most: log-likelihood with the image minus without it.
sentence, heat = max(placed, key=lambda pair: pair[0].support)
print(f"{sentence.text} (slice {sentence.slice})")

# From an index of the scan to an index of the heat map, through RAS mm.
to_heat = np.linalg.inv(heat.affine) @ volume.affine
heat_of_slice = affine_transform(
    heat.values,
    to_heat[:3, :3],
    offset=to_heat[:3, 3] + to_heat[:3, 0] * sentence.slice,
    output_shape=(1, *volume.shape[1:]),
    order=1,
)[0]

# Soft-tissue window (level 40 HU, width 400 HU); rows run to the back, columns to the left.
grey = np.clip((volume.hu[sentence.slice].astype(float) + 160) / 400, 0, 1)
rgb = np.stack([grey, grey * (1 - 0.6 * heat_of_slice), grey * (1 - 0.8 * heat_of_slice)], axis=-1)
Image.fromarray((255 * rgb).astype(np.uint8)).save(out)
print(f"wrote {out}")
