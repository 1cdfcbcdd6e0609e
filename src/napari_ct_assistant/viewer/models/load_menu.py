"""The menu of load options: precision, quantization and device."""

from __future__ import annotations

from typing import Any, Final

from qtpy.QtCore import Signal
from qtpy.QtGui import QActionGroup
from qtpy.QtWidgets import QMenu, QPushButton, QWidget

from napari_ct_assistant.backends.loading.options import BEST, LoadOptions
from napari_ct_assistant.support.translation import N_, _

# For each section, the labels of its choices and what they change in `LoadOptions`.
CHOICES: Final[dict[str, tuple[tuple[str, dict[str, Any]], ...]]] = {
    N_("Precision"): (
        (N_("Best for the device"), {"dtype": None}),
        ("bfloat16", {"dtype": "bfloat16"}),
        ("float16", {"dtype": "float16"}),
        ("float32", {"dtype": "float32"}),
    ),
    N_("Language model"): (
        (N_("Full weights"), {"quantize": None}),
        (N_("8-bit weights"), {"quantize": "8bit"}),
        (N_("4-bit weights"), {"quantize": "4bit"}),
    ),
    N_("Device"): (
        (N_("Best available"), {"device": None, "device_map": None}),
        (N_("CPU"), {"device": "cpu", "device_map": None}),
        (N_("NVIDIA or AMD GPU (cuda)"), {"device": "cuda", "device_map": None}),
        (N_("Apple GPU (mps)"), {"device": "mps", "device_map": None}),
        (N_("GPU and computer memory (slow)"), {"device": None, "device_map": "auto"}),
    ),
}


class LoadMenu(QPushButton):
    """A button with the menu.

    Signals
    -------
    chosen : LoadOptions
    """

    chosen = Signal(object)

    def __init__(self, options: LoadOptions = BEST, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setText(_("Options"))
        self.setAccessibleName(_("Load options"))
        self._options = options
        self._entries: list[tuple[Any, dict[str, Any]]] = []
        self._groups: list[QActionGroup] = []
        menu = QMenu(self)
        for title, choices in CHOICES.items():
            menu.addSeparator()
            menu.addAction(_(title)).setEnabled(
                False
            )  # napari's style hides the titles of sections
            group = QActionGroup(self)
            for label, changes in choices:
                action = menu.addAction(_(label))
                action.setCheckable(True)
                group.addAction(action)
                self._entries.append((action, changes))
            self._groups.append(group)
        menu.triggered.connect(self._on_triggered)
        self.setMenu(menu)
        self._show()

    @property
    def options(self) -> LoadOptions:
        """The chosen options."""
        return self._options

    def set_options(self, options: LoadOptions) -> None:
        """Choose `options`."""
        if options != self._options:
            self._options = options
            self._show()
            self.chosen.emit(options)

    def _on_triggered(self, action: Any) -> None:
        for other, changes in self._entries:
            if other is action:
                self.set_options(self._options.changed(**changes))

    def _show(self) -> None:
        for action, changes in self._entries:
            wanted = all(getattr(self._options, key) == value for key, value in changes.items())
            action.setChecked(wanted)
        chosen = self._options.words()
        self.setToolTip(
            _(
                "How the model is loaded: precision, 8- or 4-bit weights, CPU or GPU\n"
                "Now: {options}"
            ).format(options=chosen or _("best for this machine"))
        )
