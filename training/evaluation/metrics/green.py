"""GREEN (Ostmeier et al. 2024), computed by radeval with weights on this machine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_ct_assistant.support.jsonl import JsonLines
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.evaluation.metrics.text_metrics import PERCENT, TextMetric

BATCH = 32  # pairs scored before their scores are saved


def green_metric(weights: Path, folder: Path) -> TextMetric:
    """Return the metric: matched findings, divided by matched findings plus significant errors.

    A report takes seconds on a GPU, so scores are saved in `green.jsonl` and never computed twice.

    Parameters
    ----------
    weights
        Folder of GREEN-radllama2-7b or a similar model.
    folder
        Where scores are saved.

    Raises
    ------
    RecipeError
        If radeval is not installed, or the folder holds no model, holds pickles, or asks to run
        code of its own.
    """
    config = weights / "config.json"
    if not config.is_file():
        raise RecipeError(f"--green {weights}: no config.json; give the folder of GREEN's weights")
    for file in (config, weights / "tokenizer_config.json"):
        # radeval loads with trust_remote_code, which runs code only if there is such an entry.
        if file.is_file() and "auto_map" in json.loads(file.read_text(encoding="utf-8")):
            raise RecipeError(
                f"--green {weights}: {file.name} asks to run code of its own; give a model without"
            )
    if any(weights.glob("*.bin")) and not any(weights.glob("*.safetensors")):
        raise RecipeError(f"--green {weights}: the weights are pickles; give safetensors")
    try:
        from radeval.metrics.green_score.green import GREEN
    except ModuleNotFoundError as error:
        raise RecipeError(
            f"--green needs radeval ({error.name} is missing); install radeval in an environment "
            "of its own, since it changes the versions of numpy and torch"
        ) from error
    scorer = GREEN(str(weights), output_dir=str(folder))
    saved = _SavedScores(folder / "green.jsonl")

    def score(answers: Sequence[str], references: Sequence[str]) -> NDArray[np.float64]:
        pairs = [(_line(a), _line(r)) for a, r in zip(answers, references, strict=True)]
        missing = [p for p in dict.fromkeys(pairs) if saved.get(p) is None]
        for begin in range(0, len(missing), BATCH):
            batch = missing[begin : begin + BATCH]
            _, _, scores, _ = scorer([r for _, r in batch], [a for a, _ in batch])
            for pair, value in zip(batch, scores, strict=True):
                saved.add(pair, float(value))
        return np.array([PERCENT * (saved.get(pair) or 0.0) for pair in pairs])

    name = f"radeval {version('radeval')} GREEN, {weights.name}"
    return TextMetric("GREEN", name, score, reports_only=True)


class _SavedScores:
    """The scores of pairs, saved under a digest of both texts."""

    def __init__(self, file: Path):
        self._log = JsonLines(file)
        self.scores: dict[str, float] = dict(self._log.read())

    def get(self, pair: tuple[str, str]) -> float | None:
        # An empty answer matches no finding.
        return self.scores.get(_digest(pair)) if pair[0] else 0.0

    def add(self, pair: tuple[str, str], score: float) -> None:
        self.scores[_digest(pair)] = score
        self._log.append([_digest(pair), score])


def _digest(pair: tuple[str, str]) -> str:
    return hashlib.sha256("\0".join(pair).encode()).hexdigest()[:32]


def _line(text: str) -> str:
    return " ".join(text.split())
