"""What the commands that train and evaluate share: their extras, and quiet libraries.

If an optional package is missing, the extra to install is named.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final

from napari_ct_assistant.commands.terminal.output import fail
from napari_ct_assistant.commands.terminal.quiet import quiet_libraries

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
    """Exit with the name of the extra `train` if one of its packages is missing."""
    return _extra("train", _TRAIN)


def evaluation_extra() -> AbstractContextManager[None]:
    """Exit with the name of the extra `evaluate` if one of its packages is missing."""
    return _extra("evaluate", _EVALUATE)


@contextmanager
def _extra(extra: str, modules: Collection[str]) -> Iterator[None]:
    try:
        with quiet_libraries():
            yield
    except ModuleNotFoundError as error:
        if error.name not in modules:
            raise
        raise fail(
            f"this command needs {error.name}: pip install 'napari-ct-assistant[{extra}]'"
        ) from error
