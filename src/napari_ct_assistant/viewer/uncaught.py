"""Uncaught exceptions of this package, shown without the values of variables.

napari prints an uncaught exception to the terminal and shows it in a dialog. Where IPython is
installed, both list the values of all variables, among them the text of a report.
"""

from __future__ import annotations

import sys
import traceback
from types import TracebackType
from typing import Any, Final

from napari.utils.notifications import ErrorNotification, NotificationManager, notification_manager

from napari_ct_assistant.support.plain_text import plain, without_markup

_PACKAGE: Final = __name__.partition(".")[0]


class PrivateErrorNotification(ErrorNotification):
    """An error whose traceback has files and lines, but no values of variables."""

    def __init__(self, exception: BaseException) -> None:
        super().__init__(exception)
        self.message = without_markup(str(exception))

    def as_text(self) -> str:
        """Return the traceback."""
        return plain("".join(traceback.format_exception(self.exception)))

    def as_html(self) -> str:
        """Return the traceback; napari's own caller expects HTML."""
        return f"<pre>{without_markup(self.as_text())}</pre>"

    def __str__(self) -> str:
        return self.as_text()


def hide_values_in_tracebacks(manager: NotificationManager = notification_manager) -> None:
    """Let napari show exceptions that come through this package without values of variables.

    Exceptions of others are shown as before.
    """
    original = manager.receive_error
    if getattr(original, "hides_values", False):
        return

    def receive_error(
        kind: type[BaseException],
        error: BaseException,
        trace: TracebackType | None = None,
        thread: Any = None,
    ) -> None:
        shown_by_python = manager.exit_on_error or not manager.catch_error
        if shown_by_python or isinstance(error, KeyboardInterrupt) or not _is_ours(error):
            original(kind, error, trace, thread)
        else:
            manager.dispatch(PrivateErrorNotification(error))

    receive_error.hides_values = True  # type: ignore[attr-defined]
    # napari installs whatever it finds under this name as the hook of `sys`; it may have done so.
    if sys.excepthook == original:
        sys.excepthook = receive_error
    manager.receive_error = receive_error


def _is_ours(error: BaseException | None) -> bool:
    """Return whether an exception, or one that led to it, came through this package."""
    while error is not None:
        for frame, _ in traceback.walk_tb(error.__traceback__):
            if str(frame.f_globals.get("__name__", "")).partition(".")[0] == _PACKAGE:
                return True
        error = error.__cause__ or error.__context__
    return False
