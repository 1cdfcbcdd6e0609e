"""Which model ran a job, on which device, and how fast its text came."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_ct_assistant.assistant import ModelInfo
    from napari_ct_assistant.volume import ModelGrid

TextCallback = Callable[[str], None]


@dataclass
class RunRecord:
    """Which model ran a job, on which device, and how fast its text came.

    Attributes
    ----------
    info : ModelInfo
    device : str
        Empty where the model does not name one.
    warnings : tuple of str
        What the reader must know about this model on this scan.
    waited_s : float
        Seconds for loading the model and encoding the scan, before the job itself.
    first_text_s : float or None
        Seconds from the start of the job itself to the first text; None while there is none.
    text_s : float
        Seconds from the first to the last piece of text.
    regions : tuple of str
        Regions of the body that the model can be pointed to.
    region : str
        The region that was read.
    grid : ModelGrid or None
        Where the model's input lies in the scan.
    slices : tuple of int
        The slices that a model which looks at single ones was shown; empty for other models.
    labels : tuple of str
        The findings of the model's screen; empty where the model does not say.
    on_reasoning : callable or None
        Gets what the model writes before its answer, piece by piece.
    free_findings : bool
        Whether the model screens for findings that the reader words.
    """

    info: ModelInfo
    device: str = ""
    warnings: tuple[str, ...] = ()
    waited_s: float = 0.0
    first_text_s: float | None = None
    text_s: float = 0.0
    regions: tuple[str, ...] = ()
    region: str = ""
    grid: ModelGrid | None = None
    labels: tuple[str, ...] = ()
    slices: tuple[int, ...] = ()
    on_reasoning: TextCallback | None = None
    free_findings: bool = False

    def timed(self, on_text: TextCallback) -> TextCallback:
        """Start the clock; return a callback that notes when text comes and passes it on."""
        began = time.perf_counter()

        def timed_text(text: str) -> None:
            now = time.perf_counter() - began
            if self.first_text_s is None:
                self.first_text_s = now
            self.text_s = now - self.first_text_s
            on_text(text)

        return timed_text
