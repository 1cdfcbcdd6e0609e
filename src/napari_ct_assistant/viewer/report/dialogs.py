"""The dialogs for signing off the report and for deleting the journal."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QLineEdit,
    QVBoxLayout,
    QWidget,
)

from napari_ct_assistant.assistant.report.checks import Check
from napari_ct_assistant.support.translation import _
from napari_ct_assistant.viewer.report.checks_list import ChecksList
from napari_ct_assistant.viewer.texts import CHECKS_BEFORE_SIGNING, FORGET_TEXT, SIGN_TEXT
from napari_ct_assistant.viewer.widgets import dialog_buttons
from napari_ct_assistant.viewer.widgets import label as plain_label


class SignDialog(QDialog):
    """Asks for the name with which a report is signed off, and lists what to check before.

    A click on a check shows its line in the report behind the dialog. Nothing has to be changed.
    """

    def __init__(self, checks: Sequence[Check] = (), parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(_("Sign off the report"))
        layout = QVBoxLayout(self)
        self.checks = ChecksList()
        self.checks.show_checks(checks)
        if checks:
            warning = plain_label(_(CHECKS_BEFORE_SIGNING))
            warning.setObjectName("notice")
            warning.setWordWrap(True)
            layout.addWidget(warning)
            layout.addWidget(self.checks)
        about = plain_label(_(SIGN_TEXT))
        about.setWordWrap(True)
        layout.addWidget(about)
        self.name = QLineEdit()
        self.name.setAccessibleName(_("Your name"))
        self.organization = QLineEdit()
        self.organization.setAccessibleName(_("Organisation"))
        form = QFormLayout()
        form.addRow(_("Your name"), self.name)
        form.addRow(_("Organisation (optional)"), self.organization)
        layout.addLayout(form)
        self.buttons = dialog_buttons(QDialogButtonBox.StandardButton.Cancel)
        self.sign_button = self.buttons.addButton(
            _("Sign off"), QDialogButtonBox.ButtonRole.AcceptRole
        )
        self.sign_button.setEnabled(False)
        layout.addWidget(self.buttons)
        self.name.textChanged.connect(lambda text: self.sign_button.setEnabled(bool(text.strip())))
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        self.name.setFocus(Qt.FocusReason.OtherFocusReason)


class ForgetDialog(QDialog):
    """Asks which part of the journal to delete."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.everything = False
        self.setWindowTitle(_("Delete the journal"))
        layout = QVBoxLayout(self)
        about = plain_label(_(FORGET_TEXT))
        about.setWordWrap(True)
        layout.addWidget(about)
        self.buttons = dialog_buttons(QDialogButtonBox.StandardButton.Cancel)
        role = QDialogButtonBox.ButtonRole.DestructiveRole
        self.this_button = self.buttons.addButton(_("Delete this scan"), role)
        self.all_button = self.buttons.addButton(_("Delete everything"), role)
        layout.addWidget(self.buttons)
        self.this_button.clicked.connect(lambda: self._choose(everything=False))
        self.all_button.clicked.connect(lambda: self._choose(everything=True))
        self.buttons.rejected.connect(self.reject)

    def _choose(self, *, everything: bool) -> None:
        self.everything = everything
        self.accept()
