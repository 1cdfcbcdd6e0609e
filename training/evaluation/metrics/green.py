"""GREEN (Ostmeier et al. 2024), where radeval and its weights are on this machine."""

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

BATCH = 32  # pairs between two writes


def green_metric(weights: Path, folder: Path) -> TextMetric:
    """Return the metric: matched findings over matched ones and significant errors.

    It takes seconds a report on a GPU, so scores are kept in `green.jsonl` and never made twice.

    Parameters
    ----------
    weights
        A folder with GREEN-radllama2-7b or another model of its kind.
    folder
        Where scores are kept.

    Raises
    ------
    RecipeError
        If radeval is not installed, or the folder holds no model or asks to run its own code.
    """
    config = weights / "config.json"
    if not config.is_file():
        raise RecipeError(f"--green {weights}: no config.json; give the folder of GREEN's weights")
    for file in (config, weights / "tokenizer_config.json"):
        # radeval loads with trust_remote_code: without such an entry there is no code to trust.
        if file.is_file() and "auto_map" in json.loads(file.read_text(encoding="utf-8")):
            raise RecipeError(f"--green {weights}: {file.name} asks to run code of its own")
    if any(weights.glob("*.bin")) and not any(weights.glob("*.safetensors")):
        raise RecipeError(f"--green {weights}: its weights are pickles; give safetensors")
    try:
        from radeval.metrics.green_score.green import GREEN
    except ModuleNotFoundError as error:
        raise RecipeError(
            f"--green needs radeval ({error.name} is missing); install radeval in an environment "
            "of its own, since it changes the versions of numpy and torch"
        ) from error
    scorer = GREEN(str(weights), output_dir=str(folder))
    known = _Known(folder / "green.jsonl")

    def score(answers: Sequence[str], references: Sequence[str]) -> NDArray[np.float64]:
        pairs = [(_line(a), _line(r)) for a, r in zip(answers, references, strict=True)]
        missing = [p for p in dict.fromkeys(pairs) if known.get(p) is None]
        for begin in range(0, len(missing), BATCH):
            batch = missing[begin : begin + BATCH]
            _, _, scores, _ = scorer([r for _, r in batch], [a for a, _ in batch])
            for pair, value in zip(batch, scores, strict=True):
                known.add(pair, float(value))
        return np.array([PERCENT * (known.get(pair) or 0.0) for pair in pairs])

    name = f"radeval {version('radeval')} GREEN, {weights.name}"
    return TextMetric("GREEN", name, score, reports_only=True)


class _Known:
    """Scores of pairs, kept under a digest of both texts."""

    def __init__(self, file: Path):
        self._log = JsonLines(file)
        self.scores: dict[str, float] = dict(self._log.read())

    def get(self, pair: tuple[str, str]) -> float | None:
        # An empty answer matches nothing.
        return self.scores.get(_digest(pair)) if pair[0] else 0.0

    def add(self, pair: tuple[str, str], score: float) -> None:
        self.scores[_digest(pair)] = score
        self._log.append([_digest(pair), score])


def _digest(pair: tuple[str, str]) -> str:
    return hashlib.sha256("\0".join(pair).encode()).hexdigest()[:32]


def _line(text: str) -> str:
    return " ".join(text.split())
