"""The box in which a model is typed, or chosen from a list with sizes and memory needs."""

from __future__ import annotations

from typing import Any, Final

from qtpy.QtCore import QModelIndex, QSize, Qt, Signal
from qtpy.QtGui import QFont, QPainter, QPalette, QStandardItem, QStandardItemModel
from qtpy.QtWidgets import (
    QApplication,
    QComboBox,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QWidget,
)

from napari_ct_assistant.support.translation import _
from napari_ct_assistant.viewer.models.available_models import (
    ON_SERVERS,
    ON_THE_HUB,
    SECTIONS,
    ModelSurvey,
    server_facts,
    survey_models,
)
from napari_ct_assistant.viewer.widgets import tip as plain_tip

NAME: Final = int(Qt.ItemDataRole.UserRole)  # what the box shows when the row is chosen
DETAIL: Final = NAME + 1
# What stands for the row that asks for a folder: no model has this name.
BROWSE: Final = "…"
LIST_WIDTH: Final = 460


class TwoLines(QStyledItemDelegate):
    """Paints a row's name and, under it, its detail in a fainter colour."""

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex) -> QSize:  # noqa: N802
        """Return the size of a row of one or two lines."""
        lines = 2 if index.data(DETAIL) else 1
        # This is the font of the view; the style's may be larger.
        return QSize(LIST_WIDTH, lines * (option.fontMetrics.height() + 4) + 8)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex) -> None:
        """Paint the row."""
        self.initStyleOption(option, index)
        option.text = ""
        style = option.widget.style() if option.widget is not None else QApplication.style()
        style.drawControl(QStyle.ControlElement.CE_ItemViewItem, option, painter, option.widget)
        heading = not index.flags() & Qt.ItemFlag.ItemIsSelectable
        indent = 6 if heading else 14
        box = option.rect.adjusted(indent, 4, -6, -4)
        detail = index.data(DETAIL)
        painter.save()
        font = QFont(option.font)
        font.setBold(heading)
        painter.setFont(font)
        colour = option.palette.color(QPalette.ColorGroup.Active, QPalette.ColorRole.Text)
        painter.setPen(colour)
        metrics = painter.fontMetrics()
        middle = Qt.TextElideMode.ElideMiddle
        text = metrics.elidedText(str(index.data()), middle, box.width())
        top = box.adjusted(0, 0, 0, -(box.height() // 2)) if detail else box
        align = (
            Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter | Qt.TextFlag.TextDontClip
        )
        painter.drawText(top, align, text)
        if detail:
            colour.setAlphaF(0.65)
            painter.setPen(colour)
            right = Qt.TextElideMode.ElideRight
            lower = box.adjusted(0, box.height() // 2, 0, 0)
            painter.drawText(lower, align, metrics.elidedText(str(detail), right, box.width()))
        painter.restore()


class ModelBox(QComboBox):
    """An editable box whose list is made when it opens.

    Signals
    -------
    opened
        The list is about to be shown.
    chosen : str
        A model was chosen from the list, or typed and confirmed with Enter.
    browsed
        "Browse for a folder" was chosen.
    """

    opened = Signal()
    chosen = Signal(str)
    browsed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setEditable(True)
        self.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.setCompleter(None)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(12)
        self.setMaxVisibleItems(24)
        self._rows = QStandardItemModel(self)
        self.setModel(self._rows)
        self.setItemDelegate(TwoLines(self))
        self.view().setMinimumWidth(LIST_WIDTH)
        self._name = ""
        self.activated.connect(self._on_activated)
        line = self.lineEdit()
        line.editingFinished.connect(self._on_typed)

    @property
    def name(self) -> str:
        """The chosen model."""
        return self._name

    def set_name(self, name: str) -> None:
        """Show `name` without emitting `chosen`."""
        self._name = name
        self.setCurrentIndex(-1)
        self.setEditText(name)
        self.lineEdit().setCursorPosition(0)
        self.setToolTip(
            plain_tip(
                f"{name}\n"
                + _(
                    "A bundled model, a local folder, a Hugging Face model id, or a server: "
                    "https://HOST:PORT"
                )
            )
        )

    def showPopup(self) -> None:  # noqa: N802 - Qt's name
        """List the models on this machine, then show the list."""
        typed = self.lineEdit().text()
        self.fill(survey_models())
        self.setEditText(typed)
        self.opened.emit()
        super().showPopup()

    def fill(self, survey: ModelSurvey) -> None:
        """Fill the list: a heading for each source of models, then its models."""
        self.blockSignals(True)
        self._rows.clear()
        for source, title in SECTIONS.items():
            found = [model for model in survey.installed if model.source == source]
            if found:
                self._heading(title)
            for model in found:
                label = model.path.name if source == "folder" else model.name
                self._add(label, model.name, survey.facts(model), str(model.path))
        remote = survey.hub_only()
        if remote:
            self._heading(_(ON_THE_HUB))
        for repo in remote:
            self._add(
                repo, repo, _("not on this machine; its size is shown before it is downloaded")
            )
        if survey.servers:
            self._heading(_(ON_SERVERS))
        for server in survey.servers:
            self._add(server.name, server.name, server_facts(server))
        self._heading(_("Other models"))
        self._add(
            _("Browse for a folder…"),
            BROWSE,
            "",
            _("A folder that contains a model. You can also type a hub id or https://HOST:PORT."),
        )
        self.setCurrentIndex(-1)
        self.blockSignals(False)

    def refresh(self, survey: ModelSurvey) -> None:
        """Update the memory figures in the list, which may be open."""
        for row in range(self._rows.rowCount()):
            item = self._rows.item(row)
            model = survey.find(str(item.data(NAME) or ""))
            if model is not None:
                item.setData(survey.facts(model), DETAIL)

    def _heading(self, title: str) -> None:
        item = QStandardItem(title)
        item.setFlags(Qt.ItemFlag.ItemIsEnabled)
        self._rows.appendRow(item)

    def _add(self, label: str, name: str, detail: str, tip: str = "") -> None:
        item = QStandardItem(label)
        item.setData(name, NAME)
        item.setData(detail, DETAIL)
        item.setToolTip(plain_tip(tip))
        self._rows.appendRow(item)

    def _on_activated(self, row: int) -> None:
        item: Any = self._rows.item(row)
        name = None if item is None else item.data(NAME)
        before = self._name
        if name == BROWSE:
            self.set_name(before)
            self.browsed.emit()
        elif name:
            self.set_name(str(name))
            self.chosen.emit(self._name)

    def _on_typed(self) -> None:
        typed = str(self.lineEdit().text()).strip()
        if typed and typed != self._name:
            self.set_name(typed)
            self.chosen.emit(typed)
