"""Tensor names of the releases, and the published names of the encoder within them.

| release | the encoder's tensors |
| --- | --- |
| Merlin | `encode_image.i3_resnet.` + name |
| Merlin's five-year model, the file on PyPI | name |
| Merlin's report model | `encode_image.vision_model.features.{0,1,4-7}.` + rest |
| Astra | `visual_encoder.model.encode_image.i3_resnet.` + name |
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from napari_ct_assistant.backends.i3resnet.network.sizes import CLASSIFIER, CONTRASTIVE, is_counter
from napari_ct_assistant.backends.i3resnet.releases import ASTRA, MERLIN, MERLIN_FIVE_YEAR
from napari_ct_assistant.model.errors import ModelLoadError, listing
from napari_ct_assistant.support.translation import said

ASTRA_PREFIX: Final = "visual_encoder.model.encode_image.i3_resnet."
WRAPPER: Final = "module."  # of models trained on several GPUs
_FEATURES: Final = {
    "0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4",
}  # fmt: skip
_OTHER: Final = (
    "encode_text.", "logit_scale", "adapter.", "decode_text.", "perceiver.", "llama_proj.",
    "layer_norm.", "language_model.", "embed_tokens.",
)  # fmt: skip
_HEADS: Final = (f"{CLASSIFIER}.", f"{CONTRASTIVE}.")
_ENCODER: Final = re.compile(r"^(?P<prefix>(?:[\w.]+\.)?)(?P<stem>conv1|features\.0)\.weight$")
GENERATOR: Final = ("perceiver.", "llama_proj.", "layer_norm.")


@dataclass(frozen=True)
class EncoderKeys:
    """Where the encoder is in a release.

    Attributes
    ----------
    release : str
        A key of `RELEASES`.
    mapped : mapping
        Stored name -> published name, batch counters left out.
    others : tuple of str
        Tensors of the release that the encoder does not use.
    """

    release: str
    mapped: Mapping[str, str]
    others: tuple[str, ...]


def unwrapped(key: str) -> str:
    """Return a tensor's name without the wrapper of a distributed training."""
    return key.removeprefix(WRAPPER)


def has_encoder(shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """Return whether there is an I3ResNet among tensors."""
    return _prefix(shapes) is not None


def has_generator(keys: Iterable[str]) -> bool:
    """Return whether there are the parts of Astra's report generator among tensors."""
    names = [unwrapped(key) for key in keys]
    return all(any(name.startswith(part) for name in names) for part in GENERATOR)


def encoder_keys(shapes: Mapping[str, tuple[int, ...]]) -> EncoderKeys:
    """Return where the encoder is among the tensors of a release.

    Raises
    ------
    ModelLoadError
        If there is none, or a tensor is unknown.
    """
    prefix = _prefix(shapes)
    if prefix is None:
        raise ModelLoadError(said("holds no I3ResNet: no first convolution of 3 x 7 x 7 voxels"))
    mapped: dict[str, str] = {}
    others: list[str] = []
    unknown: list[str] = []
    for key in shapes:
        own = unwrapped(key)
        if own.startswith(prefix):
            name = own.removeprefix(prefix)
            if name.startswith("features."):
                _, number, rest = name.split(".", 2)
                name = f"{_FEATURES.get(number, number)}.{rest}"
            if not prefix and name.startswith(_OTHER):
                others.append(key)
            elif prefix == ASTRA_PREFIX and name.startswith(_HEADS):
                others.append(key)  # of Merlin; they do not fit the fine-tuned encoder
            elif not is_counter(name):
                mapped[key] = name
        elif own.startswith(_OTHER):
            others.append(key)
        else:
            unknown.append(key)
    if unknown:
        raise ModelLoadError(
            said(
                "{count} unknown tensor(s): {listing}",
                count=len(unknown),
                listing=listing(sorted(unknown), 4),
            )
        )
    return EncoderKeys(_release(prefix, mapped.values()), mapped, tuple(others))


def _prefix(shapes: Mapping[str, tuple[int, ...]]) -> str | None:
    for key, shape in shapes.items():
        match = _ENCODER.match(unwrapped(key))
        if match and len(shape) == 5 and tuple(shape[1:]) == (3, 3, 7, 7):
            return match["prefix"]
    return None


def _release(prefix: str, names: Iterable[str]) -> str:
    if prefix.startswith("visual_encoder."):
        return ASTRA
    if prefix:
        return MERLIN
    # Without a prefix: the five-year model has a classifier only, what Merlin's class saved both.
    heads = {name.split(".")[0] for name in names}
    if CLASSIFIER not in heads:
        return ASTRA
    return MERLIN if "contrastive_head" in heads else MERLIN_FIVE_YEAR
