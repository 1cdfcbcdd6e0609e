"""One scan read by Astra: the questions are its release's, the rest is `volume_language`'s."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import zeros_like

from napari_ct_assistant.backends.astra.prompts import QUESTIONS, split_report
from napari_ct_assistant.backends.volume_language.image_context import VolumeLanguageContext


class AstraContext(VolumeLanguageContext):
    """An `ImageContext` of Astra."""

    def report_sections(self) -> Sequence[str]:
        """Return the one question of the report."""
        return ["Report"]

    def report_question(self, section: str, written: Mapping[str, str]) -> tuple[str, bool]:  # noqa: ARG002  one question
        """Return the release's question for the region; it quotes nothing."""
        return QUESTIONS[self.scan.region], False

    def split_report(self, text: str) -> dict[str, str]:
        """Return the report by region of the body."""
        return split_report(text, self.scan.region)

    def without_image(self) -> AstraContext:
        """Return the context in which every image token is zero."""
        return AstraContext(
            self.loaded, self.scan, self.vision_tokens, zeros_like(self.image_tokens), self.notes
        )
