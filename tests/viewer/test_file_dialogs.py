"""Qt keeps no list of the folders that were chosen: they may be named for patients."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from qtpy.QtCore import QSettings, Qt, QTimer
from qtpy.QtWidgets import QApplication, QFileDialog, QLineEdit, QWidget

from napari_ct_assistant.viewer.file_dialogs import choose_file, choose_folder, choose_new_file

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

PERSON = "DOE_JANE"
KEYS = ("FileDialog/history", "FileDialog/lastVisited")


@pytest.fixture
def settings() -> Iterator[QSettings]:
    """Return Qt's own settings, which are put back afterwards."""
    settings = QSettings(QSettings.Scope.UserScope, "QtProject")
    before = {key: settings.value(key) for key in KEYS}
    yield settings
    for key, value in before.items():
        if value is None:
            settings.remove(key)
        else:
            settings.setValue(key, value)
    settings.sync()


def answer(folder: Path, name: str) -> None:
    """Fill in the dialog that is open, as a person would, and accept it."""
    dialog = QApplication.activeModalWidget()
    assert isinstance(dialog, QFileDialog)
    dialog.setDirectory(str(folder))
    if name:
        line = dialog.findChild(QLineEdit)
        assert line is not None
        line.setText(name)
    QTimer.singleShot(100, dialog.accept)
    QTimer.singleShot(5_000, dialog.reject)


@pytest.mark.parametrize("kind", ["folder", "file", "new file"])
def test_a_chosen_folder_is_not_remembered(
    qtbot: QtBot, tmp_path: Path, settings: QSettings, kind: str
) -> None:
    # Qt's dialog, not the system's, whose buttons a test cannot press.
    QApplication.setAttribute(Qt.ApplicationAttribute.AA_DontUseNativeDialogs)
    parent = QWidget()
    qtbot.addWidget(parent)
    folder = tmp_path / PERSON
    folder.mkdir()
    (folder / "scan.dcm").touch()
    settings.setValue(KEYS[0], [f"file://{tmp_path}"])
    settings.sync()

    def remembered() -> str:
        settings.sync()
        return str([settings.value(key) for key in KEYS])

    name = {"folder": "", "file": "scan.dcm", "new file": "report.txt"}[kind]
    QTimer.singleShot(100, lambda: answer(folder, name))
    if kind == "folder":
        chosen = choose_folder(parent, "title")
    elif kind == "file":
        chosen = choose_file(parent, "title", "All files (*)")
    else:
        chosen = choose_new_file(parent, "title", "report.txt", "Text (*.txt)")
    assert Path(chosen) == folder / name
    assert PERSON not in remembered()
    assert str(tmp_path) in remembered()  # what others chose stays
    # Nor does the next dialog of another plugin write it.
    other = QFileDialog()
    other.setOption(QFileDialog.Option.DontUseNativeDialog)
    del other
    assert PERSON not in remembered()
