"""One scan read by one model: encoded once, its image context shared by all questions."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

from napari_ct_assistant.assistant.evidence.impression import impression_evidence
from napari_ct_assistant.assistant.reading.encoded_scan import EncodedScan
from napari_ct_assistant.assistant.reading.label_comparison import label_differences
from napari_ct_assistant.assistant.reading.results import (
    Answer,
    FindingProbability,
    ReportDraft,
    Sentence,
)
from napari_ct_assistant.assistant.reading.safety_notes import finding_notes, untaught_notes
from napari_ct_assistant.assistant.reading.screening import scored_findings, screen_findings
from napari_ct_assistant.backends.heat_map import Evidence, HeatMap
from napari_ct_assistant.backends.protocol import GeneratedText, OnText, Prompt
from napari_ct_assistant.backends.screening import ScreeningContext
from napari_ct_assistant.backends.settings import GenerationSettings
from napari_ct_assistant.backends.slices.mentions import with_image_numbers
from napari_ct_assistant.report_text.refusals import is_refusal
from napari_ct_assistant.report_text.sentences import sections_of
from napari_ct_assistant.support.translation import said


class Reading(EncodedScan):
    """One scan read by one model. Made by `Assistant.read`.

    Calls from several threads take turns.

    Attributes
    ----------
    screened : tuple of FindingProbability
        The last screen; empty before the first.
    checks : tuple of str
        What a test of the model on this scan showed with the last screen; empty without tests.
    """

    screened: tuple[FindingProbability, ...] = ()
    checks: tuple[str, ...] = ()

    # ---- what a reader asks for

    def draft_report(
        self,
        *,
        on_text: OnText | None = None,
        on_reasoning: OnText | None = None,
        cancel: threading.Event | None = None,
        evidence: bool = True,
        settings: GenerationSettings | None = None,
    ) -> ReportDraft:
        """Draft the report.

        Parameters
        ----------
        on_text
            Called with each new piece of text, in this thread.
        on_reasoning
            Called with each new piece of what a model writes before the report.
        cancel
            Set it to stop after the current token; the draft keeps what was written.
        evidence
            Also find, for each sentence, where in the scan it comes from.
        settings
            How tokens are chosen; the loaded model's settings when absent.

        Returns
        -------
        ReportDraft
        """
        context = self.context
        start = time.perf_counter()
        sections: dict[str, str] = {}
        sentences: list[Sentence] = []
        heat: list[HeatMap | None] = []
        first, tokens, evidence_seconds = 0.0, 0, 0.0
        stopped = cut = False
        reasoning: list[str] = []
        labels: tuple[str, ...] | None = None
        names = context.report_sections()
        several = len(names) > 1
        for name in names:
            if several and on_text is not None:
                on_text(f"{name}: " if not sections else f"\n\n{name}: ")
            # The question of an impression quotes the findings written so far.
            question, quotes_findings = context.report_question(name, sections)
            prompt = context.prompt(
                question, text_only=quotes_findings, thinking=self._thinking(settings)
            )
            generated = self._generate(prompt, on_text, on_reasoning, cancel, settings)
            reasoning.append(generated.reasoning)
            labels = labels if generated.labels is None else generated.labels
            first = first or generated.seconds_first_token
            tokens += len(generated.ids)
            stopped, cut = generated.stopped, generated.cut
            text = generated.text
            parts = {name: text.strip()} if several else context.split_report(text)
            sections |= parts
            began = time.perf_counter()
            if quotes_findings:
                made = impression_evidence(text, name, sentences, heat)
            else:
                made = self._sentences(prompt, generated, parts, evidence and not stopped)
            sentences += [sentence for sentence, _ in made]
            heat += [found for _, found in made]
            evidence_seconds += time.perf_counter() - began
            # No impression is drawn from findings that are not whole.
            if stopped or cut:
                break
        total = time.perf_counter() - start
        return ReportDraft(
            sections={name: self._numbered(text) for name, text in sections.items()},
            sentences=tuple(replace(one, text=self._numbered(one.text)) for one in sentences),
            model=self.info,
            seconds={
                **self.seconds,
                "first_token": first,
                "generate": total - evidence_seconds,
                "evidence": evidence_seconds,
                "total": total,
            },
            tokens=tokens,
            stopped=stopped,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            versions=_versions(),
            settings=vars(settings or self.backend.settings).copy(),
            warnings=self.warnings + untaught_notes(self.info, "report"),
            heat=tuple(heat),
            cut=cut,
            reasoning="\n\n".join(filter(None, reasoning)),
            region=context.scan.region,
            labels=labels,
            label_differences=self.label_differences(labels, " ".join(sections.values())),
            slices=context.scan.slices,
        )

    def ask(
        self,
        question: str,
        *,
        on_text: OnText | None = None,
        on_reasoning: OnText | None = None,
        cancel: threading.Event | None = None,
        evidence: bool = True,
        settings: GenerationSettings | None = None,
        history: Sequence[tuple[str, str]] = (),
        choices: Sequence[str] = (),
        region: str = "",
        text_only: bool = False,
    ) -> Answer:
        """Answer a question about the scan.

        Parameters
        ----------
        on_text, on_reasoning, cancel, evidence, settings
            As for `draft_report`.
        history
            Earlier questions and answers, oldest first. Used if the model takes follow-up
            questions (`processor.follow_up`), as many as its context window holds;
            `Answer.history_turns` says how many that were.
        choices
            Makes it a multiple-choice question.
        region
            A sentence about a region of the scan. Used if the model was trained with such
            sentences (`processor.region_form`).
        text_only
            The question quotes all that is needed: the model does not see the scan.

        Raises
        ------
        ValueError
            If the question is empty.
        """
        question = " ".join(question.split())
        if not question:
            raise ValueError(said("the question is empty"))
        start = time.perf_counter()
        prompt = self.context.prompt(
            question,
            history=history,
            choices=choices,
            region=region,
            text_only=text_only,
            thinking=self._thinking(settings),
        )
        generated = self._generate(prompt, on_text, on_reasoning, cancel, settings)
        found = Evidence()
        # A refusal is about no place in the scan, so it has no link and no heat map.
        located = evidence and not text_only and not is_refusal(generated.text)
        if located and generated.ids and not generated.stopped:
            with self._busy:
                found = self.context.attribute(prompt, generated.ids)[0]
        filed = self.volume.archive_number(found.slice)
        return Answer(
            question=question,
            text=self._numbered(generated.text.strip()),
            model=self.info,
            seconds_first_token=generated.seconds_first_token,
            seconds_total=time.perf_counter() - start,
            tokens=len(generated.ids),
            stopped=generated.stopped,
            support=found.support,
            slice=found.slice,
            ras=found.ras,
            warnings=(
                *self.warnings,
                *untaught_notes(self.info, "choice" if choices else "question"),
                *finding_notes(self.info, question, generated.text),
            ),
            heat=found.heat,
            history_turns=prompt.history_turns,
            region_used=prompt.region_used,
            choices=self._choices(prompt, choices) if choices and not generated.stopped else (),
            cut=generated.cut,
            reasoning=generated.reasoning,
            region=self.context.scan.region,
            labels=generated.labels,
            instance_number=filed.instance,
            frame_number=filed.frame,
            slices=self.context.scan.slices,
        )

    def screen(
        self, findings: Sequence[str] = (), *, cancel: threading.Event | None = None
    ) -> list[FindingProbability]:
        """Ask for each of the model's findings, in its order (CT-RATE's for its 18).

        See `screen_findings`. Cancelled, it returns the findings asked for so far.

        Parameters
        ----------
        findings
            Screen for these instead, in the reader's words. Only for models with
            `capabilities.free_findings`.
        cancel
            Set it to stop.

        Raises
        ------
        ValueError
            If the model cannot screen for other findings than its own.
        """
        encoded = self.encoded
        if findings and not self.backend.capabilities.free_findings:
            raise ValueError(said("{name}: screens only for its own findings", name=self.info.name))
        with self._busy:
            if isinstance(encoded, ScreeningContext):
                rows = scored_findings(encoded, self.info, findings, cancel)
                self.checks = encoded.checks(cancel=cancel)
            else:
                rows = screen_findings(encoded, self.info, cancel)
        self.screened = tuple(rows)
        return rows

    def label_differences(self, labels: Sequence[str] | None, text: str) -> tuple[str, ...]:
        """Return where a model's list of findings differs from its text and the last screen."""
        if labels is None:
            return ()
        names = [question.name for question in self.context.screen_questions()]
        return tuple(label_differences(labels, text, names, self.screened))

    def evidence(self, question: str, answer: str) -> Evidence:
        """Return the evidence in the scan for an answer to a question, whoever gave it."""
        context = self.context
        with self._busy:
            return context.attribute(context.prompt(question), context.answer_ids(answer))[0]

    def finding_evidence(self, name: str) -> Evidence:
        """Return the evidence for "Yes" as the answer to the screen's question for a finding."""
        encoded = self.encoded
        if isinstance(encoded, ScreeningContext):
            with self._busy:
                return encoded.locate(name)
        return self.evidence(self.backend.finding_question(name), "Yes")

    def support(self, statements: Sequence[tuple[str, str]]) -> list[float]:
        """Return how much the image supports statements, in nats.

        Parameters
        ----------
        statements
            Pairs of a question and an answer; one batch.
        """
        context = self.context
        with self._busy:
            return context.supports(
                [(context.prompt(q), context.answer_ids(a)) for q, a in statements]
            )

    # ---- how

    def _numbered(self, text: str) -> str:
        """Return a text in which labels of shown slices are followed by the image's number."""
        word = str(self.scan.details.get("label", "slice"))
        return with_image_numbers(text, self.scan.slices, word)

    def _generate(
        self,
        prompt: Prompt,
        on_text: OnText | None,
        on_reasoning: OnText | None,
        cancel: threading.Event | None,
        settings: GenerationSettings | None,
    ) -> GeneratedText:
        context = self.context
        with self._busy:
            return context.generate(
                prompt,
                on_text=on_text,
                on_reasoning=on_reasoning,
                cancel=cancel,
                settings=settings,
            )

    def _thinking(self, settings: GenerationSettings | None) -> bool | None:
        return (settings or self.backend.settings).thinking

    def _choices(self, prompt: Prompt, choices: Sequence[str]) -> tuple[tuple[str, float], ...]:
        """Return each choice with the probability that the answer begins by choosing it."""
        with self._busy:
            probabilities = self.context.choice_probabilities(prompt, choices)
        return tuple(zip(choices, probabilities, strict=True)) if probabilities else ()

    def _sentences(
        self,
        prompt: Prompt,
        generated: GeneratedText,
        sections: dict[str, str],
        evidence: bool,
    ) -> list[tuple[Sentence, HeatMap | None]]:
        spans = self.context.sentence_spans(generated.text)
        texts = [" ".join(generated.text[a:b].split()) for a, b in spans]
        found = [Evidence()] * len(spans)
        if evidence and spans:
            with self._busy:
                found = self.context.attribute(prompt, generated.ids, spans)
        filed = [self.volume.archive_number(e.slice) for e in found]
        return [
            (Sentence(t, s, e.support, e.slice, e.ras, number.instance, number.frame), e.heat)
            for t, s, e, number in zip(
                texts, sections_of(texts, sections), found, filed, strict=True
            )
        ]


def _versions() -> dict[str, str]:
    """Return the versions of what runs models; a model on a server needs no torch."""
    found = {}
    for name in ("napari-ct-assistant", "torch", "transformers"):
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
