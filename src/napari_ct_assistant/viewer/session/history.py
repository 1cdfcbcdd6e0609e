"""The questions and answers about one scan, for questions that follow up on them."""

from __future__ import annotations

from typing import Final, Protocol

# More than the context window of any present model holds beside an image.
MAX_TURNS: Final = 20

Turns = tuple[tuple[str, str], ...]


class Request(Protocol):
    """What is asked of a model: a job that becomes a turn (see `jobs.TurnJob`)."""

    @property
    def model(self) -> str:
        """The model that is asked."""

    @property
    def request(self) -> str:
        """The question."""

    @property
    def history(self) -> Turns:
        """The turns that the model was given with it."""


class ChatHistory:
    """The turns with each model, oldest first.

    Each model has its own: a model is not shown what another one answered.
    """

    def __init__(self) -> None:
        self._turns: dict[str, list[tuple[Request, str]]] = {}

    def turns(self, model: str) -> Turns:
        """Return the questions to a model, each with its answer."""
        return tuple((asked.request, answer) for asked, answer in self._turns.get(model, []))

    def questions(self) -> list[str]:
        """Return every question, to whichever model."""
        return [asked.request for turns in self._turns.values() for asked, _ in turns]

    def exchanges(self) -> list[tuple[str, str]]:
        """Return every question with its answer, of whichever model."""
        return [(a.request, answer) for turns in self._turns.values() for a, answer in turns]

    def add(self, request: Request, answer: str) -> None:
        """Add a turn; the oldest one goes once there are `MAX_TURNS`."""
        turns = self._turns.setdefault(request.model, [])
        turns.append((request, answer))
        del turns[:-MAX_TURNS]

    def cut(self, request: Request) -> None:
        """Remove the turn of a request that is made again or edited, and all turns after it."""
        turns = self._turns.get(request.model, [])
        wanted = _identity(request)
        same = (n for n, (asked, _) in enumerate(turns) if _identity(asked) == wanted)
        del turns[next(same, len(turns)) :]


def _identity(request: Request) -> tuple[type, str, Turns]:
    """Return what a request has in common with its repetitions, and with no other request."""
    return type(request), request.request, request.history
