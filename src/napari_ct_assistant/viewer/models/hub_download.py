"""The download of a model from the hub, in a worker thread. Nothing here knows Qt."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from napari_ct_assistant.support.translation import N_, _, decimal
from napari_ct_assistant.viewer.models.available_models import size

if TYPE_CHECKING:
    from napari_ct_assistant.assistant.models.download import DownloadPlan


@dataclass
class HubDownload:
    """One download, with the import of the model where it needs one.

    It runs in a worker thread; the Qt thread reads its progress.

    Attributes
    ----------
    plan : DownloadPlan
    cancel : threading.Event
        Set it to cancel.
    step : str
        What is being done now, with a place for the model's name.
    done, total : int
        Bytes of the present step.
    """

    plan: DownloadPlan
    cancel: threading.Event = field(default_factory=threading.Event)
    step: str = N_("Downloading {model}")
    done: int = 0
    total: int = 0
    _began: float = field(default_factory=time.monotonic)

    def run(self) -> None:
        """Download the model, and convert it if it is a released checkpoint.

        Raises
        ------
        ModelLoadError
            One line that says what went wrong. Complete files stay, and the next try resumes.
        DownloadCancelled
            If `cancel` was set.
        """
        from napari_ct_assistant.assistant.models.download import download

        folder = download(self.plan, progress=self._advance, cancel=self.cancel)
        if self.plan.kind != "m3d":
            return
        from napari_ct_assistant.assistant.models.installed import (
            imported_folder,
            imported_snapshot,
        )
        from napari_ct_assistant.model.conversion.importing import import_model

        if imported_snapshot(self.plan.repo) is not None:
            return
        self._start(N_("Converting {model}"))
        import_model(
            folder,
            imported_folder(self.plan.repo),
            ignore_code=True,  # the reader has agreed, see `explain`
            progress=lambda _file, done, total: self._import_step(done, total),
        )

    def _start(self, step: str) -> None:
        self.step, self.done, self.total, self._began = step, 0, 0, time.monotonic()

    def _advance(self, done: int, total: int) -> None:
        self.done, self.total = done, total

    def _import_step(self, done: int, total: int) -> None:
        from napari_ct_assistant.assistant.models.download import DownloadCancelled

        self._advance(done, total)
        if self.cancel.is_set():
            raise DownloadCancelled(self.plan.repo)

    def status_text(self) -> str:
        """Return the progress as one line."""
        if self.cancel.is_set():
            return _("Stopping…")
        name = self.plan.repo.rpartition("/")[2]
        step = _(self.step).format(model=name)
        if not self.total:
            return f"{step}…"
        parts = [
            _("{step}: {done} of {total}").format(
                step=step, done=size(self.done), total=size(self.total)
            )
        ]
        seconds = time.monotonic() - self._began
        if seconds > 2 and self.done:
            speed = self.done / seconds
            parts.append(f"{decimal(speed / 1e6, 1)} MB/s")
            left = (self.total - self.done) / speed
            parts.append(
                _("{n} min left").format(n=round(left / 60))
                if left > 90
                else _("{n} s left").format(n=round(left))
            )
        return "  ·  ".join(parts)


def explain(plan: DownloadPlan) -> tuple[str, str]:
    """Return what a download would do, and the label of the button that starts it."""
    left = plan.to_fetch - plan.to_resume
    text = _("{size} to download, {free} free on disk.").format(
        size=size(left), free=size(plan.free)
    )
    button = _("Download {size}").format(size=size(left))
    if left < 0.95 * plan.bytes:  # looking up the size has already fetched a few settings
        text += " " + _("{size} are on this machine already.").format(size=size(plan.bytes - left))
        button = _("Download the remaining {size}").format(size=size(left)) if left else _("Finish")
    if plan.kind == "m3d":
        text += " " + _(
            "The model is then converted, which needs about {size} more on disk."
        ).format(size=size(plan.bytes))
        if plan.code:
            text += " " + _(
                "The model comes with program code of its own. This code is neither downloaded "
                "nor run; only the weights are read."
            )
            button = _("{button} without its code").format(button=button)
    return text, button
