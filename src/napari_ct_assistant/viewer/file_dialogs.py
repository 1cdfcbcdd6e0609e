"""Qt's dialogs for folders and files, without Qt's own list of the folders that were visited.

Qt keeps that list in its settings file and in each process. Folders of scans and reports may be
named for patients.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from qtpy.QtCore import QDir, QSettings
from qtpy.QtWidgets import QFileDialog, QWidget

# Qt's names: `saveSettings` in qfiledialog.cpp.
_ORGANIZATION = "QtProject"
_KEYS = ("FileDialog/history", "FileDialog/lastVisited")


def choose_folder(parent: QWidget, title: str, start: str = "") -> str:
    """Ask for a folder, in `start` at first; "" if none was chosen."""
    with _no_history():
        return str(QFileDialog.getExistingDirectory(parent, title, start))


def choose_file(parent: QWidget, title: str, filters: str) -> str:
    """Ask for a file that exists; "" if none was chosen."""
    with _no_history():
        return str(QFileDialog.getOpenFileName(parent, title, "", filters)[0])


def choose_new_file(parent: QWidget, title: str, name: str, filters: str) -> str:
    """Ask for a file to write, `name` at first; "" if none was chosen."""
    with _no_history():
        return str(QFileDialog.getSaveFileName(parent, title, name, filters)[0])


@contextmanager
def _no_history() -> Iterator[None]:
    settings = QSettings(QSettings.Scope.UserScope, _ORGANIZATION)
    before = {key: settings.value(key) for key in _KEYS}
    try:
        yield
    finally:
        _forget_folder()
        settings.sync()
        for key, value in before.items():
            if value is None:
                settings.remove(key)
            else:
                settings.setValue(key, value)
        settings.sync()


def _forget_folder() -> None:
    """Reset the folder that the process remembers, which the next dialog of anybody would save."""
    dialog = QFileDialog()
    dialog.setOption(QFileDialog.Option.DontUseNativeDialog)
    dialog.setDirectory(QDir.homePath())
    # Without references the dialog is gone when this returns, and has written its settings.
