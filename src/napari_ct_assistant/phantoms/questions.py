"""Ask about a phantom: questions with their true answers, some of which are to be declined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from napari_ct_assistant.phantoms.declined_questions import questions_to_decline
from napari_ct_assistant.phantoms.grammar import SHORT_NAMES, join
from napari_ct_assistant.phantoms.truth import DEGREES, LOBES, FindingTruth, part_rng
from napari_ct_assistant.report_text.findings import FINDINGS

Kind = Literal["yes_no", "free", "where", "how_large", "multiple_choice", "decline"]
DECLINED = "I can't tell that from this scan."
# The choice itself, not its letter: a small model can read it off the scan without looking up
# its letter in the question.
CHOICE_ANSWER = "{choice}."


@dataclass(frozen=True)
class Question:
    """One question with its true answer; `finding` is the one it is about, if any."""

    question: str
    answer: str
    kind: Kind
    finding: str | None = None


YES_NO = (
    "Does this image show signs of {f}?",
    "Does this image show signs of {f}?",
    "Is there {f} in this scan?",
    "Do you see {f}?",
)
FREE_WHAT = (
    "What abnormalities are there?",
    "What are the findings in this scan?",
    "Which findings does this chest CT show?",
)
FREE_NORMAL = ("Is this scan normal?", "Is this a normal chest CT?")
WHERE = ("Where is the {f}?", "In which part of the chest is the {f}?", "Where is the {f} located?")
SIDE = ("On which side is the {f}?", "Which side is affected by the {f}?")
HOW_LARGE = {
    "size": ("How large is the {f}?", "What is the size of the {f}?"),
    "grade": ("How severe is the {f}?", "What is the degree of the {f}?"),
}
GRADED = frozenset(name for name, degrees in DEGREES.items() if "mild" in degrees)
SIZE_NOTE = {
    "small": "small (under 10 mm)",
    "medium-sized": "medium-sized (10 to 20 mm)",
    "large": "large (over 20 mm)",
}


def finding_words(name: str) -> str:
    """Return a finding as the questions write it: in lower case."""
    return name.lower()


def place(t: FindingTruth) -> str | None:
    """Return the place of a finding as answers give it; None where it is not asked for."""
    if t.lobe:
        return f"in the {t.lobe}"
    if t.name == "Medical material":
        return f"in the {t.side} chest wall" if t.side else None
    if t.name == "Lymphadenopathy":
        return f"in the {t.side} {t.detail} region" if t.side else f"in the {t.detail} region"
    if t.side:
        return {"both": "on both sides"}.get(t.side, f"on the {t.side} side")
    return None


def phrase(t: FindingTruth) -> str:
    """Return a finding with its place and size in a few words, for lists."""
    size = f" ({t.severity})" if t.severity else ""
    name = t.detail if t.name == "Medical material" else SHORT_NAMES[t.name]
    where = place(t)
    return f"{name}" + (f" {where}" if where else "") + size


def _yes(t: FindingTruth) -> str:
    return f"Yes, there is {phrase(t)}."


def _choices(
    rng: np.random.Generator, stem: str, right: str, wrong: Sequence[str]
) -> tuple[str, str]:
    options = [right, *(wrong[i] for i in rng.permutation(len(wrong))[:3])]
    options = [options[i] for i in rng.permutation(len(options))]
    # The form of `VolumeLanguageProcessor.choices_question`; answered by `CHOICE_ANSWER`.
    listed = " ".join(f"{letter}. {o}" for letter, o in zip("ABCD", options, strict=False))
    answer = CHOICE_ANSWER.format(choice=right[:1].upper() + right[1:])
    return f"{stem} Choices: {listed}", answer


def make_questions(seed: int, findings: Sequence[FindingTruth]) -> tuple[Question, ...]:
    """Write 20 to 60 questions: on each of the 18 findings, and more on those present."""
    by_name = {t.name: t for t in findings}
    out: list[Question] = []
    for name in FINDINGS:
        rng = part_rng(seed, "question about " + name)
        f = finding_words(name)
        ask = YES_NO[int(rng.integers(len(YES_NO)))].format(f=f)
        t = by_name.get(name)
        out.append(Question(ask, _yes(t) if t else f"No, there is no {f}.", "yes_no", name))
        if t is None:
            continue
        where = place(t)
        if where:
            ask = WHERE[int(rng.integers(len(WHERE)))].format(f=f)
            out.append(Question(ask, where[0].upper() + where[1:] + ".", "where", name))
        if t.side:
            answer = {"both": "Both sides.", "left": "Left.", "right": "Right."}[t.side]
            out.append(Question(SIDE[int(rng.integers(2))].format(f=f), answer, "where", name))
        if t.severity:
            words = HOW_LARGE["grade" if name in GRADED else "size"]
            answer = SIZE_NOTE[t.severity] if name == "Lung nodule" else t.severity
            ask = words[int(rng.integers(len(words)))].format(f=f)
            out.append(Question(ask, answer.capitalize() + ".", "how_large", name))
    rng = part_rng(seed, "questions")
    everything = join([phrase(t) for t in findings], "and") if findings else ""
    answer = f"There is {everything}." if findings else "No significant abnormality."
    out.append(Question(FREE_WHAT[int(rng.integers(3))], answer, "free"))
    n = len(findings)
    answer = "Yes, no significant abnormality." if not n else f"No, there is {everything}."
    out.append(Question(FREE_NORMAL[int(rng.integers(2))], answer, "free"))
    out += _multiple_choice(seed, by_name)
    bank = questions_to_decline("train")
    pick = part_rng(seed, "declined").permutation(len(bank))[:4]
    out += [Question(bank[int(i)], DECLINED, "decline") for i in pick]
    return tuple(out)


def _multiple_choice(seed: int, by_name: dict[str, FindingTruth]) -> list[Question]:
    rng = part_rng(seed, "choices")
    out: list[Question] = []

    def add(stem: str, right: str, wrong: Sequence[str], name: str | None) -> None:
        q, a = _choices(rng, stem, right, [w for w in wrong if w != right])
        out.append(Question(q, a, "multiple_choice", name))

    absent = [finding_words(n) for n in FINDINGS if n not in by_name]
    if by_name and absent:
        name = list(by_name)[int(rng.integers(len(by_name)))]
        add("Which of these does the scan show?", finding_words(name), absent, name)
    elif absent:
        add("Which of these does the scan show?", "none of these", absent, None)
    for name, t in by_name.items():
        f = finding_words(name)
        if t.lobe:
            add(f"In which lobe is the {f}?", t.lobe, LOBES, name)
        elif name == "Pleural effusion":
            sides = ("left", "right", "both sides")
            add(
                f"Which side is affected by the {f}?",
                "both sides" if t.side == "both" else str(t.side),
                sides,
                name,
            )
        degrees = DEGREES.get(name, ())
        # With only two degrees, a third choice would be one that never occurs.
        if len(degrees) > 2:
            ask = "What is the degree of the" if name in GRADED else "How large is the"
            add(f"{ask} {f}?", str(t.severity), degrees, name)
    order = rng.permutation(len(out))[:4]
    return [out[int(i)] for i in sorted(order)]
