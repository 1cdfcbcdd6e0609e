"""The row below the report's buttons that says what was exported, with a button that opens it."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QUrl, Signal
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QWidget

from napari_ct_assistant.support.translation import _
from napari_ct_assistant.viewer.texts import TIPS
from napari_ct_assistant.viewer.widgets import button, eliding_label, row
from napari_ct_assistant.viewer.widgets import tip as plain_tip


class ExportedRow(QWidget):
    """Says what was exported, or why nothing was.

    Signals
    -------
    status_message : str
        One line that says why a file cannot be opened.
    """

    status_message = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.file: Path | None = None
        self.label = eliding_label()
        self.label.setObjectName("notice")
        self.label.setAccessibleName(_("Export"))
        self.open_button = button(_("Open"), TIPS["open_export"], small=True)
        self.close_button = button(_("Hide"), TIPS["hide_export"], small=True)
        line = row(self.label, self.open_button, self.close_button)
        line.setStretchFactor(self.label, 1)
        self.setLayout(line)
        self.open_button.clicked.connect(self.open)
        self.close_button.clicked.connect(self.clear)
        self.hide()

    def tell(self, text: str, file: Path | None = None) -> None:
        """Show `text`; `file` is what can be opened."""
        self.file = file
        self.label.setText(text)
        self.label.setToolTip(plain_tip(text))
        self.open_button.setVisible(file is not None)
        self.show()

    def clear(self) -> None:
        """Hide the row and forget the file."""
        self.file = None
        self.label.setText("")
        self.label.setToolTip(plain_tip(""))
        self.hide()

    def open(self) -> None:
        """Open the file with the program that the desktop uses for such files."""
        if self.file is None:
            return
        if not self.file.exists():
            self.status_message.emit(_("{file} is no longer there").format(file=self.file.name))
        elif not QDesktopServices.openUrl(QUrl.fromLocalFile(str(self.file.absolute()))):
            self.status_message.emit(_("No program opens {file} here").format(file=self.file.name))
