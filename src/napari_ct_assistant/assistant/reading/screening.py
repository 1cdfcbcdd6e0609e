"""The screen: the model's yes or no to each of its findings, as a probability."""

from __future__ import annotations

import threading

from napari_ct_assistant.assistant.reading.results import FindingProbability
from napari_ct_assistant.backends.loading.sizes import SCREEN_BATCH
from napari_ct_assistant.backends.model_info import ModelInfo
from napari_ct_assistant.backends.protocol import ImageContext


def screen_findings(
    context: ImageContext, info: ModelInfo, cancel: threading.Event | None = None
) -> list[FindingProbability]:
    """Ask for each finding, several at a time, with the image and without it.

    The probability is that of "Yes" as the first token of the answer, renormalised over "Yes"
    and "No".

    Parameters
    ----------
    context : ImageContext
        Its `screen_questions` say which findings, and in which order.
    info : ModelInfo
    cancel
        Set it to stop after the current batch; the findings asked for so far are returned.

    Raises
    ------
    ModelLoadError
        If the model's tokenizer cannot tell the two answers apart by their first token.
    """
    asked = context.screen_questions()
    results: list[FindingProbability] = []
    for begin in range(0, len(asked), SCREEN_BATCH):
        if cancel is not None and cancel.is_set():
            break
        batch = asked[begin : begin + SCREEN_BATCH]
        questions = [one.question for one in batch]
        seen = context.yes_probabilities(questions)
        blind = context.yes_probabilities(questions, blind=True)
        for one, probability, baseline in zip(batch, seen, blind, strict=True):
            results.append(
                FindingProbability(
                    one.name,
                    probability,
                    assessable=one.name not in info.unreliable_findings,
                    baseline=baseline,
                    threshold=one.threshold,
                )
            )
    return results
