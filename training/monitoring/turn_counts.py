"""Which questions a run trains on, and which answers are too long."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from napari_ct_assistant.support import atomic
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.sequences.conversation_dataset import ConversationDataset
from napari_ct_assistant.training.sequences.packing import fit_turns
from napari_ct_assistant.training.sequences.turns import Turn

FILE = "turns.csv"
# A pass of CT-RATE has 760,000 pairs. Drawing and measuring one takes a fraction of a millisecond,
# and a packed sequence of a phantom some milliseconds.
_MOST_PAIRS = 20_000
_MOST_SEQUENCES = 500

Kind = tuple[str, str]  # data set, kind of question


@dataclass
class TurnCounts:
    """Turns by data set and kind.

    Parameters
    ----------
    turns
        How many turns of each kind the run has.
    looked_at, samples
        So many samples were drawn to count the rest, of how many of the run.
    shortened, left_out
        How many of the turns that were looked at lose a part of their answer, and how many did not
        fit into their sequence.
    """

    turns: Counter[Kind] = field(default_factory=Counter)
    looked_at: int = 0
    samples: int = 0
    shortened: Counter[Kind] = field(default_factory=Counter)
    left_out: Counter[Kind] = field(default_factory=Counter)

    @property
    def exact(self) -> bool:
        """Whether every sample was looked at."""
        return self.looked_at == self.samples

    def write(self, folder: Path) -> None:
        """Write `turns.csv`: data set, kind, turns, share, and those that are too long."""
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(["data_set", "kind", "turns", "share", "shortened", "left_out"])
        total = sum(self.turns.values())
        for kind, count in sorted(self.turns.items()):
            share = f"{count / total:.4f}"
            long = [self._of_all(counts, kind) for counts in (self.shortened, self.left_out)]
            rows.writerow([*kind, count, share, *long])
        atomic.write_text(folder / FILE, text.getvalue())

    def _of_all(self, counts: Counter[Kind], kind: Kind) -> int:
        return round(counts[kind] * self.samples / max(self.looked_at, 1))


def count_turns(dataset: ConversationDataset) -> TurnCounts:
    """Count the turns of a run.

    A run of whole passes is counted whole. What is drawn anew for each sample is counted in samples
    that are spread evenly over the run, as is what is too long.

    Raises
    ------
    RecipeError
        If an answer is too long and the recipe says `conversation.cut: refuse`.
    """
    source = dataset.source
    counts = TurnCounts(samples=len(dataset))
    most = _MOST_PAIRS if dataset.places is not None else _MOST_SEQUENCES
    counts.looked_at = min(len(dataset), most)
    drawn: Counter[Kind] = Counter()
    for place in range(counts.looked_at):
        index, turns, rng = dataset.drawn(place * len(dataset) // counts.looked_at)
        name = source.dataset(index)
        drawn.update((name, turn.kind) for turn in turns)
        for turn, fits in _fitted(dataset, index, turns, rng):
            if fits is None:
                counts.left_out[name, turn.kind] += 1
            elif not fits:
                counts.shortened[name, turn.kind] += 1
    if dataset.places is not None and len(dataset) % dataset.items == 0:
        passes = len(dataset) // dataset.items
        for index in range(len(source)):
            name = source.dataset(index)
            for turn in source.pairs(index) or []:
                counts.turns[name, turn.kind] += passes
    else:
        scale = len(dataset) / counts.looked_at
        counts.turns.update({kind: round(count * scale) for kind, count in drawn.items()})
    if counts.shortened and dataset.settings.cut == "refuse":
        raise RecipeError(
            f"conversation.max_length: {dataset.settings.max_length} tokens are too few for "
            f"{sum(counts.shortened.values())} of {sum(drawn.values())} answers; raise it, or set "
            "conversation.cut to findings or end"
        )
    return counts


def _fitted(
    dataset: ConversationDataset, index: int, turns: list[Turn], rng: object
) -> Iterator[tuple[Turn, bool | None]]:
    """Yield each turn and whether it fits; None where it is left out."""
    settings, processor = dataset.settings, dataset.processor
    prefix = len(dataset.prefix(index, rng))  # type: ignore[arg-type]
    # A token has at least one byte: what is short in bytes need not be tokenized.
    around = len(processor.opening_ids()) + len(processor.question_ids("")) + 8
    size = prefix + sum(len(f"{turn.question}{turn.answer}".encode()) + around for turn in turns)
    if size <= settings.max_length:
        yield from ((turn, True) for turn in turns)
        return
    fitted = list(fit_turns(prefix, turns, processor, settings))
    yield from zip(turns, (not one.shortened for one in fitted), strict=False)
    yield from ((turn, None) for turn in turns[len(fitted) :])
