"""Why the chosen model cannot be used, with a button for each way out."""

from __future__ import annotations

from functools import partial

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget
from superqt import QFlowLayout

from napari_ct_assistant.backends.loading.options import NotEnoughMemoryError, Remedy
from napari_ct_assistant.support.translation import N_, Texts, _, decimal, shown
from napari_ct_assistant.viewer.widgets import button
from napari_ct_assistant.viewer.widgets import label as plain_label

MOST_REMEDIES = 4
BUTTON_TEXTS = Texts(
    {
        "dtype": N_("Load in {value}"),
        "quantize": N_("Load with {value} weights"),
        "device": N_("Load on {value}"),
        "device_map": N_("Use GPU and computer memory (slow)"),
    }
)


class MemoryBar(QWidget):
    """A line of text and buttons for the ways out; hidden while there is no problem.

    Signals
    -------
    chosen : Remedy
        The remedy that the reader wants to try.
    browsed
        The reader wants to choose another folder.
    retried
        The reader has mended the model and wants it looked at again.
    """

    chosen = Signal(object)
    browsed = Signal()
    retried = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.text = plain_label()
        self.text.setObjectName("notice")
        self.text.setWordWrap(True)
        self.text.setAccessibleName(_("Problem with the model"))
        self._remedies: tuple[Remedy, ...] = ()
        self.buttons = [button("") for _number in range(MOST_REMEDIES)]
        self.says_unusable = False
        self.browse_button = button(_("Browse for a folder…"))
        self.retry_button = button(_("Try again"))
        self.browse_button.clicked.connect(lambda: self.browsed.emit())
        self.retry_button.clicked.connect(lambda: self.retried.emit())
        row = QFlowLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.setHorizontalSpacing(4)
        row.setVerticalSpacing(4)
        for number, each in enumerate(self.buttons):
            row.addWidget(each)
            each.clicked.connect(partial(self._on_clicked, number))
        for each in (self.browse_button, self.retry_button):
            row.addWidget(each)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.text)
        layout.addLayout(row)
        self.hide()

    def show_error(self, error: Exception, line: str) -> None:
        """Show why a model was not loaded and, if it does not fit into memory, the remedies."""
        self._remedies = (
            error.remedies[:MOST_REMEDIES] if isinstance(error, NotEnoughMemoryError) else ()
        )
        self.text.setText(
            f"{shown(error.line)}." if isinstance(error, NotEnoughMemoryError) else line
        )
        for each in self.buttons:
            each.hide()
        for each, remedy in zip(self.buttons, self._remedies, strict=False):
            each.setText(remedy_text(remedy))
            each.show()
        self.says_unusable = False
        self.browse_button.hide()
        self.retry_button.hide()
        self.show()

    def show_unusable(self, line: str) -> None:
        """Say that no model can be made of what was chosen, and offer another folder."""
        self._remedies = ()
        self.text.setText(line)
        for each in self.buttons:
            each.hide()
        self.says_unusable = True
        self.browse_button.show()
        self.retry_button.show()
        self.show()

    def _on_clicked(self, number: int, _checked: bool = False) -> None:
        remedy = self._remedies[number]
        self.hide()
        self.chosen.emit(remedy)


def remedy_text(remedy: Remedy) -> str:
    """Return the label of a remedy's button."""
    value = {"cpu": _("the CPU"), "8bit": "8-bit", "4bit": "4-bit"}.get(remedy.value, remedy.value)
    size = "" if remedy.bytes is None else f" ({decimal(remedy.bytes / 1e9, 1)} GB)"
    return BUTTON_TEXTS[remedy.field].format(value=value) + size
