"""A model whose every output names the scan that it read, and is there at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_ct_assistant.assistant import (
    Answer,
    FindingProbability,
    ModelInfo,
    ReportDraft,
    Sentence,
)
from napari_ct_assistant.backends.heat_map import Evidence, HeatMap
from napari_ct_assistant.volume import CTVolume

INFO = ModelInfo("scripted", "made-up scans", skills=("explain", "shorten", "impression"))


class ScriptedModel:
    """Loads at once, and reads a scan into its series description."""

    def __init__(self) -> None:
        self.info = INFO

    def __call__(self, model: str, **options: Any) -> ScriptedModel:
        return self

    def read(self, volume: CTVolume, **options: Any) -> ScriptedReading:
        return ScriptedReading(volume)

    def close(self) -> None:
        """Free nothing."""


class ScriptedReading:
    """One scan; `name` is what every text about it contains."""

    checks = ()

    def __init__(self, volume: CTVolume) -> None:
        self.volume, self.name = volume, volume.series
        self.warnings = (f"Warning about {self.name}.",)

    def _evidence(self) -> Evidence:
        affine = self.volume.affine @ np.diag([*(n / 2 for n in self.volume.shape), 1.0])
        values = np.ones((2, 2, 2), np.float32)
        return Evidence.of(1.0, HeatMap(values, affine), self.volume)

    def draft_report(self, *, on_text: Any = None, **options: Any) -> ReportDraft:
        found = self._evidence()
        filed = self.volume.archive_number(found.slice)
        texts = ((f"There is a nodule, {self.name}.", "Findings"), (self.name, "Impression"))
        if on_text is not None:
            on_text(f"Findings: {self.name}")
        return ReportDraft(
            sections={name: text for text, name in texts},
            sentences=tuple(
                Sentence(t, n, 1.0, found.slice, found.ras, filed.instance, filed.frame)
                for t, n in texts
            ),
            model=INFO,
            seconds={},
            tokens=3,
            stopped=False,
            created="2026-01-02T03:04:05+00:00",
            warnings=self.warnings,
            heat=(found.heat, found.heat),
        )

    def ask(self, question: str, *, on_text: Any = None, **options: Any) -> Answer:
        found = self._evidence()
        filed = self.volume.archive_number(found.slice)
        text = f"Yes, {self.name}."
        if on_text is not None:
            on_text(text)
        return Answer(
            question, text, INFO, 0.0, 0.0, 2, stopped=False, support=1.0, slice=found.slice,
            ras=found.ras, heat=found.heat, instance_number=filed.instance,
            frame_number=filed.frame,
        )  # fmt: skip

    def screen(self, **options: Any) -> list[FindingProbability]:
        return [FindingProbability(f"Lung nodule {self.name}", 0.9)]

    def finding_evidence(self, finding: str) -> Evidence:
        return self._evidence()
