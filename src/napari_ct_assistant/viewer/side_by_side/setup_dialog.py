"""Asks which two reports to compare: of two models on this scan, or two saved ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QLineEdit,
    QRadioButton,
    QVBoxLayout,
    QWidget,
)

from napari_ct_assistant.support.translation import _
from napari_ct_assistant.viewer.file_dialogs import choose_file
from napari_ct_assistant.viewer.texts import PAIR_ABOUT
from napari_ct_assistant.viewer.widgets import button, dialog_buttons, row
from napari_ct_assistant.viewer.widgets import label as plain_label


class SetupDialog(QDialog):
    """Two models or two files, blind or not, and the table that the choice goes into.

    Parameters
    ----------
    models : sequence of str
        The models that are installed.
    table : Path
        The table of choices.
    """

    def __init__(self, models: Sequence[str], table: Path, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(_("Compare two reports"))
        about = plain_label(_(PAIR_ABOUT))
        about.setWordWrap(True)
        self.by_models = QRadioButton(_("Two models read this scan now"))
        self.by_files = QRadioButton(_("Two drafts saved with ct-assistant report --json"))
        self.models = [_models(_("Model {n}").format(n=n), models) for n in (1, 2)]
        self.files = [_line(_("Draft {n} (JSON file)").format(n=n)) for n in (1, 2)]
        buttons = [button(_("Choose…")), button(_("Choose…"))]
        self.blind = QCheckBox(_("Hide the models' names until the choice is made"))
        self.blind.setChecked(True)
        self.table = _line(_("Table of choices (CSV)"))
        self.table.setText(str(table))
        form = QFormLayout()
        form.addRow(self.by_models)
        for number, box in enumerate(self.models, 1):
            form.addRow(_("Model {n}").format(n=number), box)
        form.addRow(self.by_files)
        for number, (line, chooser) in enumerate(zip(self.files, buttons, strict=True), 1):
            form.addRow(_("Draft {n}").format(n=number), row(line, chooser))
            chooser.clicked.connect(lambda _on=False, line=line: self._choose(line))
        form.addRow(self.blind)
        form.addRow(_("Table (CSV)"), self.table)
        self.buttons = dialog_buttons(QDialogButtonBox.StandardButton.Cancel)
        self.start_button = self.buttons.addButton(
            _("Compare"), QDialogButtonBox.ButtonRole.AcceptRole
        )
        layout = QVBoxLayout(self)
        layout.addWidget(about)
        layout.addLayout(form)
        layout.addWidget(self.buttons)
        self.resize(560, self.sizeHint().height())
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        self.by_models.toggled.connect(self._refresh)
        for box in self.models:
            box.editTextChanged.connect(self._refresh)
        for line in (*self.files, self.table):
            line.textChanged.connect(self._refresh)
        self.by_models.setChecked(True)

    @property
    def chosen_models(self) -> list[str]:
        """The two models."""
        return [box.currentText().strip() for box in self.models]

    @property
    def chosen_files(self) -> list[Path]:
        """The two files."""
        return [Path(line.text().strip()).expanduser() for line in self.files]

    def _choose(self, line: QLineEdit) -> None:
        path = choose_file(self, _("A saved draft"), _("Drafts (*.json);;All files (*)"))
        if path:
            line.setText(path)

    def _refresh(self) -> None:
        models = self.by_models.isChecked()
        for box in self.models:
            box.setEnabled(models)
        for line in self.files:
            line.setEnabled(not models)
        given = self.chosen_models if models else [line.text().strip() for line in self.files]
        ready = all(given) and given[0] != given[1] and bool(self.table.text().strip())
        self.start_button.setEnabled(ready)


def _models(name: str, models: Sequence[str]) -> QComboBox:
    box = QComboBox()
    box.setEditable(True)
    box.addItems(models)
    box.setCurrentIndex(-1)
    box.setAccessibleName(name)
    box.lineEdit().setPlaceholderText(_("Name, folder or Hugging Face id"))
    return box


def _line(name: str) -> QLineEdit:
    line = QLineEdit()
    line.setAccessibleName(name)
    return line
