"""The screen: what a model says of each of its findings, as a probability or a rank."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from napari_ct_assistant.assistant.reading.results import FindingProbability
from napari_ct_assistant.backends.loading.sizes import SCREEN_BATCH
from napari_ct_assistant.backends.model_info import ModelInfo
from napari_ct_assistant.backends.protocol import ImageContext
from napari_ct_assistant.backends.screening import ScreeningContext


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


def scored_findings(
    context: ScreeningContext,
    info: ModelInfo,
    findings: Sequence[str] = (),
    cancel: threading.Event | None = None,
) -> list[FindingProbability]:
    """Return the rows of a model that scores findings; those without a probability are ranked.

    Parameters
    ----------
    context, info
    findings
        In the reader's words; the model's own when absent.
    cancel
        Set it to stop; the findings scored so far are returned.
    """
    scores = context.scores(findings, cancel=cancel)
    margins = sorted((one.margin for one in scores if one.margin is not None), reverse=True)
    return [
        FindingProbability(
            one.name,
            one.probability,
            assessable=one.name not in info.unreliable_findings,
            baseline=one.baseline,
            threshold=one.threshold,
            rank=None if one.margin is None else margins.index(one.margin) + 1,
            margin=one.margin,
        )
        for one in scores
    ]
