"""What is asked about a scan as slices, here and on a server: the questions of its preset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from napari_ct_assistant.backends.protocol import PreparedScan, ScreenQuestion
from napari_ct_assistant.backends.slices.preset import SlicePreset
from napari_ct_assistant.report_text.sentences import sentence_spans


class SliceQuestions:
    """The questions of an `ImageContext` whose model looks at slices."""

    scan: PreparedScan

    @property
    def preset(self) -> SlicePreset:
        """How the model is shown a scan."""
        raise NotImplementedError

    def report_sections(self) -> Sequence[str]:
        """Return the one question of the report."""
        return ["Report"]

    def report_question(self, section: str, written: Mapping[str, str]) -> tuple[str, bool]:  # noqa: ARG002  one question
        """Return the preset's question for the report; it quotes nothing."""
        return self.preset.report(self.scan.region), False

    def split_report(self, text: str) -> dict[str, str]:
        """Return the report as one section: no headings are known of such models."""
        return {"Report": text.strip()}

    def sentence_spans(self, text: str) -> list[tuple[int, int]]:
        """Return the character spans of a report's sentences."""
        return sentence_spans(text)

    def screen_questions(self) -> Sequence[ScreenQuestion]:
        """Return the questions for the preset's findings of the region."""
        return [
            ScreenQuestion(name, self.preset.screen_question(name))
            for name in self.preset.labels(self.scan.region)
        ]
