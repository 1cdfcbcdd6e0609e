"""What a model says to each question about each image, written down as it comes.

An answer depends on the image and the question alone, so it is kept under these two: the same
answers serve the model's own figures, another scan's image and the blind one.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from napari_ct_assistant.assistant import Assistant, Reading
from napari_ct_assistant.report_text.findings import FINDINGS
from napari_ct_assistant.support import atomic
from napari_ct_assistant.support.jsonl import JsonLines
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.evaluation.cases import CHOICE, Asked, Case, CaseList
from napari_ct_assistant.volume import CTReadError

TASKS = ("report", "vqa", "choice", "diagnosis")
BLIND = "none"  # the image whose tokens are all zero
REPORT = ""  # the question that asks for the report
BRIEF = 16  # tokens of an answer of which only yes or no is read

Key = tuple[str, str]  # image, question


@dataclass(frozen=True)
class Said:
    """An answer. sections: of a report; probability: of "Yes" against "No"."""

    text: str
    sections: dict[str, str] | None = None
    probability: float | None = None


class AnswerLog:
    """Answers as JSON lines; an evaluation that was cut off goes on behind the last whole one.

    Parameters
    ----------
    folder : Path
    identity : dict
        What the answers depend on. A folder with answers of something else is refused.
    """

    def __init__(self, folder: Path, identity: dict[str, Any]):
        self._log = JsonLines(folder / "answers.jsonl")
        self.said: dict[Key, Said] = {}
        self.unreadable: list[str] = []
        folder.mkdir(parents=True, exist_ok=True)
        about = folder / "run.json"
        if about.exists():
            known = json.loads(about.read_text(encoding="utf-8"))
            other = [name for name in identity if known.get(name) != identity[name]]
            if other:
                raise RecipeError(
                    f"{folder}: holds an evaluation of another {other[0].replace('_', ' ')} "
                    f"({known.get(other[0])!r}, now {identity[other[0]]!r}); give another --out"
                )
        else:
            atomic.write_text(about, json.dumps(identity, indent=2) + "\n")
        for row in self._log.read():
            self.said[row["image"], row["question"]] = Said(
                row["answer"], row.get("sections"), row.get("probability")
            )

    def add(self, key: Key, said: Said) -> None:
        """Keep one answer, on disk at once."""
        row: dict[str, Any] = {"image": key[0], "question": key[1], "answer": said.text}
        for name in ("sections", "probability"):
            if getattr(said, name) is not None:
                row[name] = getattr(said, name)
        self._log.append(row)
        self.said[key] = said


class Examiner:
    """Asks a model everything that a list of cases needs.

    Parameters
    ----------
    assistant : Assistant
    cases : CaseList
    tasks
        Some of `TASKS`.
    baselines : bool
        Also ask without the image and with another patient's.
    """

    def __init__(
        self, assistant: Assistant, cases: CaseList, tasks: tuple[str, ...], *, baselines: bool
    ):
        self.assistant = assistant
        self.cases = cases
        self.tasks = tasks
        self.baselines = baselines
        brief = replace(assistant.settings, max_new_tokens=BRIEF)
        self._brief = copy.copy(assistant)
        self._brief.settings = brief
        names = dict.fromkeys([*FINDINGS, *(n for case in cases.cases for n in case.labels)])
        told = {self.asks_of(asked) for case in cases.cases for asked in case.questions}
        self._templates = {self.template(name): name for name in names}
        # A template that the data set also asks as a question of its own is answered in full.
        self._briefly = set(self._templates) - told if "diagnosis" in tasks else set()

    def asks_of(self, asked: Asked) -> str:
        """Return a question as this model is asked it."""
        if asked.choices and not asked.listed:
            return " ".join(
                self.assistant.processor.choices_question(asked.question, asked.choices).split()
            )
        return " ".join(asked.question.split())

    def template(self, finding: str) -> str:
        """Return the question for a finding."""
        return str(self.assistant.processor.finding_question.format(finding=finding.lower()))

    def wanted(self, case: Case) -> Iterator[str]:
        """Yield every question that a case asks, "" for its report."""
        if "report" in self.tasks and case.reports:
            yield REPORT
        for asked in case.questions:
            if ("choice" if asked.kind == CHOICE else "vqa") in self.tasks:
                yield self.asks_of(asked)
        if "diagnosis" in self.tasks:
            yield from map(self.template, case.labels)

    def plan(self) -> dict[str, list[str]]:
        """Return the questions for each image: its own, its neighbour's, and without image."""
        plan: dict[str, dict[str, None]] = {case.key: {} for case in self.cases.cases}
        blind: dict[str, None] = {}
        for index, case in enumerate(self.cases.cases):
            questions = dict.fromkeys(self.wanted(case))
            plan[case.key].update(questions)
            if self.baselines:
                blind.update(questions)
                other = self.cases.partner(index)
                if other is not None:
                    plan[self.cases.cases[other].key].update(questions)
        return {**{key: list(asked) for key, asked in plan.items()}, BLIND: list(blind)}

    def run(
        self,
        log: AnswerLog,
        progress: Callable[[int, int], None] | None = None,
        *,
        skip_unreadable: bool = False,
    ) -> None:
        """Ask what is not answered yet.

        Raises
        ------
        CTReadError
            If a scan cannot be read, unless it is to be skipped (and listed in the log).
        """
        plan = self.plan()
        total = sum(map(len, plan.values()))
        done = sum((key, q) in log.said for key, asked in plan.items() for q in asked)
        tell = progress or (lambda _done, _total: None)
        tell(done, total)
        blind = [q for q in plan.pop(BLIND) if (BLIND, q) not in log.said]
        for number, case in enumerate(self.cases.cases, start=1):
            missing = [q for q in plan[case.key] if (case.key, q) not in log.said]
            if not missing and not blind:
                continue
            try:
                reading = self.assistant.read(case.open())
            except CTReadError:
                if not skip_unreadable:
                    raise
                log.unreadable.append(f"scan {number}")
                total -= len(missing)
                continue
            for key, said in self._ask_all(reading, case.key, missing):
                log.add(key, said)
                done += 1
                tell(done, total)
            if blind:  # the same for every scan: asked once
                reading.use_image_tokens(torch.zeros_like(reading.image_tokens))
                for key, said in self._ask_all(reading, BLIND, blind):
                    log.add(key, said)
                    done += 1
                    tell(done, total)
                blind = []

    def _ask_all(
        self, reading: Reading, image: str, questions: list[str]
    ) -> Iterator[tuple[Key, Said]]:
        screened = self._screen(reading, questions)
        brief = copy.copy(reading)
        brief.assistant = self._brief
        for question in questions:
            if question == REPORT:
                draft = reading.draft_report(evidence=False)
                yield (image, question), Said(draft.text, dict(draft.sections))
            else:
                whole = reading if question not in self._briefly else brief
                text = whole.ask(question, evidence=False).text
                yield (image, question), Said(text, probability=screened.get(question))

    def _screen(self, reading: Reading, questions: list[str]) -> dict[str, float]:
        """Return the probability of yes for those of the questions that the screen asks."""
        if "diagnosis" not in self.tasks or not any(q in self._templates for q in questions):
            return {}
        return {self.template(row.name): row.probability for row in reading.screen()}
