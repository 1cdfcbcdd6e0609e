"""Asks which of several series in a folder to open."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QDialogButtonBox,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_ct_assistant.support.translation import _
from napari_ct_assistant.viewer.widgets import dialog_buttons
from napari_ct_assistant.viewer.widgets import label as plain_label

if TYPE_CHECKING:
    from napari_ct_assistant.volume import SeriesInfo


class SeriesDialog(QDialog):
    """A table of series with description, modality and number of slices."""

    def __init__(self, series: Sequence[SeriesInfo], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(_("Choose a series"))
        self.resize(560, 300)
        self._series = list(series)
        self.table = QTableWidget(len(self._series), 3)
        self.table.setHorizontalHeaderLabels([_("Series"), _("Modality"), _("Slices")])
        self.table.verticalHeader().hide()
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.horizontalHeader().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        for row, info in enumerate(self._series):
            cells = (info.description or _("(no description)"), info.modality, str(info.n_slices))
            for column, text in enumerate(cells):
                item = QTableWidgetItem(text)
                if column == 2:
                    item.setTextAlignment(
                        Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
                    )
                self.table.setItem(row, column, item)
        # The list starts with the series that is opened by default.
        self.table.selectRow(0)
        buttons = dialog_buttons(
            QDialogButtonBox.StandardButton.Open, QDialogButtonBox.StandardButton.Cancel
        )
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        self.table.doubleClicked.connect(self.accept)
        layout = QVBoxLayout(self)
        text = _("This folder contains {n} series.")
        layout.addWidget(plain_label(text.format(n=len(self._series))))
        layout.addWidget(self.table)
        layout.addWidget(buttons)

    @property
    def chosen(self) -> SeriesInfo:
        """The selected series."""
        return self._series[self.table.currentRow()]


def choose_series(series: Sequence[SeriesInfo], parent: QWidget) -> SeriesInfo | None:
    """Ask which series to open; return None if the reader cancels."""
    dialog = SeriesDialog(series, parent)
    try:
        accepted = dialog.exec() == QDialog.DialogCode.Accepted
        return dialog.chosen if accepted else None
    finally:
        dialog.deleteLater()
