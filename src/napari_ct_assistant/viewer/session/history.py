"""What was said so far about each scan, for questions that follow up on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from napari_ct_assistant.viewer.session.jobs import TurnJob
    from napari_ct_assistant.volume import CTVolume

# More than any context window of today's models holds beside an image.
MOST_TURNS: Final = 20

History = tuple[tuple[str, str], ...]


class Dialogue:
    """The turns of each scan with each model, oldest first."""

    def __init__(self) -> None:
        # (scan, model) -> what was asked and answered.
        self._turns: dict[tuple[int, str], list[tuple[TurnJob, str]]] = {}

    def history(self, volume: CTVolume, model: str) -> History:
        """Return the questions and answers so far."""
        return tuple((job.request, said) for job, said in self._turns.get((id(volume), model), []))

    def add(self, job: TurnJob, said: str) -> None:
        """Remember what came of a question or a report."""
        turns = self._turns.setdefault((id(job.volume), job.model), [])
        turns.append((job, said))
        del turns[:-MOST_TURNS]

    def cut(self, job: TurnJob) -> None:
        """Leave out a turn that is asked anew, and what came after it."""
        turns = self._turns.get((id(job.volume), job.model), [])
        same = (n for n, (one, _) in enumerate(turns) if _turn(one) == _turn(job))
        at = next(same, len(turns))
        del turns[at:]

    def asked(self, volume: CTVolume) -> list[str]:
        """Return every question about a scan."""
        return [
            job.request
            for (scan, _), turns in self._turns.items()
            if scan == id(volume)
            for job, _ in turns
        ]

    def forget(self, volume: CTVolume) -> None:
        """Drop a scan that was closed."""
        self._turns = {key: turns for key, turns in self._turns.items() if key[0] != id(volume)}


def _turn(job: TurnJob) -> tuple[type, str, History]:
    """Return what tells a turn from others, also when it was asked again."""
    return type(job), job.request, job.history
