"""Compares two reports of the chosen scan: asks which, has them written, keeps the choice."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_ct_assistant.assistant.choices.saved_drafts import SavedDraft, read_saved_draft
from napari_ct_assistant.assistant.choices.summary import summarize
from napari_ct_assistant.assistant.choices.table import (
    Choice,
    ChoicesError,
    Preference,
    append_choice,
    read_choices,
)
from napari_ct_assistant.assistant.journal.store import data_folder
from napari_ct_assistant.support.translation import _, decimal
from napari_ct_assistant.viewer.session.background import Background, one_line
from napari_ct_assistant.viewer.side_by_side.job import PairDraftJob, PairDraftResult
from napari_ct_assistant.viewer.side_by_side.pair_window import PairWindow
from napari_ct_assistant.viewer.side_by_side.setup_dialog import SetupDialog
from napari_ct_assistant.viewer.texts import (
    BUSY,
    NO_SCAN,
    OTHER_SCAN,
    PAIR_KEPT,
    PAIR_STOPPED,
    READ_FIRST_ASK,
    TIPS,
)
from napari_ct_assistant.viewer.widgets import button

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

    from napari_ct_assistant.viewer.models.picker import ModelPicker
    from napari_ct_assistant.viewer.scan.scan_picker import ScanPicker
    from napari_ct_assistant.viewer.session.conversation import Conversation
    from napari_ct_assistant.viewer.session.jobs import Job, JobResult
    from napari_ct_assistant.viewer.session.scan_session import ScanSession

FILE = "choices.csv"


class SideBySide(QObject):
    """Compares reports, and writes each choice into a table.

    Signals
    -------
    status_message : str
        One line for the reader.
    """

    status_message = Signal(str)

    def __init__(
        self,
        scans: ScanPicker,
        models: ModelPicker,
        conversation: Conversation,
        parent: QWidget,
        flip: Callable[[], bool] = lambda: random.SystemRandom().random() < 0.5,
    ) -> None:
        super().__init__(parent)
        self._scans, self._models, self._conversation = scans, models, conversation
        self._parent, self._flip = parent, flip
        self._background = Background(self)
        self._left: list[str] = []  # the models that are still to write
        self._written: list[SavedDraft] = []
        self._scan: ScanSession | None = None
        self._blind = True
        self.table = Path()
        self.window: PairWindow | None = None
        self.button = button(_("Two models…"), TIPS["pair"], small=True)
        self.button.clicked.connect(lambda: self.ask())
        conversation.finished.connect(self._on_finished)
        conversation.refused.connect(self._on_refused)
        conversation.jobs.ended.connect(self._on_ended)
        scans.chosen.connect(lambda _layer: self._on_scan())

    def ask(self) -> None:
        """Ask which two reports to compare."""
        if self._scans.scan is None:
            self.status_message.emit(_(NO_SCAN))
            return
        if self._scans.scan.hidden:
            self.status_message.emit(_(READ_FIRST_ASK))
            return
        dialog = SetupDialog(
            self._models.names,
            data_folder() / FILE,
            self._parent,
        )
        dialog.models[0].setEditText(self._models.model)
        if not dialog.exec():
            return
        table = Path(dialog.table.text().strip()).expanduser()
        if dialog.by_models.isChecked():
            self.compare_models(dialog.chosen_models, table, blind=dialog.blind.isChecked())
        else:
            self.compare_files(dialog.chosen_files, table, blind=dialog.blind.isChecked())

    # -- two models

    def compare_models(self, models: list[str], table: Path, *, blind: bool = True) -> None:
        """Let two models draft the report of the chosen scan, one after the other."""
        if self._conversation.jobs.busy:
            self.status_message.emit(_(BUSY))
            return
        self._begin(table, blind=blind)
        self._left = list(models)
        self._write_next()

    def _write_next(self) -> None:
        scan = self._scan
        if scan is not None and scan.is_open and self._left:
            job = PairDraftJob(scan, self._left[0], options=self._models.options)
            if not self._conversation.start(job, scan.name):
                self._stop(_(BUSY))

    def _on_finished(self, result: JobResult) -> None:
        if not isinstance(result, PairDraftResult) or result.job.scan is not self._scan:
            return
        if result.stopped:
            self._stop(_(PAIR_STOPPED))
            return
        self._written.append(result.draft)
        self._left = self._left[1:]
        if not self._left:
            self._show()

    def _on_ended(self, job: Job) -> None:
        """Start the second model once the first one's job has ended."""
        if isinstance(job, PairDraftJob) and self._left and self._written:
            self._write_next()

    def _on_refused(self, job: Job) -> None:
        if isinstance(job, PairDraftJob):
            self._stop(_(PAIR_STOPPED))

    # -- two files

    def compare_files(self, files: list[Path], table: Path, *, blind: bool = True) -> None:
        """Compare two saved drafts of the chosen scan."""
        self._begin(table, blind=blind)
        scan = self._scan
        if scan is None:
            return

        def read() -> list[SavedDraft]:
            drafts = [read_saved_draft(path) for path in files]
            for path, draft in zip(files, drafts, strict=True):
                if draft.scan != scan.volume.fingerprint:
                    raise ChoicesError(_(OTHER_SCAN).format(file=path.name))
            return drafts

        self._background.run(
            read,
            returned=self._on_read,
            errored=lambda error: self._stop(one_line(error)),
            finished=lambda: None,
        )

    def _on_read(self, drafts: list[SavedDraft]) -> None:
        if self._scan is not None and self._scan is self._scans.scan:
            self._written = drafts
            self._show()

    # -- the pair

    def _begin(self, table: Path, *, blind: bool) -> None:
        self._close()
        self._scan, self.table, self._blind = self._scans.scan, table, blind
        self._left, self._written = [], []

    def _show(self) -> None:
        # Drawn now: neither the order of writing nor that of the files tells the side.
        if self._flip():
            self._written.reverse()
        self.window = PairWindow(self._written, blind=self._blind, parent=self._parent)
        self.window.chosen.connect(self._on_chosen)
        self.window.show()

    def _on_chosen(self, choice: Preference, seconds: float, note: str) -> None:
        left, right = self._written
        row = Choice(
            left.scan,
            left.model,
            left.weights,
            right.model,
            right.weights,
            choice,
            seconds,
            "yes" if self._blind else "no",
            note,
        )
        table, window = self.table, self.window

        def keep() -> str:
            table.parent.mkdir(parents=True, exist_ok=True)
            append_choice(table, row)
            rows = read_choices(table)
            try:
                best = summarize(rows, bootstraps=200).strengths
            except ChoicesError as error:
                return one_line(error)
            return ", ".join(
                _("{model} {strength} ({low} to {high})").format(
                    model=one.model,
                    strength=decimal(one.strength, 2, "+"),
                    low=decimal(one.low, 2, "+"),
                    high=decimal(one.high, 2, "+"),
                )
                for one in best
            )

        def told(text: str) -> None:
            if window is not None and window is self.window:
                window.show_summary(_(PAIR_KEPT).format(file=table.name, strengths=text))

        self._background.run(
            keep,
            returned=told,
            errored=lambda error: self.status_message.emit(one_line(error)),
            finished=lambda: None,
        )

    def _stop(self, text: str) -> None:
        self._left, self._written, self._scan = [], [], None
        self.status_message.emit(text)

    def _on_scan(self) -> None:
        """Close the pair: it is about the scan that was left."""
        if self._scan is not None and self._scan is not self._scans.scan:
            self._left, self._written, self._scan = [], [], None
            self._close()

    def _close(self) -> None:
        window, self.window = self.window, None
        if window is not None:
            window.close()
            window.deleteLater()
