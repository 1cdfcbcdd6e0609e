"""Downloads a model that is not on this machine, after showing its size.

The network is used only after a click: one click for the size, one for the files.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QHBoxLayout, QProgressBar, QVBoxLayout, QWidget

from napari_ct_assistant.support.translation import _
from napari_ct_assistant.viewer.models.hub_download import HubDownload, explain
from napari_ct_assistant.viewer.session.background import Background, one_line
from napari_ct_assistant.viewer.widgets import button
from napari_ct_assistant.viewer.widgets import label as plain_label

if TYPE_CHECKING:
    from napari_ct_assistant.assistant.models.download import DownloadPlan

# Each update redraws the window with the canvas, which is slow where OpenGL runs in software.
UPDATE_MS = 400
STEPS = 1000


class HubBar(QWidget):
    """Shows a model's size and its download; hidden otherwise.

    Signals
    -------
    arrived : str
        The hub id of a model whose download is complete.
    """

    arrived = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.text = plain_label()
        self.text.setWordWrap(True)
        self.text.setAccessibleName(_("Model on the hub"))
        self.bar = QProgressBar()
        self.bar.setRange(0, STEPS)
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(8)
        self.go_button = button("")
        self.stop_button = button("")
        buttons = QHBoxLayout()
        buttons.setSpacing(4)
        buttons.addWidget(self.go_button, 1)
        buttons.addWidget(self.stop_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.text)
        layout.addWidget(self.bar)
        layout.addLayout(buttons)
        self._repo = self._here = ""
        self._plan: DownloadPlan | None = None
        self._running: HubDownload | None = None
        self._working = False
        self._background = Background(self)
        self._timer = QTimer(self)
        self._timer.setInterval(UPDATE_MS)
        self._timer.timeout.connect(self._update)
        self.go_button.clicked.connect(self._go)
        self.stop_button.clicked.connect(self.stop)
        self.hide()

    @property
    def busy(self) -> bool:
        """Whether the size is being looked up or the model downloaded."""
        return self._working

    @property
    def repo(self) -> str:
        """The hub id of the model."""
        return self._repo

    def offer(self, repo: str) -> None:
        """Offer to look up a model's size; this does not use the network yet."""
        if self._working:
            return
        self._repo, self._plan = repo, None
        self._say(
            _("{model} is not on this machine.").format(model=repo),
            _("Look up its size on the hub"),
            "",
        )

    def dismiss(self) -> None:
        """Hide the bar, unless something is running."""
        if not self._working:
            self._repo, self._plan = "", None
            self.hide()

    def stop(self) -> None:
        """Cancel the download, or close the offer."""
        if self._running is not None:
            self._running.cancel.set()
            self._update()
        elif not self._working:
            self.dismiss()

    def _go(self) -> None:
        if self._working:
            return
        if self._plan is None:
            self._look_up()
        else:
            self._download(self._plan)

    def _look_up(self) -> None:
        self._working = True
        repo = self._repo
        self._say(_("Asking the hub about {model}…").format(model=repo), "", "")

        def ask() -> DownloadPlan:
            from napari_ct_assistant.assistant.models.download import plan_download

            return plan_download(repo)

        self._background.run(
            ask, returned=self._on_plan, errored=self._on_error, finished=self._on_finished
        )

    def _on_plan(self, plan: DownloadPlan) -> None:
        if plan.kind == "encoder":
            self._say(
                _(
                    "{model} is an image encoder: it can be trained further, but writes no text."
                ).format(model=plan.repo),
                "",
                _("Close"),
            )
            return
        self._plan = plan
        text, go = explain(plan)
        self._say(f"{plan.repo}: {text}", go, _("Not now"))

    def _download(self, plan: DownloadPlan) -> None:
        self._working = True
        self._running = download = HubDownload(plan)
        self._say(download.status_text(), "", _("Cancel"), bar=True)
        self._timer.start()
        self._background.run(
            download.run,
            returned=functools.partial(self._on_fetched, plan.repo),
            errored=self._on_error,
            finished=self._on_finished,
            on_quit=download.cancel.set,
        )

    def _update(self) -> None:
        download = self._running
        if download is None:
            return
        self.text.setText(download.status_text())
        self.bar.setValue(STEPS * download.done // max(download.total, 1))

    def _on_fetched(self, repo: str, _result: object) -> None:
        self._plan, self._repo, self._here = None, "", repo
        self.hide()

    def _on_error(self, error: Exception) -> None:
        download, self._running = self._running, None
        if download is not None and download.cancel.is_set():
            self._plan = None
            self._say(
                _(
                    "{model}: the download was cancelled. What has been downloaded is kept, and "
                    "the next download resumes there. The model is not loaded."
                ).format(model=self._repo),
                _("Look up what is missing"),
                _("Close"),
            )
            return
        self._plan = None
        self._say(one_line(error), _("Try again"), _("Close"))

    def _on_finished(self) -> None:
        self._timer.stop()
        self._running = None
        self._working = False
        here, self._here = self._here, ""
        if here:
            self.arrived.emit(here)

    def _say(self, text: str, go: str, stop: str, *, bar: bool = False) -> None:
        """Show a text, and those buttons that are given a label."""
        self.text.setText(text)
        self.go_button.setText(go)
        self.go_button.setVisible(bool(go))
        self.stop_button.setText(stop)
        self.stop_button.setVisible(bool(stop))
        self.bar.setValue(0)
        self.bar.setVisible(bar)
        self.show()
