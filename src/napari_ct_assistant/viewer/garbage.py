"""Collects garbage in the thread that owns the widgets, for as long as the program runs."""

from __future__ import annotations

from qtpy.QtCore import QObject, QTimer
from qtpy.QtWidgets import QApplication

from napari_ct_assistant.support.collector import (
    collect_anywhere,
    collect_here_only,
    collect_if_due,
)

INTERVAL_MS = 200


def collect_in_this_thread() -> None:
    """Collect garbage here only, from now until the program ends; called once a panel is docked.

    A model is loaded and asked in other threads. Closing the panel does not end them, and the
    widgets of a closed panel are garbage, so closing it changes nothing here.
    """
    app = QApplication.instance()
    if app is None:
        return
    collect_here_only()
    if app.findChild(_Collector) is None:
        _Collector(app)


class _Collector(QObject):
    """Looks five times a second whether a collection is due."""

    def __init__(self, app: QObject) -> None:
        super().__init__(app)
        timer = QTimer(self)
        timer.timeout.connect(collect_if_due)
        timer.start(INTERVAL_MS)
        app.aboutToQuit.connect(collect_anywhere)
