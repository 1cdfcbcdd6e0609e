"""Is the evidence right? Heat maps and support against what is known about phantoms.

Each of the 18 findings is stated as an answer ("Yes, there is a small left pleural effusion."),
with the attributes that the phantom has or would have: a true statement where the finding is
there, a wrong one where it is not. The sentences of the model's own reports are measured too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

from napari_ct_assistant.assistant import Assistant, Reading
from napari_ct_assistant.phantoms import Phantom, make_phantom
from napari_ct_assistant.phantoms.questions import phrase
from napari_ct_assistant.phantoms.truth import draw_attributes
from napari_ct_assistant.report_text.findings import FINDINGS
from napari_ct_assistant.training.evaluation.audit.evidence_figures import (
    OWN_REPORT,
    HottestPlace,
    Statement,
    figures,
)
from napari_ct_assistant.training.evaluation.audit.evidence_methods import METHODS
from napari_ct_assistant.training.evaluation.audit.sentences import findings_named_present


def audit_evidence(
    assistant: Assistant,
    *,
    first_seed: int = 0,
    count: int = 40,
    methods: Sequence[str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Measure the evidence for statements about `count` phantoms from `first_seed` on.

    Parameters
    ----------
    assistant : Assistant
    first_seed, count : int
    methods
        Other attribution methods to measure beside the one in use; keys of `METHODS`.
    progress
        Called with (phantoms done, phantoms wanted).

    Returns
    -------
    dict
        See `figures`.
    """
    audit = _Audit(assistant, methods)
    for number, seed in enumerate(range(first_seed, first_seed + count)):
        phantom = make_phantom(seed)
        reading = assistant.read(phantom.volume)
        audit.state_findings(reading, phantom)
        audit.draft_report(reading, phantom)
        if progress is not None:
            progress(number + 1, count)
    return figures(
        audit.statements, audit.places, audit.seconds, first_seed, count, used=audit.used
    )


class _Audit:
    """What was observed so far."""

    def __init__(self, assistant: Assistant, methods: Sequence[str]):
        self.unreliable = assistant.info.unreliable_findings
        self.used = assistant.backend.capabilities.evidence
        self.methods = methods
        self.statements: list[Statement] = []
        self.places: list[HottestPlace] = []
        self.seconds: dict[str, list[float]] = defaultdict(list)

    def state_findings(self, reading: Reading, phantom: Phantom) -> None:
        """Make one statement about each finding: its support, and the heat of the true ones."""
        there = {t.name: t for t in phantom.findings}
        attributes = draw_attributes(phantom.seed) | there
        texts = [
            (reading.backend.finding_question(name), f"Yes, there is {phrase(attributes[name])}.")
            for name in FINDINGS
        ]
        began = perf_counter()
        supports = reading.support(texts)
        self.seconds["support of 18 statements"].append(perf_counter() - began)
        for name, support, (question, text) in zip(FINDINGS, supports, texts, strict=True):
            assessable = name not in self.unreliable
            self.statements.append(
                Statement(phantom.seed, name, name in there, assessable, support)
            )
            box = there[name].box_ras_mm if name in there else None
            if box is None:
                continue
            began = perf_counter()
            place = reading.evidence(question, text).ras
            self.seconds[f"heat of a statement, {self.used}"].append(perf_counter() - began)
            self.places.append(HottestPlace(phantom.seed, self.used, name, assessable, place, box))
            for method in self.methods:
                began = perf_counter()
                heat = METHODS[method](reading, question, text)
                self.seconds[f"heat of a statement, {method}"].append(perf_counter() - began)
                place = None if heat is None else heat.hottest
                self.places.append(HottestPlace(phantom.seed, method, name, assessable, place, box))

    def draft_report(self, reading: Reading, phantom: Phantom) -> None:
        """Draft the report; keep the sentences that name exactly one finding as present."""
        boxes = {t.name: t.box_ras_mm for t in phantom.findings}
        draft = reading.draft_report()
        self.seconds["report, text"].append(draft.seconds["generate"])
        self.seconds["report, evidence"].append(draft.seconds["evidence"])
        for sentence in draft.sentences:
            named = findings_named_present(sentence.text)
            if len(named) != 1 or sentence.support is None:
                continue
            name = next(iter(named))
            assessable = name not in self.unreliable
            self.statements.append(
                Statement(
                    phantom.seed, name, name in boxes, assessable, sentence.support, own_report=True
                )
            )
            box = boxes.get(name)
            if box is not None:
                self.places.append(
                    HottestPlace(phantom.seed, OWN_REPORT, name, assessable, sentence.ras, box)
                )
