"""The sentences of an answer side by side in one sequence, so that one pass serves all of them.

Each sentence has a copy of the question before it::

    question  sentence 1  question  sentence 2  question  sentence 3

A sentence sees the image, its own copy of the question, and itself. It also sees the sentences
before it, but as constants: what they say goes into the likelihood, and no gradient goes back
through them. So a gradient at a token belongs to the one sentence that the token is packed with.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

MOST: Final = 384  # tokens of one pass, unless a single sentence has more

Span = tuple[int, int]  # begin and end, in tokens of the answer


@dataclass(frozen=True, eq=False)
class PackedText:
    """Parts of an answer, each behind a copy of the question.

    Attributes
    ----------
    begin : int
        Where the first part begins in the answer; the text before it is in the cache.
    ids, positions, part : int64 Tensor [T]
        Token ids, their place behind the prefix, and the number of the span in the list given.
    of_question : bool Tensor [T]
    """

    begin: int
    ids: Tensor
    positions: Tensor
    part: Tensor
    of_question: Tensor

    def seen(self, prefix: int, past: int) -> Tensor:
        """Return what each token sees of the cache and of the pack. bool [T, past + T].

        Parameters
        ----------
        prefix, past
            Tokens of the prefix, and all tokens in the cache.
        """
        length = len(self.ids)
        text = ~self.of_question
        seen = torch.zeros(length, past + length, dtype=torch.bool)
        seen[:, :prefix] = True
        # The question in the cache is left out: each part has its own.
        seen[:, past - self.begin : past] = text[:, None]
        earlier = self.positions[None] <= self.positions[:, None]
        seen[:, past:] = earlier & (self.live() | (text[None] & text[:, None]))
        return seen

    def live(self) -> Tensor:
        """Return which tokens belong to the same part: the others are constant. bool [T, T]."""
        return self.part[None] == self.part[:, None]

    def scored(self, part: int) -> Tensor:
        """Return the places in the pack from which a part's tokens are predicted. [tokens]."""
        return torch.nonzero((self.part == part) & ~self.of_question)[:, 0]


def packs(question: list[int], answer: list[int], spans: Sequence[Span]) -> Iterator[PackedText]:
    """Yield the packs that hold every span that is not empty, each span whole in one of them.

    A token is predicted from the token before it. The tokens that stand for a span are therefore
    shifted by one: the first is the question's last or the one before the span.
    """
    text, first = question + answer[:-1], len(question) - 1
    asked = list(range(first))
    columns: list[tuple[int, int, int]] = []  # position, part, whether of the question
    begin = done = 0

    def packed() -> PackedText:
        positions, part, of_question = torch.tensor(columns).T
        ids = torch.tensor([text[position] for position, _, _ in columns])
        return PackedText(begin, ids, positions, part, of_question.bool())

    for number, (a, b) in enumerate(spans):
        if b <= a:
            continue
        if columns and (a < done or len(columns) + b - done + 2 * first > MOST):
            yield packed()
            columns, begin, done = [], a, a
        if not columns:
            begin = done = a
        # Text between two spans belongs to none of them, and is seen by those that follow.
        for part, start, end in ((-1, done, a), (number, a, b)):
            if end > start:
                columns += [(position, part, 1) for position in asked]
                columns += [(first + i, part, 0) for i in range(start, end)]
        done = b
    if columns:
        yield packed()
