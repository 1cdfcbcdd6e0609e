"""Which model reads the scan, and the notice that belongs to it."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_ct_assistant.viewer.words import DEMO_NOTICE, REAL_NOTICE, TIPS


class ModelPicker(QWidget):
    """An editable box (a bundled name, a folder or a hub id), a folder button, the notice.

    Signals
    -------
    changed : str
        Another model was chosen.
    """

    changed = Signal(str)

    def __init__(self, model: str = "demo", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.box = QComboBox()
        self.box.setEditable(True)
        self.box.setInsertPolicy(QComboBox.InsertPolicy.InsertAtTop)
        self.box.setToolTip(TIPS["model"])
        self.box.setAccessibleName("Model")
        self.box.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.box.setMinimumContentsLength(16)
        self.box.addItem("demo")
        self.folder_button = QPushButton("Folder…")
        self.folder_button.setToolTip(TIPS["model_folder"])
        self.notice = QLabel()
        self.notice.setObjectName("notice")
        self.notice.setWordWrap(True)
        row = QHBoxLayout()
        row.setSpacing(4)
        row.addWidget(self.box, 1)
        row.addWidget(self.folder_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(row)
        layout.addWidget(self.notice)
        self.set_model(model)
        self.show_notice()
        self.box.currentTextChanged.connect(self._on_text)
        self.folder_button.clicked.connect(self.ask_folder)

    @property
    def model(self) -> str:
        """The chosen model: a bundled name, a folder or a hub id."""
        return str(self.box.currentText()).strip() or "demo"

    def set_model(self, model: str) -> None:
        """Choose `model`, adding it to the box where it is new."""
        if self.box.findText(model) < 0:
            self.box.insertItem(0, model)
        self.box.setCurrentText(model)

    def ask_folder(self) -> None:
        """Ask for a folder that holds a model."""
        path = QFileDialog.getExistingDirectory(self, "Choose a folder that holds a model")
        if path:
            self.set_model(path)

    def show_notice(self, notice: str | None = None) -> None:
        """Show a loaded model's own notice, or what is known before it is loaded."""
        if notice is None:
            notice = DEMO_NOTICE if self.model == "demo" else REAL_NOTICE
        self.notice.setText(notice or REAL_NOTICE)

    def _on_text(self, _text: str) -> None:
        self.show_notice()
        self.changed.emit(self.model)
