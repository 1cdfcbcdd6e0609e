"""The errors for a scan that cannot be read."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from napari_ct_assistant.support.errors import CTAssistantError
from napari_ct_assistant.support.plain_text import plain
from napari_ct_assistant.support.translation import N_, Verbatim, said


class CTReadError(CTAssistantError, ValueError):
    """A path that is not a readable CT volume.

    The message is one line: it gives the own name of the file (or folder), says
    what is wrong with it and what to do. The whole path is in `path`. The message
    never quotes a patient's name, identifier, dates or DICOM UIDs.

    Parameters
    ----------
    path
        The file or folder.
    problem
        What is wrong with it, and what to do.
    """

    def __init__(self, path: str | Path, problem: str) -> None:
        # The folders above may be named for a patient, and a name may hold a newline.
        name = Path(path).name or str(path)
        super().__init__(plain(f"{name}: {problem}").replace("\n", " "))
        self.path = Path(path)
        self.problem = problem

    @property
    def text(self) -> str:
        """The text, which the panel translates."""
        name = plain(self.path.name or str(self.path)).replace("\n", " ")
        return said("{name}: {problem}", name=Verbatim(name), problem=self.problem)

    def __reduce__(self) -> tuple[type[CTReadError], tuple[Path, str]]:
        """Keep both arguments when the error leaves a worker process."""
        return type(self), (self.path, self.problem)


class OpeningStoppedError(CTReadError):
    """The opening of a scan was stopped by whoever started it."""

    def __init__(self, path: str | Path, problem: str = N_("opening was stopped")) -> None:
        super().__init__(path, problem)


def check_cancel(cancel: threading.Event | None, path: Path) -> None:
    """Raise OpeningStoppedError if `cancel` is set."""
    if cancel is not None and cancel.is_set():
        raise OpeningStoppedError(path)


@contextmanager
def memory_errors(path: Path) -> Iterator[None]:
    """Turn a MemoryError of the block into a CTReadError."""
    try:
        yield
    except MemoryError as error:
        raise CTReadError(
            path, said("the memory is not enough to open it; close other scans or programs")
        ) from error
