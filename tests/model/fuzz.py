"""Damage model folders at random and load them: a model or a ModelLoadError, nothing else.

    python -m tests.model.fuzz [--count 2000] [--seed 0]

A tiny model's settings, tokenizer, weights' header and files are changed; it is loaded in a
worker process. A case fails if it ends in another exception, in more than one line, takes more
than 2 s of processor time or 500 MB, or kills the worker. Case N of a seed is always the same.
"""

from __future__ import annotations

import random
import shutil
import sys
import time
import warnings
from pathlib import Path

from napari_ct_assistant import load_assistant
from napari_ct_assistant.model.errors import ModelLoadError
from tests.fuzzing import Outcome, Run, judge, main
from tests.model.damage import CHANGES
from tests.tiny_model import save_tiny_model

SECONDS = 2.0
MEMORY = 500 << 20


def prepare(folder: Path, seed: int) -> Run:
    """Make the sound model; return what takes a case."""
    warnings.simplefilter("ignore")  # libraries warn of what they are given
    sound = save_tiny_model(folder / "sound", learned=False)
    load_assistant(sound, device="cpu").close()  # imports what loading needs

    def run(case: int, place: Path) -> Outcome:
        rng = random.Random(seed * 1_000_003 + case)
        model = place / "model"
        shutil.copytree(sound, model)
        change = CHANGES[case % len(CHANGES)]
        change(model, rng)

        def load() -> str:
            start = time.process_time()
            try:
                assistant = load_assistant(model, device="cpu")
                # What is asked first, before the network runs.
                processor = assistant.backend.processor
                processor.question_ids("Is there a pleural effusion?")
                assistant.close()
            finally:
                taken = time.process_time() - start
            return f"took {taken:.1f} s of processor time" if taken > SECONDS else ""

        return judge(change.__name__, load, ModelLoadError, begins="model: ", seconds=60,
                     memory=MEMORY)  # fmt: skip

    return run


if __name__ == "__main__":
    sys.exit(main(prepare, "damaged model folders", 2000))
