"""The protocol of a backend: what a family of models does so that a scan can be read with it.

A `Backend` is a loaded model of one family. It prepares a scan and encodes it once; the result is
an `ImageContext`, which renders questions, generates answers, scores statements and finds their
evidence. Readings, the panel, the command line, audits and evaluation use these two protocols
alone. A model that writes no text has a `backends.screening.ScreeningContext` in place of the
`ImageContext`. docs/adding-a-model.md is the guide. Importing this module brings no torch.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from napari_ct_assistant.backends.heat_map import Evidence
from napari_ct_assistant.backends.model_info import ModelInfo
from napari_ct_assistant.backends.prepared_scan import (
    Capabilities,
    EncodingStopped,
    PreparedScan,
    Progress,
    View,
)
from napari_ct_assistant.backends.screening import ScreeningContext
from napari_ct_assistant.backends.settings import GenerationSettings
from napari_ct_assistant.volume import CTVolume

__all__ = [
    "Backend",
    "Capabilities",
    "EncodingStopped",
    "GeneratedText",
    "ImageContext",
    "OnText",
    "PreparedScan",
    "Progress",
    "Prompt",
    "ScreenQuestion",
    "Statement",
    "View",
]

OnText = Callable[[str], None]


@dataclass(frozen=True)
class Prompt:
    """A question as a family's model reads it.

    Attributes
    ----------
    ids : list of int
        Token ids that follow the image.
    history_turns : int
        Earlier questions that are part of it.
    region_used : bool
        Whether a drawn region is part of it.
    text_only : bool
        The question quotes all that is needed: the image is left out.
    thinking : bool
        Whether the answer begins with reasoning.
    """

    ids: list[int]
    history_turns: int = 0
    region_used: bool = False
    text_only: bool = False
    thinking: bool = False


@dataclass(frozen=True)
class GeneratedText:
    """What one call generated.

    Attributes
    ----------
    text : str
        Without reasoning and labels.
    ids : list of int
        All its tokens, without the one that ends an answer.
    seconds_first_token : float
    stopped : bool
        Whether it was cancelled before its end.
    cut : bool
        Whether it ended without the token that ends an answer, though nobody cancelled it: at
        the limit on tokens, or at the end of the context window.
    reasoning : str
        What the model wrote before its answer.
    labels : tuple of str or None
        Findings that the model lists at the end as its result; None if it lists none.
    """

    text: str
    ids: list[int]
    seconds_first_token: float
    stopped: bool
    cut: bool = False
    reasoning: str = ""
    labels: tuple[str, ...] | None = None


@dataclass(frozen=True)
class ScreenQuestion:
    """A question of the screen.

    Attributes
    ----------
    name : str
        The finding.
    question : str
    threshold : float
        Probability from which on the finding counts as present.
    """

    name: str
    question: str
    threshold: float = 0.5


Statement = tuple[Prompt, list[int]]  # a question, and the token ids of an answer to it


class ImageContext(Protocol):
    """One scan, encoded once, as all questions about it share it.

    A call leaves it as it was: the second question is answered as if it were the first.

    Attributes
    ----------
    scan : PreparedScan
    notes : tuple of str
        What the reader should know about the scan as the model encodes it.
    seconds : dict
        Time to encode the scan and to fill the context: "encode", "prefix".
    vision_tokens : Tensor [1, N, C]
        The encoder's output for the scan; None on a server.
    image_tokens : Tensor [1, n, hidden_size]
        What stands for the scan among the language model's embeddings; None on a server.
    """

    scan: PreparedScan
    notes: tuple[str, ...]
    seconds: dict[str, float]
    vision_tokens: Any
    image_tokens: Any

    def report_sections(self) -> Sequence[str]:
        """Return the names of the questions whose answers make the report, in order."""
        ...

    def report_question(self, section: str, written: Mapping[str, str]) -> tuple[str, bool]:
        """Return a report's question given the sections before it, and whether it quotes them."""
        ...

    def split_report(self, text: str) -> dict[str, str]:
        """Return the sections of a generated report by its headings."""
        ...

    def sentence_spans(self, text: str) -> list[tuple[int, int]]:
        """Return the character spans of a generated report's sentences, without headings."""
        ...

    def screen_questions(self) -> Sequence[ScreenQuestion]:
        """Return the questions of the screen, in the family's order."""
        ...

    def prompt(
        self,
        question: str,
        *,
        history: Sequence[tuple[str, str]] = (),
        choices: Sequence[str] = (),
        region: str = "",
        text_only: bool = False,
        thinking: bool | None = None,
    ) -> Prompt:
        """Render a question; `history` is used as far as it fits, the latest turns first."""
        ...

    def answer_ids(self, answer: str) -> list[int]:
        """Return the token ids of an answer, without the one that ends it."""
        ...

    def generate(
        self,
        prompt: Prompt,
        *,
        on_text: OnText | None = None,
        on_reasoning: OnText | None = None,
        cancel: threading.Event | None = None,
        settings: GenerationSettings | None = None,
    ) -> GeneratedText:
        """Generate the answer to a question; `on_text` gets each new piece of it."""
        ...

    def yes_probabilities(self, questions: Sequence[str], *, blind: bool = False) -> list[float]:
        """Return the probability of "Yes" as first token, against "No", for each question.

        With `blind`, as the model answers without an image.
        """
        ...

    def choice_probabilities(self, prompt: Prompt, choices: Sequence[str]) -> list[float]:
        """Return the probability that the answer begins by choosing each; [] if alike."""
        ...

    def supports(self, statements: Sequence[Statement]) -> list[float]:
        """Return each statement's log-likelihood with the image minus without it, in nats."""
        ...

    def attribute(
        self,
        prompt: Prompt,
        answer: Sequence[int],
        spans: Sequence[tuple[int, int]] | None = None,
    ) -> list[Evidence]:
        """Return the evidence for parts of an answer.

        Parameters
        ----------
        prompt, answer
            The question, and the answer's token ids.
        spans : list of (begin, end), optional
            Characters of `GeneratedText.text`; the whole answer when absent.
        """
        ...

    def without_image(self) -> ImageContext:
        """Return the context of the same prompt without an image: the language prior alone."""
        ...


