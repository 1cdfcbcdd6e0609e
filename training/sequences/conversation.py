"""From questions and answers about a scan to training sequences.

Packed, one scan's image tokens are followed by many questions with their answers. A block
mask lets each see the image and itself but no other, and positions start anew after the
image, so the loss is that of as many separate sequences at a fraction of the cost.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from napari_ct_assistant.model.processor import VolumeLanguageProcessor
from napari_ct_assistant.report_text.questions import (
    FINDINGS_QUESTION,
    IMPRESSION_QUESTION,
    REPORT_QUESTION,
)
from napari_ct_assistant.report_text.sentences import split_sections, split_sentences
from napari_ct_assistant.training.config.recipe import ConversationSettings
from napari_ct_assistant.training.data.order import shuffled_index


@dataclass(frozen=True)
class Turn:
    """One question with its answer; `text_only`, it says all that is needed and no scan is seen."""

    question: str
    answer: str
    text_only: bool = False


class ConversationSource(Protocol):
    """Scans with what can be asked about them."""

    def __len__(self) -> int: ...

    def turns(self, index: int, rng: np.random.Generator, progress: float) -> list[Turn]:
        """Draw the turns of one training sample; `progress` is the share of them before it."""
        ...

    def tags(self, index: int) -> list[str]:
        """Return the names of what a scan shows, for when its image is left out."""
        ...

    def name(self, index: int) -> str:
        """Name a scan in an error."""
        ...

    def detail_words(self) -> frozenset[str]:
        """Return the words, in lower case, that say how or where a finding is."""
        ...

    def inputs(self, index: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """`pixel_values` [1, D, H, W] or `vision_tokens` [N, C] of a scan; empty for text alone."""
        ...


def report_turns(
    report: str,
    others: Sequence[str],
    settings: ConversationSettings,
    rng: np.random.Generator | None = None,
) -> list[Turn]:
    """Ask for a scan's report: in one turn, or as findings and the impression of given findings.

    The impressions are those of `others`, without a scan to look at; with `rng`, the share
    `settings.shuffled` of them is drawn from findings in any order. A report without both
    sections is asked for in one turn.
    """
    mine = split_sections(report)
    if not settings.impressions or not {"Findings", "Impression"} <= mine.keys():
        return [Turn(REPORT_QUESTION, report)]
    turns = [Turn(FINDINGS_QUESTION, mine["Findings"])]
    for parts in map(split_sections, others):
        findings = parts["Findings"]
        if rng is not None and settings.shuffled and rng.random() < settings.shuffled:
            findings = _reordered(findings, rng)
        question = IMPRESSION_QUESTION.replace("{findings}", findings)
        turns.append(Turn(question, parts["Impression"], text_only=True))
    return turns


def _reordered(text: str, rng: np.random.Generator) -> str:
    sentences = [text[start:stop].strip() for start, stop in split_sentences(text)]
    return " ".join(sentences[i] for i in rng.permutation(len(sentences)))


def choose_turns(
    report: str,
    questions: Sequence[Any],
    settings: ConversationSettings,
    rng: np.random.Generator,
    others: Sequence[str] = (),
) -> list[Turn]:
    """Draw a report (see `report_turns`) and some questions of one scan.

    Of the yes/no questions, the share `settings.positives` (or as many as there are) asks for
    what is present, so that "no" is not the safe answer. They make up the share
    `settings.yes_no`; the other kinds take turns in what is left.
    """
    turns = report_turns(report, others or (report,), settings, rng) if settings.report else []
    yes = [q for q in questions if q.kind == "yes_no" and q.answer.startswith("Yes")]
    no = [q for q in questions if q.kind == "yes_no" and not q.answer.startswith("Yes")]
    pairs = round(settings.questions * settings.yes_no)
    n_yes = min(len(yes), round(pairs * settings.positives))
    picked = _draw(yes, n_yes, rng) + _draw(no, pairs - n_yes, rng)
    picked += _take_turns(
        [q for q in questions if q.kind != "yes_no"], settings.questions - len(picked), rng
    )
    turns += [Turn(q.question, q.answer) for q in picked]
    return turns if settings.packed else [turns[int(rng.integers(len(turns)))]]


def _draw(items: list[Any], count: int, rng: np.random.Generator) -> list[Any]:
    return [items[i] for i in rng.permutation(len(items))[:count]]


def _take_turns(items: list[Any], count: int, rng: np.random.Generator) -> list[Any]:
    """Draw one question of each kind, in any order, then another of each, and so on."""
    kinds: dict[str, list[Any]] = {}
    for item in _draw(items, len(items), rng):
        kinds.setdefault(item.kind, []).append(item)
    rounds = zip_longest(*kinds.values())
    return [q for one in rounds for q in one if q is not None][:count]


class ConversationDataset(Dataset[dict[str, Any]]):
    """Training sequences; sample k depends on (seed, k) alone."""

    def __init__(
        self,
        source: ConversationSource,
        processor: VolumeLanguageProcessor,
        settings: ConversationSettings,
        samples: int,
        seed: int,
    ):
        self.source = source
        self.processor = processor
        self.settings = settings
        self.samples = samples
        self.seed = seed
        self.decisive: frozenset[int] = frozenset()
        if settings.detail_weight != 1:
            self.decisive = decisive_ids(processor, source.detail_words())

    def __len__(self) -> int:
        return self.samples

    def __getitem__(self, k: int) -> dict[str, Any]:
        index = shuffled_index(self.seed, k, len(self.source))
        rng = np.random.default_rng([self.seed, k, 1])
        turns = self.source.turns(index, rng, k / self.samples)
        inputs = self.source.inputs(index, rng)
        prefix = self.processor.prefix_ids()
        if not inputs:
            tags = [self.processor.text_ids(f" {tag}") for tag in self.source.tags(index)]
            blank = self.processor.image_token_id
            if self.settings.scatter:
                prefix = scatter_tags(prefix, blank, tags, rng)
            else:
                prefix = self.processor.opening_ids()
                for i in rng.permutation(len(tags)):
                    prefix += tags[i]
        sequence = pack_sequence(prefix, turns, self.processor, self.settings, self.decisive)
        return {**sequence, **inputs, "volume": torch.tensor(index)}

    def name(self, index: int) -> str:
        """Name a scan in an error."""
        return self.source.name(index)


def decisive_ids(processor: VolumeLanguageProcessor, words: Iterable[str]) -> frozenset[int]:
    """Return the ids on which an answer turns.

    Those that the words begin with, after a blank, after a bracket or as an answer's first, and
    with which an answer takes a side: yes, no, the letter of a choice.
    """
    words = list(words)
    found = [processor.text_ids(form) for word in words for form in (f" {word}", f"({word}")]
    firsts = ("Yes", "No", "A.", "B.", "C.", "D.", *(word.capitalize() for word in words))
    found += [processor.answer_ids(first) for first in firsts]
    # The first piece with a letter: some tokenizers make a blank a piece of its own.
    pieces = ((i, processor.tokenizer.decode([i])) for ids in found for i in ids)
    lettered = {i for i, piece in pieces if any(map(str.isalnum, piece))}
    return frozenset(next(i for i in ids if i in lettered) for ids in found)


def pack_sequence(
    prefix: list[int],
    turns: Sequence[Turn],
    processor: VolumeLanguageProcessor,
    settings: ConversationSettings,
    decisive: frozenset[int] = frozenset(),
) -> dict[str, Tensor]:
    """Lay a prefix and its turns out in one sequence.

    Ids among `decisive` weigh `settings.detail_weight` times as much in an answer. A turn that
    stands alone begins anew, at position 0, with what comes before the image.

    Returns
    -------
    dict with, each [T], `input_ids`, `labels` (-100 outside answers), `position_ids`,
    `segments` (0 for the prefix, -1 where no turn is to see it; then the turn's number, below -1
    where it stands alone among others) and `loss_weights`.
    """
    unseen = not settings.packed and turns[0].text_only
    ids, labels = list(prefix), [-100] * len(prefix)
    positions, segments = list(range(len(prefix))), [-1 if unseen else 0] * len(prefix)
    opening = processor.opening_ids() if any(turn.text_only for turn in turns) else []
    weights = [0.0] * len(prefix)
    for number, turn in enumerate(turns, start=1):
        question = (opening if turn.text_only else []) + processor.question_ids(turn.question)
        answer = processor.answer_ids(turn.answer)
        room = settings.max_length - (len(ids) if settings.packed else len(prefix))
        if len(question) + len(answer) > room:
            if number > 1:
                break  # a packed sequence is full
            answer = answer[: max(room - len(question), 0)]
        # By answer: each counts as the root of its length, so that one decisive word of a
        # short answer is not drowned in a report's hundred.
        weight = 1.0 if settings.weighting == "token" else len(answer) ** -0.5
        ids += question + answer
        labels += [-100] * len(question) + answer
        weights += [0.0] * len(question)
        weights += [weight * (settings.detail_weight if i in decisive else 1) for i in answer]
        first, length = 0 if turn.text_only else len(prefix), len(question) + len(answer)
        positions += range(first, first + length)
        segments += [-1 - number if turn.text_only and settings.packed else number] * length
    return {
        "input_ids": torch.tensor(ids),
        "labels": torch.tensor(labels),
        "position_ids": torch.tensor(positions),
        "segments": torch.tensor(segments),
        "loss_weights": torch.tensor(weights),
    }


def scatter_tags(
    prefix: list[int], blank: int, tags: Sequence[list[int]], rng: np.random.Generator
) -> list[int]:
    """Write each tag over the blanks of a prefix at one to six places, as an image would.

    Returns a prefix of the same length.
    """
    prefix = list(prefix)
    first, count = prefix.index(blank), prefix.count(blank)
    for tag in tags:
        for _ in range(int(rng.integers(1, 7))):
            at = first + int(rng.integers(count - len(tag) + 1))
            prefix[at : at + len(tag)] = tag
    return prefix


def block_mask(segments: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return the additive attention mask of packed sequences.

    segments: [B, T], -1 where padded -> [B, 1, T, T]; a token sees what came before it in its
    own turn, and, where that is above 0, the prefix (0).
    """
    length = segments.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool, device=segments.device).tril()
    same = segments[:, :, None] == segments[:, None, :]
    prefix = (segments[:, None, :] == 0) & (segments[:, :, None] >= 0)
    # A padded token sees itself, or its row would be empty and its softmax NaN.
    visible = causal & (same | prefix)
    mask = torch.zeros(visible.shape, dtype=dtype, device=segments.device)
    return mask.masked_fill_(~visible, torch.finfo(dtype).min)[:, None]


class Collator:
    """Pad sequences on the right and make their attention mask."""

    def __init__(self, pad_id: int, *, packed: bool):
        self.pad_id = pad_id
        self.packed = packed

    def __call__(self, samples: list[dict[str, Any]]) -> dict[str, Tensor]:
        """Make a batch of samples of a `ConversationDataset`."""
        fill = {
            "input_ids": self.pad_id,
            "labels": -100,
            "position_ids": 0,
            "segments": -1,
            "loss_weights": 0.0,
        }
        batch = {
            name: torch.nn.utils.rnn.pad_sequence(
                [sample[name] for sample in samples], batch_first=True, padding_value=value
            )
            for name, value in fill.items()
        }
        segments = batch.pop("segments")
        batch["attention_mask"] = block_mask(segments) if self.packed else (segments >= 0).long()
        for name in ("pixel_values", "vision_tokens", "volume"):
            if name in samples[0]:
                batch[name] = torch.stack([sample[name] for sample in samples])
        return batch
