"""Compare a checkpoint's tensors with those that a network has. Importing it brings no torch."""

from __future__ import annotations

from collections.abc import Mapping

from napari_ct_assistant.model.errors import ModelLoadError, listing
from napari_ct_assistant.support.translation import said

Shapes = Mapping[str, tuple[int, ...]]


def check_shapes(found: Shapes, expected: Shapes, name: str) -> None:
    """Compare the tensors that are used with those that the sizes describe.

    Raises
    ------
    ModelLoadError
        With the tensors that are unknown, missing or of the wrong shape.
    """
    unknown = sorted(set(found) - set(expected))
    missing = sorted(set(expected) - set(found))
    wrong = [
        f"{key} is {list(shape)}, expected {list(expected[key])}"
        for key, shape in sorted(found.items())
        if key in expected and tuple(shape) != tuple(expected[key])
    ]
    for what, keys in (("unknown", unknown), ("missing", missing), ("of the wrong shape", wrong)):
        if keys:
            raise ModelLoadError(
                said(
                    "{name}: {count} tensor(s) {what}: {listing}",
                    name=name,
                    count=len(keys),
                    what=what,
                    listing=listing(keys, 4),
                )
            )