class Backend(Protocol):
    """A loaded model of one family.

    Attributes
    ----------
    info : ModelInfo
    settings : GenerationSettings
        How answers are generated where a call does not say otherwise.
    """

    @property
    def info(self) -> ModelInfo:
        """Which model it is."""
        ...

    @property
    def settings(self) -> GenerationSettings:
        """How answers are generated where a call does not say otherwise."""
        ...

    @property
    def model(self) -> Any:
        """The network; None on a server."""
        ...

    @property
    def processor(self) -> Any:
        """What prepares scans and text for the network."""
        ...

    @property
    def device(self) -> str:
        """Where the model is, such as "cpu" or "cuda:0"."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What the family can do."""
        ...

    def with_settings(self, settings: GenerationSettings) -> Backend:
        """Return the same loaded model with other settings."""
        ...

    def prepare(self, volume: CTVolume, view: View) -> PreparedScan:
        """Make the model's input for a part of a scan.

        Raises
        ------
        ValueError
            If the family has no such region.
        """
        ...

    def encode(
        self,
        scan: PreparedScan,
        *,
        progress: Progress | None = None,
        cancel: threading.Event | None = None,
    ) -> ImageContext | ScreeningContext:
        """Encode a scan once; a model that writes no text gives a `ScreeningContext`.

        Raises
        ------
        EncodingStopped
            If `cancel` was set before the end.
        """
        ...

    def finding_question(self, finding: str) -> str:
        """Return the question whether a finding is there."""
        ...

    def choices_question(self, question: str, choices: Sequence[str]) -> str:
        """Return a multiple-choice question as one text."""
        ...
