"""The Findings tab: the table, what a test of the model showed, and a line for one's own words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QLineEdit, QVBoxLayout, QWidget

from napari_ct_assistant.support.translation import N_, _
from napari_ct_assistant.viewer.evidence.findings_table import FindingsTable
from napari_ct_assistant.viewer.evidence.place_list import PlaceList
from napari_ct_assistant.viewer.widgets import SPACING, button, label, row

if TYPE_CHECKING:
    from napari_ct_assistant.assistant import FindingProbability

RANKS: Final = N_(
    "Ranks and margins, not probabilities: how much closer the scan is to a finding than to its "
    "absence."
)
WORDS_HINT: Final = N_("Other findings in your own words, separated by commas")
WORDS_TIP: Final = N_("Rank these words for the scan (Enter); the button Findings brings back all")


class FindingsTab(QWidget):
    """The table of findings; under it lines about it, and a box for words where the model can.

    Signals
    -------
    words_asked : tuple of str
        Findings in the reader's words, to screen for.
    """

    words_asked = Signal(tuple)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.table = FindingsTable()
        self.places = PlaceList()
        self.lines = label()
        self.lines.setWordWrap(True)
        self.lines.setObjectName("quiet")
        self.lines.setAccessibleName(_("About the findings"))
        self.box = QLineEdit()
        self.box.setPlaceholderText(_(WORDS_HINT))
        self.box.setAccessibleName(_(WORDS_HINT))
        self.box.setToolTip(_(WORDS_TIP))
        self.button = button(_("Rank"), _(WORDS_TIP))
        self._words = QWidget()
        self._words.setLayout(row(self.box, self.button))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(SPACING)
        layout.addWidget(self.table, 1)
        layout.addWidget(self.places)
        layout.addWidget(self.lines)
        layout.addWidget(self._words)
        self.offer_words(False)
        self.show_findings(())
        self.box.returnPressed.connect(self._ask)
        self.button.clicked.connect(self._ask)

    def show_findings(
        self, findings: Sequence[FindingProbability], scan: str = "", checks: Sequence[str] = ()
    ) -> None:
        """Show a scan's findings, and what a test of the model on this scan showed."""
        self.table.show_findings(findings, scan)
        self.places.clear()
        ranked = any(one.rank is not None for one in findings)
        self.lines.setText("\n".join([*([_(RANKS)] if ranked else []), *checks]))
        self.lines.setVisible(bool(self.lines.text()))

    def offer_words(self, on: bool) -> None:
        """Show the box for the reader's words, for a model that can screen for them."""
        self._words.setVisible(on)

    @property
    def offers_words(self) -> bool:
        """Whether the box for the reader's words is there."""
        return not self._words.isHidden()

    def _ask(self) -> None:
        words = tuple(filter(None, (" ".join(one.split()) for one in self.box.text().split(","))))
        if words:
            self.words_asked.emit(words)
