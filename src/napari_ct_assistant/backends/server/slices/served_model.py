"""A slice model on a server, and how scans are shown to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from napari_ct_assistant.backends.model_info import ModelInfo
from napari_ct_assistant.backends.server.agreements import Guard
from napari_ct_assistant.backends.server.client import ServerClient
from napari_ct_assistant.backends.server.sending import Sending
from napari_ct_assistant.backends.settings import GenerationSettings
from napari_ct_assistant.backends.slices import SlicePreset


@dataclass(frozen=True, eq=False)
class ServedSliceModel:
    """What contexts need of a slice model on a server.

    Attributes
    ----------
    info : ModelInfo
    settings : GenerationSettings
    preset : SlicePreset
    client : ServerClient
    served_name : str
        The model's name on the server.
    window : int
        Tokens that the server lets prompt and answer have; 0 if it does not say.
    guard : Guard
    """

    info: ModelInfo
    settings: GenerationSettings
    preset: SlicePreset
    client: ServerClient
    served_name: str
    window: int = 0
    guard: Guard = field(default_factory=Guard)

    def check_agreed(self) -> None:
        """Raise `AgreementNeededError` if nobody has agreed to send slices there."""
        self.guard.check(Sending(self.client.address.origin, "pixel data"))

    def choices_question(self, question: str, choices: Sequence[str]) -> str:
        """Return a multiple-choice question as one text."""
        listed = " ".join(f"{chr(ord('A') + i)}. {choice}" for i, choice in enumerate(choices))
        return f"{question} Choices: {listed} Answer only with the letter."
