"""Pack a scan's image tokens and many questions with their answers into one sequence.

The image stands in the sequence once and serves all turns. A block mask keeps the turns apart:
each sees the prefix (the beginning of the prompt, with the image) and itself. Positions restart
after the prefix. The loss therefore equals that of separate sequences, one for each turn, at a
fraction of the cost.

A prefix of three tokens (p), a turn (a), a text-only turn (b), a turn (c) and padding (.)::

    token        p  p  p  a  a  b  b  c  c  .
    segment_id   0  0  0  1  1 -3 -3  3  3 -1
    position_id  0  1  2  3  4  0  1  3  4  0

    The token of a row attends to the tokens marked x:

         p  p  p  a  a  b  b  c  c  .
      p  x
      p  x  x
      p  x  x  x
      a  x  x  x  x
      a  x  x  x  x  x
      b                 x
      b                 x  x
      c  x  x  x              x
      c  x  x  x              x  x
      .                             x

A text-only turn does not see the image: its segment id is negative, and it brings the beginning of
the prompt itself. A padding token attends to itself, since the softmax of an empty row is NaN.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, TypedDict

import torch
from torch import Tensor

from napari_ct_assistant.model.processor import VolumeLanguageProcessor
from napari_ct_assistant.report_text.sections import CONCLUSIONS, HEADING
from napari_ct_assistant.report_text.sentences import sentence_spans
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.config.recipe import ConversationSettings
from napari_ct_assistant.training.sequences.turns import Turn

IGNORED = -100  # the label of a token that is not learned
PADDING = -1  # the segment id of a token that no other token sees


class PackedSequence(TypedDict):
    """One training sequence; each tensor is [T].

    input_ids, labels (`IGNORED` outside the answers), position_ids, segment_ids (0 for the
    prefix, the number of its turn for other tokens, negative where the prefix is hidden) and
    loss_weights (0 outside the answers).
    """

    input_ids: Tensor
    labels: Tensor
    position_ids: Tensor
    segment_ids: Tensor
    loss_weights: Tensor


def pack_sequence(
    prefix: list[int],
    turns: Sequence[Turn],
    processor: VolumeLanguageProcessor,
    settings: ConversationSettings,
    decisive: frozenset[int] = frozenset(),
) -> PackedSequence:
    """Put a prefix and its turns into one sequence.

    Parameters
    ----------
    prefix : list of int
        Token ids of the beginning of the prompt, with the image.
    turns : sequence of Turn
        Those that do not fit into `settings.max_length` are left out; the answer of the first
        is shortened if need be (see `shortened`). Without `settings.packed` there is one.
    processor : VolumeLanguageProcessor
    settings : ConversationSettings
    decisive : set of int
        Token ids whose loss weight in an answer is `settings.detail_weight`.
    """
    hidden = not settings.packed and turns[0].text_only
    ids, labels = list(prefix), [IGNORED] * len(prefix)
    positions, segments = list(range(len(prefix))), [PADDING if hidden else 0] * len(prefix)
    weights = [0.0] * len(prefix)
    fitted = fit_turns(len(prefix), turns, processor, settings)
    for number, (turn, one) in enumerate(zip(turns, fitted, strict=False), start=1):
        question, answer = one.question, one.answer
        if one.shortened and settings.cut == "refuse":
            raise RecipeError(
                f"conversation.max_length: {settings.max_length} tokens are too few for the answer "
                f"to {turn.question!r}; raise it, or set conversation.cut to findings or end"
            )
        # By answer: an answer counts as the square root of its length, so that the one decisive
        # word of a short answer has a say beside a report's hundred.
        weight = 1.0 if settings.weighting == "token" else len(answer) ** -0.5
        ids += question + answer
        labels += [IGNORED] * len(question) + answer
        weights += [0.0] * len(question)
        weights += [weight * (settings.detail_weight if i in decisive else 1) for i in answer]
        first, length = 0 if turn.text_only else len(prefix), len(question) + len(answer)
        positions += range(first, first + length)
        segments += [-1 - number if turn.text_only and settings.packed else number] * length
    return {
        "input_ids": torch.tensor(ids),
        "labels": torch.tensor(labels),
        "position_ids": torch.tensor(positions),
        "segment_ids": torch.tensor(segments),
        "loss_weights": torch.tensor(weights),
    }


class FittedTurn(NamedTuple):
    """The token ids of a turn that has its place in a sequence."""

    question: list[int]
    answer: list[int]
    shortened: bool


def fit_turns(
    prefix: int,
    turns: Sequence[Turn],
    processor: VolumeLanguageProcessor,
    settings: ConversationSettings,
) -> Iterator[FittedTurn]:
    """Yield the turns that fit into a sequence after a prefix of `prefix` tokens.

    Raises
    ------
    RecipeError
        If there is no room for any part of the first answer.
    """
    used = prefix
    for number, turn in enumerate(turns):
        opening = processor.opening_ids() if turn.text_only else []
        question = opening + processor.question_ids(turn.question)
        answer = processor.answer_ids(turn.answer)
        room = settings.max_length - (used if settings.packed else prefix) - len(question)
        too_long = len(answer) > room
        if too_long:
            if number:
                return  # a packed sequence is full
            answer = shortened(turn.answer, room, processor, settings.cut)
            if room < 1:
                raise RecipeError(
                    f"conversation.max_length: {settings.max_length} tokens leave no room for an "
                    f"answer: image and question have {settings.max_length - room}; raise it"
                )
        yield FittedTurn(question, answer, too_long)
        used += len(question) + len(answer)


def shortened(answer: str, room: int, processor: VolumeLanguageProcessor, cut: str) -> list[int]:
    """Return the token ids of an answer that is longer than `room` tokens.

    Parameters
    ----------
    answer
        The text.
    room
        The number of tokens that there is room for.
    processor
    cut
        "findings" leaves out the last sentences before the impression, or the last ones of a text
        without an impression, and keeps the token that ends an answer. Where even that is not
        enough, and for any other value, the end is cut off.
    """
    if cut == "findings":
        headings = [m for m in HEADING.finditer(answer) if _heads_conclusion(m)]
        start = headings[-1].start() if headings else len(answer)
        body, conclusion = answer[:start], answer[start:]
        for first, _ in reversed(sentence_spans(body)):
            kept = f"{body[:first].rstrip()} {conclusion}".strip()
            ids = processor.answer_ids(kept)
            if len(ids) <= room and kept:
                return ids
    return processor.answer_ids(answer)[: max(room, 0)]


def _heads_conclusion(heading: re.Match[str]) -> bool:
    return (heading[1] or heading[2]).capitalize() in CONCLUSIONS


def block_mask(segment_ids: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return the additive attention mask of packed sequences, as drawn above.

    segment_ids: [B, T] -> [B, 1, T, T], 0 where a token attends and the lowest number of `dtype`
    where it does not.
    """
    length = segment_ids.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool, device=segment_ids.device).tril()
    same = segment_ids[:, :, None] == segment_ids[:, None, :]
    prefix = (segment_ids[:, None, :] == 0) & (segment_ids[:, :, None] >= 0)
    visible = causal & (same | prefix)
    mask = torch.zeros(visible.shape, dtype=dtype, device=segment_ids.device)
    return mask.masked_fill_(~visible, torch.finfo(dtype).min)[:, None]


def decisive_ids(processor: VolumeLanguageProcessor, words: Iterable[str]) -> frozenset[int]:
    """Return the ids of the tokens that carry an answer.

    These are the first tokens of the words (after a blank, after a bracket, or at the start of an
    answer) and of what decides between answers: yes, no, the letter of a choice.
    """
    words = list(words)
    found = [processor.text_ids(form) for word in words for form in (f" {word}", f"({word}")]
    starts = ("Yes", "No", "A.", "B.", "C.", "D.", *(word.capitalize() for word in words))
    found += [processor.answer_ids(start) for start in starts]
    # The first token with a letter or digit: some tokenizers make a blank a token of its own.
    pieces = ((i, processor.tokenizer.decode([i])) for ids in found for i in ids)
    lettered = {i for i, piece in pieces if any(map(str.isalnum, piece))}
    return frozenset(next(i for i in ids if i in lettered) for ids in found)
