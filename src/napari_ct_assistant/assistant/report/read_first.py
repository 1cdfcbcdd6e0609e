"""Reading first: the reader's own report before the draft is seen, and what changed after it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any

from napari_ct_assistant.assistant.report.document import ReportDocument

IMPRESSION = ("impression", "conclusion")


@dataclass
class ReadFirst:
    """One reading of a scan with the model's results hidden until the reader is done.

    Attributes
    ----------
    clock : callable
        Returns seconds.
    alone : float
        Seconds until the results were shown; those so far while they are hidden.
    with_draft : float
        Seconds since then.
    own : tuple of str or None
        The reader's lines at that moment, None while the results are hidden.
    """

    clock: Callable[[], float] = time.monotonic
    alone: float = 0.0
    with_draft: float = 0.0
    own: tuple[str, ...] | None = None
    _since: float | None = field(default=None, repr=False)

    @property
    def hidden(self) -> bool:
        """Whether the model's results are still hidden."""
        return self.own is None

    def resume(self) -> None:
        """Go on counting: the scan is on screen."""
        if self._since is None:
            self._since = self.clock()

    def pause(self) -> None:
        """Stop counting: another scan is on screen."""
        if self._since is None:
            return
        passed, self._since = self.clock() - self._since, None
        if self.hidden:
            self.alone += passed
        else:
            self.with_draft += passed

    def reveal(self, report: ReportDocument) -> None:
        """Note the reader's own report; from now on the results are shown."""
        if self.hidden:
            self.pause()
            self.own = own_lines(report)
            self.resume()

    def to_json(self, report: ReportDocument) -> dict[str, Any]:
        """Return what the journal keeps: the seconds of each phase, and what changed after it."""
        running = self._since is not None
        self.pause()
        if running:
            self.resume()
        kept: dict[str, Any] = {
            "seconds_alone": round(self.alone, 1),
            "seconds_with_draft": round(self.with_draft, 1),
            "own": None if self.own is None else list(self.own),
        }
        if self.own is not None:
            kept["changes"] = changes(self.own, report)
        return kept

    @classmethod
    def from_json(
        cls, data: dict[str, Any], clock: Callable[[], float] = time.monotonic
    ) -> ReadFirst:
        """Return the state that `to_json` wrote.

        Raises
        ------
        ValueError
            If it is something else.
        """
        own, alone, after = (
            data.get(key) for key in ("own", "seconds_alone", "seconds_with_draft")
        )
        numbers = all(
            isinstance(value, int | float) and not isinstance(value, bool)
            for value in (alone, after)
        )
        texts = own is None or (isinstance(own, list) and all(isinstance(x, str) for x in own))
        if not numbers or not texts:
            raise ValueError("not a record of reading first")
        return cls(clock, float(alone), float(after), None if own is None else tuple(own))  # type: ignore[arg-type]


def own_lines(report: ReportDocument) -> tuple[str, ...]:
    """Return the lines that the reader wrote or edited."""
    return tuple(
        " ".join(line.text.split())
        for _, line in report.lines()
        if report.state(line) in ("own", "edited")
    )


def has_own_impression(report: ReportDocument) -> bool:
    """Say whether the impression has a sentence of the reader's own that is finished."""
    return any(
        section.key.partition("/")[0] in IMPRESSION
        and report.state(line) == "own"
        and line.text.rstrip().endswith((".", "!", "?"))
        for section, line in report.lines()
    )


def changes(own: tuple[str, ...], report: ReportDocument) -> list[dict[str, str]]:
    """Return what the reader did after seeing the draft, in the order of the report.

    Parameters
    ----------
    own
        The reader's lines before.
    report
        The report now.

    Returns
    -------
    list of {"kind", "before", "after"}
        kind: "changed", "removed" or "added" for the reader's own lines; "accepted", "edited" or
        "rejected" for drafted ones.
    """
    found: list[dict[str, str]] = []
    now = [" ".join(line.text.split()) for _, line in report.lines() if report.state(line) == "own"]
    before = list(own)
    for kind, a, b, c, d in SequenceMatcher(None, before, now, autojunk=False).get_opcodes():
        if kind == "equal":
            continue
        for n in range(max(b - a, d - c)):
            old, new = before[a:b][n : n + 1], now[c:d][n : n + 1]
            what = "changed" if old and new else "removed" if old else "added"
            found.append({"kind": what, "before": "".join(old), "after": "".join(new)})
    for _, line in report.lines():
        state = report.state(line)
        if line.source is not None and state in ("accepted", "edited", "rejected"):
            drafted = report.sources[line.source].sentence.text
            after = "" if state == "rejected" else " ".join(line.text.split())
            found.append({"kind": state, "before": drafted, "after": after})
    return found
