"""How the words of an answer are chosen. Importing it brings no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class GenerationSettings:
    """How the tokens of an answer are chosen.

    Attributes
    ----------
    temperature : float
        0 takes the most likely token each time, so that the same scan gives the same report.
    top_p : float
        Sampling only: the smallest set of tokens whose probabilities add up to this.
    repetition_penalty : float
        1 leaves the model as it is.
    max_new_tokens : int or None
        None takes the model's own limit.
    thinking : bool or None
        Whether a model that can reason writes its reasoning before its answer; None leaves it to
        the model.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    max_new_tokens: int | None = None
    thinking: bool | None = None

    def to_generate(self, default_max: int) -> dict[str, Any]:
        """Return the keyword arguments of transformers' `generate`."""
        common: dict[str, Any] = {
            "max_new_tokens": self.max_new_tokens or default_max,
            "repetition_penalty": self.repetition_penalty,
            # A folder as training leaves it may turn the cache off; every token would then be
            # computed from the whole prompt, and the scan is in the cache only.
            "use_cache": True,
        }
        if self.temperature <= 0:
            # Greedy, whatever a checkpoint's own generation settings say.
            return common | {
                "do_sample": False,
                "temperature": None,
                "top_p": None,
                "top_k": None,
            }
        return common | {
            "do_sample": True,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "top_k": 0,
        }
