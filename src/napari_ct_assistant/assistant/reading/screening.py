"""The screen: the model's yes or no to each of the 18 CT-RATE findings, as a probability."""

from __future__ import annotations

import threading

from napari_ct_assistant.assistant.models.sizes import SCREEN_BATCH
from napari_ct_assistant.assistant.reading.image_context import ImageContext
from napari_ct_assistant.assistant.reading.results import FindingProbability
from napari_ct_assistant.model.errors import ModelLoadError
from napari_ct_assistant.report_text.findings import FINDINGS
from napari_ct_assistant.report_text.questions import fill


def screen_findings(
    context: ImageContext, cancel: threading.Event | None = None
) -> list[FindingProbability]:
    """Ask for each finding, several at a time, with the image and without it.

    The probability is that of "Yes" as the first token of the answer, renormalised over "Yes"
    and "No".

    Parameters
    ----------
    context : ImageContext
    cancel
        Set it to stop after the current batch; the findings asked for so far are returned.

    Raises
    ------
    ModelLoadError
        If the model's tokenizer cannot tell the two answers apart by their first token.
    """
    loaded = context.loaded
    processor = loaded.processor
    yes, no = (processor.answer_ids(word)[0] for word in ("Yes", "No"))
    if yes == no:
        raise ModelLoadError(
            f"{loaded.info.name}: its tokenizer starts Yes and No with the same token; "
            "this model cannot be screened"
        )
    rows = [
        processor.question_ids(fill(processor.finding_question, finding=name.lower()))
        for name in FINDINGS
    ]
    thresholds: dict[str, float] = getattr(loaded.model.config, "finding_thresholds", None) or {}
    results: list[FindingProbability] = []
    for begin in range(0, len(rows), SCREEN_BATCH):
        if cancel is not None and cancel.is_set():
            break
        batch = rows[begin : begin + SCREEN_BATCH]
        seen, blind = (
            context.next_token_probabilities(batch, [yes, no], cache)[:, 0].tolist()
            for cache in (context.cache, context.blind_cache())
        )
        names = FINDINGS[begin : begin + SCREEN_BATCH]
        for name, probability, baseline in zip(names, seen, blind, strict=True):
            results.append(
                FindingProbability(
                    name,
                    probability,
                    assessable=name not in loaded.info.unreliable_findings,
                    baseline=baseline,
                    threshold=float(thresholds.get(name, 0.5)),
                )
            )
    return results
