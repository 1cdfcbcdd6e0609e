"""What a table of choices adds up to: strengths with intervals, and how the readers chose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from napari_ct_assistant.assistant.choices.bradley_terry import BOOTSTRAPS, Strength, rank
from napari_ct_assistant.assistant.choices.table import Choice


@dataclass(frozen=True)
class Summary:
    """The strengths of the models, and how the readers chose.

    Attributes
    ----------
    strengths : tuple of Strength
        The strongest first.
    pairs, scans : int
    left, equal, right : int
        How often the report on that side was chosen. If left and right differ much although the
        sides are drawn by chance, the readers preferred a side.
    seconds : float
        Median time of a choice.
    blind : int
        Pairs whose models were not named.
    """

    strengths: tuple[Strength, ...]
    pairs: int
    scans: int
    left: int
    equal: int
    right: int
    seconds: float
    blind: int

    def to_json(self) -> dict[str, Any]:
        """Return the summary as plain values."""
        return {
            "models": [one.to_json() for one in self.strengths],
            "pairs": self.pairs,
            "scans": self.scans,
            "left": self.left,
            "equal": self.equal,
            "right": self.right,
            "seconds_median": self.seconds,
            "blind": self.blind,
        }

    @property
    def markdown(self) -> str:
        """The summary as a table and a line under it."""
        rows = [
            "| Model | Strength | 95 % interval | Preferred | Equal | Not preferred |",
            "| --- | ---: | ---: | ---: | ---: | ---: |",
        ]
        rows += [
            f"| {_cell(one.model)} | {one.strength:+.2f} | {one.low:+.2f} to {one.high:+.2f} "
            f"| {one.wins} | {one.equal} | {one.losses} |"
            for one in self.strengths
        ]
        foot = (
            f"{self.pairs} pairs on {self.scans} scans, {self.blind} of them blind; left "
            f"{self.left}, equal {self.equal}, right {self.right}; median {self.seconds:.0f} s. "
            "Bradley-Terry strengths (natural logarithm, mean 0); intervals from bootstraps "
            "over scans."
        )
        return "\n".join([*rows, "", foot])


def summarize(choices: Sequence[Choice], *, bootstraps: int = BOOTSTRAPS, seed: int = 0) -> Summary:
    """Sum up choices; see `rank` for what is refused."""
    strengths = rank(choices, bootstraps=bootstraps, seed=seed)
    sides = [one.choice for one in choices]
    return Summary(
        tuple(strengths),
        len(choices),
        len({one.scan for one in choices}),
        sides.count("left"),
        sides.count("equal"),
        sides.count("right"),
        float(median(one.seconds for one in choices)),
        sum(one.blind == "yes" for one in choices),
    )


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
