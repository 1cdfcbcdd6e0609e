"""Asks before a scan leaves this computer for a server for the first time."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QDialog, QDialogButtonBox, QVBoxLayout, QWidget

from napari_ct_assistant.backends.server.agreements import agree
from napari_ct_assistant.backends.server.sending import Sending
from napari_ct_assistant.support.translation import _
from napari_ct_assistant.viewer.widgets import dialog_buttons
from napari_ct_assistant.viewer.widgets import label as plain_label


class SendingDialog(QDialog):
    """Says what would be sent and to which address, and asks whether it may.

    Enter and Esc both mean no.
    """

    def __init__(self, sending: Sending, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.sending = sending
        risky = sending.kind == "unencrypted"
        self.setWindowTitle(
            _("The connection is not encrypted") if risky else _("Send to a server?")
        )
        layout = QVBoxLayout(self)
        head = plain_label(sending.address)
        head.setObjectName("notice")
        head.setAccessibleName(_("Address of the server"))
        layout.addWidget(head)
        lines = [_(line) for line in sending.details]
        if not risky:
            lines.append(
                _(
                    "You are asked once for this address. `ct-assistant servers withdraw` takes "
                    "your agreement back."
                )
            )
        for line in lines:
            shown = plain_label(line)
            shown.setWordWrap(True)
            shown.setMinimumWidth(420)
            layout.addWidget(shown)
        self.buttons = dialog_buttons(QDialogButtonBox.StandardButton.Cancel)
        self.agree_button = self.buttons.addButton(
            _("Use it without encryption") if risky else _("Agree and send"),
            QDialogButtonBox.ButtonRole.AcceptRole,
        )
        cancel = self.buttons.button(QDialogButtonBox.StandardButton.Cancel)
        cancel.setText(_("Do not send"))
        self.agree_button.setAutoDefault(False)
        cancel.setDefault(True)
        layout.addWidget(self.buttons)
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)


class SendingGuard(QObject):
    """Opens the dialog for a job or a load that nobody has agreed to yet, and goes on with it.

    Parameters
    ----------
    conversation : Conversation
        Or another object with the signal `unagreed : Sending`, `resume()` and `decline()`.
    models : ModelPicker
        Or another object with the signal `unagreed : Sending` and `load_or_unload()`.
    parent : QWidget
        The dialog is modal to its window.
    """

    opened = Signal(object)

    def __init__(self, conversation: Any, models: Any, parent: QWidget) -> None:
        super().__init__(parent)
        self._window = parent
        self.dialog: SendingDialog | None = None
        conversation.unagreed.connect(
            lambda sending: self._ask(sending, conversation.resume, conversation.decline)
        )
        models.unagreed.connect(
            lambda sending: self._ask(sending, models.load_or_unload, lambda: None)
        )

    def _ask(self, sending: Sending, go_on: Any, give_up: Any) -> None:
        dialog = SendingDialog(sending, self._window)
        self.dialog = dialog

        def answered(result: int) -> None:
            self.dialog = None
            dialog.deleteLater()
            if result == QDialog.DialogCode.Accepted:
                agree(sending)
                go_on()
            else:
                give_up()

        dialog.finished.connect(answered)
        dialog.open()
        self.opened.emit(dialog)
