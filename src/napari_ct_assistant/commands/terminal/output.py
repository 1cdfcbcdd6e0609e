"""What the commands share: notes, JSON, one-line errors, Ctrl-C."""

from __future__ import annotations

import json
import math
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

from napari_ct_assistant.support.errors import CTAssistantError
from napari_ct_assistant.support.plain_text import escaped_json, plain

if TYPE_CHECKING:
    from types import FrameType

CUT: Final = 3  # the text has no end
INTERRUPTED: Final = 130  # the shell's exit status after Ctrl-C
NO_MEMORY: Final = "the memory is not enough; close other programs, or use a smaller scan or model"


def say(text: str = "", *, line_break: bool = True) -> None:
    """Print `text` on stdout; every result goes through here."""
    typer.echo(plain(text), nl=line_break)


def note(text: str, *, line_break: bool = True) -> None:
    """Print `text` on stderr: progress and warnings, as opposed to results."""
    typer.echo(plain(text), nl=line_break, err=True)


def fail(text: str) -> typer.Exit:
    """Print `text` as a one-line error and return the exit to raise."""
    note(f"error: {' '.join(text.split())}")
    return typer.Exit(1)


def print_json(result: Any) -> None:
    """Print `result` as indented JSON on stdout; NaN and infinity become null."""
    text = json.dumps(_finite(result), indent=2, ensure_ascii=False, allow_nan=False)
    typer.echo(escaped_json(text))


def _finite(value: Any) -> Any:
    """Return `value` with None in place of NaN and infinity, which JSON does not have."""
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn bad input into one line on stderr and exit status 1, Ctrl-C into 130.

    Any other exception is a bug and keeps its traceback.
    """
    try:
        yield
    except BrokenPipeError:  # `ct-assistant ... | head` has closed the pipe
        raise
    except KeyboardInterrupt:
        note("stopped")
        raise typer.Exit(INTERRUPTED) from None
    except MemoryError as error:
        raise fail(NO_MEMORY) from error
    except CTAssistantError as error:
        raise fail(_without_traceback(str(error))) from error
    except OSError as error:
        # The folders above may be named for a patient.
        where = f"{Path(str(error.filename)).name}: " if error.filename else ""
        raise fail(f"{where}{error.strerror or error}") from error
    except Exception as error:
        if "DefaultCPUAllocator" in str(error):  # torch's MemoryError
            raise fail(NO_MEMORY) from error
        if _out_of_device_memory(error):
            raise fail(
                "the device is out of memory; close other programs or use --device cpu"
            ) from error
        raise


def _without_traceback(text: str) -> str:
    """Return the line of an error; torch puts a loader process's whole traceback before it."""
    if not re.match(r"Caught \w+ in DataLoader worker process \d+\.\n", text):
        return text
    return re.sub(r"^[\w.]+: ", "", text.rstrip().rpartition("\n")[2])


def _out_of_device_memory(error: Exception) -> bool:
    """Return whether `error` is torch's; it cannot be where torch has not been imported."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(error, torch.OutOfMemoryError)


@contextmanager
def cancel_on_interrupt() -> Iterator[threading.Event]:
    """Yield an event that the first Ctrl-C sets; the second interrupts as usual.

    Generation checks the event after each token, so the text written so far is kept.
    """
    cancel = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        if cancel.is_set():
            signal.default_int_handler(number, frame)
        cancel.set()

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield cancel
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def kept_in_json(key: str, **more: Any) -> Iterator[Callable[[str], None]]:
    """Yield what collects a streamed text; if the work fails, print what there is of it as JSON.

    The JSON has the text under `key` and the fields that say why it is not whole. The error goes
    on, so the command still ends with its line and status 1.
    """
    pieces: list[str] = []
    try:
        yield pieces.append
    except CTAssistantError as error:
        if text := "".join(pieces).strip():
            print_json({"complete": False, "incomplete": str(error), **more, key: text})
        raise


def end_if_stopped(stopped: bool, kept: str) -> None:
    """If the work was stopped, say what was kept and exit with the status of Ctrl-C."""
    if stopped:
        note(f"stopped: {kept}")
        raise typer.Exit(INTERRUPTED)


def end_if_cut(incomplete: str) -> None:
    """If a text is not whole, say so on stderr, too, and exit with a status of its own."""
    if incomplete:
        note(f"warning: {incomplete}")
        raise typer.Exit(CUT)


def print_notice(notice: str) -> None:
    """Print the model's notice under a result, if it has one."""
    if notice:
        say(f"\n{notice}")
