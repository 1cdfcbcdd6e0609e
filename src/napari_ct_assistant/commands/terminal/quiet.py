"""Keep the warnings and progress bars of other libraries out of a command's output."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_LIBRARIES: Final = ("accelerate", "huggingface_hub", "peft", "torch", "transformers")


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Silence the warnings, log lines and progress bars of the libraries that train.

    They are about how this package calls those libraries, not about the user's data. Python's
    option `-W` and PYTHONWARNINGS bring the warnings back.
    """
    levels = {name: logging.getLogger(name).level for name in _LIBRARIES}
    # Read by transformers and huggingface_hub when they are imported, here and in other processes.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    # Read by torch when it is imported: its C++ parts warn about how DDP is called.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel(logging.ERROR)
    if "transformers" in sys.modules:
        _without_bars()
    with warnings.catch_warnings():
        # Replaced instead of a filter for all, so that what makes a warning an error still does.
        if not sys.warnoptions and "PYTHONWARNINGS" not in os.environ:
            warnings.showwarning = _drop
        try:
            yield
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)


def _drop(*_: object, **__: object) -> None:
    """Print nothing."""


def _without_bars() -> None:
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
