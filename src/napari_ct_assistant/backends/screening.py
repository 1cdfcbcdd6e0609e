"""What a model that screens for findings, but writes no text, makes of a scan.

An encoder gives scores for findings and their places. Its backend is a `ScreeningBackend`, and
what it makes of a scan a `ScreeningContext`; `Reading` takes both as it takes those of a model
that writes. Importing this module brings no torch.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from napari_ct_assistant.backends.heat_map import Evidence
from napari_ct_assistant.backends.model_info import ModelInfo
from napari_ct_assistant.backends.prepared_scan import (
    Capabilities,
    PreparedScan,
    Progress,
    View,
)
from napari_ct_assistant.backends.settings import GenerationSettings
from napari_ct_assistant.support.errors import CTAssistantError
from napari_ct_assistant.support.translation import said
from napari_ct_assistant.volume import CTVolume

NO_TEXT: Final = (
    "{name} screens for findings and writes no text: press Findings, or choose another model for "
    "reports and answers."
)


class WritesNoTextError(CTAssistantError):
    """A report or an answer was asked of a model that only screens for findings."""

    def __init__(self, name: str) -> None:
        super().__init__(
            said(
                "{name}: this model screens for findings and writes no text; use `screen`, or "
                "another model for reports and answers",
                name=name,
            )
        )


@dataclass(frozen=True)
class FindingScore:
    """What a screening model says of one finding: a calibrated probability, or only a margin.

    Attributes
    ----------
    name : str
        The finding.
    probability : float or None
        None where the model's scores are not calibrated; then there is a margin.
    margin : float or None
        How much closer the scan is to the finding than to its absence. Findings can be ranked by
        it; it is no probability.
    baseline : float or None
        The same number for no scan.
    threshold : float or None
        From this probability on, the finding counts as present.
    """

    name: str
    probability: float | None = None
    margin: float | None = None
    baseline: float | None = None
    threshold: float | None = None


class ScreeningContext(ABC):
    """One scan, encoded once, as a screening model sees it.

    Attributes
    ----------
    scan : PreparedScan
    notes : tuple of str
        What the reader should know about the scan as the model encodes it.
    seconds : dict
        Time to encode the scan: "encode".
    vision_tokens : Tensor [1, N, C]
        The encoder's output for the scan.
    """

    scan: PreparedScan
    notes: tuple[str, ...] = ()
    seconds: dict[str, float]
    vision_tokens: Any

    @abstractmethod
    def scores(
        self, findings: Sequence[str] = (), *, cancel: threading.Event | None = None
    ) -> list[FindingScore]:
        """Return a score for each of the model's findings, in its order.

        Parameters
        ----------
        findings
            Score these instead, in the reader's words (`Capabilities.free_findings`).
        cancel
            Set it to stop; the findings scored so far are returned.
        """

    @abstractmethod
    def locate(self, finding: str) -> Evidence:
        """Return where in the scan a finding's score comes from."""

    @abstractmethod
    def without_image(self) -> ScreeningContext:
        """Return the context of no scan: the same for every patient."""

    def checks(self, *, cancel: threading.Event | None = None) -> tuple[str, ...]:  # noqa: ARG002
        """Return what a test of the model on this scan showed, a line each; () without tests."""
        return ()


class ScreeningBackend(ABC):
    """A loaded model that only screens for findings; a `Backend` whose contexts write no text."""

    info: ModelInfo
    model: Any
    processor: Any

    @property
    def settings(self) -> GenerationSettings:
        """No text is generated: the defaults."""
        return GenerationSettings()

    @property
    @abstractmethod
    def device(self) -> str:
        """Where the model is, such as "cpu" or "cuda:0"."""

    @property
    @abstractmethod
    def capabilities(self) -> Capabilities:
        """What the model can do; its `text` is False."""

    def with_settings(self, settings: GenerationSettings) -> ScreeningBackend:  # noqa: ARG002
        """Return the same model: settings of generation have no effect on it."""
        return self

    @abstractmethod
    def prepare(self, volume: CTVolume, view: View) -> PreparedScan:
        """Make the model's input for a part of a scan."""

    @abstractmethod
    def encode(
        self,
        scan: PreparedScan,
        *,
        progress: Progress | None = None,
        cancel: threading.Event | None = None,
    ) -> ScreeningContext:
        """Encode a scan once.

        Raises
        ------
        EncodingStopped
            If `cancel` was set before the end.
        """

    def finding_question(self, finding: str) -> str:
        """Return the finding itself: a screening model is asked no question."""
        return finding

    def choices_question(self, question: str, choices: Sequence[str]) -> str:  # noqa: ARG002
        """Raise `WritesNoTextError`: a screening model makes no choice."""
        raise WritesNoTextError(self.info.name)
