"""What to install where a command's optional packages are absent."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final

from napari_ct_assistant.commands.terminal import fail

_TRAIN: Final = {"accelerate", "blosc2", "peft", "pydantic", "sklearn", "tokenizers", "yaml"}
_EVALUATE: Final = {
    "accelerate",
    "blosc2",
    "matplotlib",
    "nltk",
    "peft",
    "pydantic",
    "rouge_score",
    "sacrebleu",
    "sklearn",
    "yaml",
}


def training_extra() -> AbstractContextManager[None]:
    """Name the extra `train` where one of its packages is absent."""
    return _extra("training", "train", _TRAIN)


def evaluation_extra() -> AbstractContextManager[None]:
    """Name the extra `evaluate` where one of its packages is absent."""
    return _extra("this", "evaluate", _EVALUATE)


@contextmanager
def _extra(who: str, extra: str, modules: Collection[str]) -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in modules:
            raise
        raise fail(
            f"{who} needs {error.name}: pip install 'napari-ct-assistant[{extra}]'"
        ) from error
