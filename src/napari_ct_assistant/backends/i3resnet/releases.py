"""What is published with this encoder: training data and terms. Importing it brings no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from napari_ct_assistant.backends.i3resnet.input.chains import ABDOMEN, CHEST


@dataclass(frozen=True)
class Release:
    """Weights that were published.

    Attributes
    ----------
    title : str
    chain : str
        The preparation of the scans that it was trained on.
    trained_on, licence, source : str
    """

    title: str
    chain: str
    trained_on: str
    licence: str
    source: str


ASTRA: Final = "astra"
MERLIN: Final = "merlin"
MERLIN_FIVE_YEAR: Final = "merlin_five_year"

RELEASES: Final[dict[str, Release]] = {
    ASTRA: Release(
        "Astra's image backbone",
        CHEST,
        "CT-RATE (CC BY-NC-SA 4.0), INSPECT, BIMCV, Merlin's own scans and AbdomenAtlas",
        "MIT by the authors' model card; the training data have terms of their own",
        "zzzwzh/Astra_CTRG on the Hugging Face hub",
    ),
    MERLIN: Release(
        "Merlin's image encoder",
        ABDOMEN,
        "abdomen CT of the Merlin data set (Stanford)",
        "MIT",
        "stanfordmimi/Merlin on the Hugging Face hub",
    ),
    MERLIN_FIVE_YEAR: Release(
        "Merlin's five-year disease prediction",
        ABDOMEN,
        "abdomen CT of the Merlin data set (Stanford)",
        "MIT",
        "stanfordmimi/Merlin on the Hugging Face hub",
    ),
}

NOTICE: Final = "For research only. It is no medical device; every output has to be reviewed."
