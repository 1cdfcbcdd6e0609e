"""The line under the question box: what is being done, and how fast the last text came."""

from __future__ import annotations

from qtpy.QtCore import QElapsedTimer, QTimer
from qtpy.QtWidgets import QHBoxLayout, QWidget

from napari_ct_assistant.support.translation import _, decimal, ngettext
from napari_ct_assistant.viewer.session.jobs import AskResult, JobResult, ReportResult
from napari_ct_assistant.viewer.texts import REGION_UNUSED, REGION_USED, STANDS_ALONE
from napari_ct_assistant.viewer.widgets import eliding_label
from napari_ct_assistant.viewer.widgets import tip as plain_tip


class StatusLine(QWidget):
    """A line of text that counts the seconds while something is being done.

    A moving bar would redraw the whole window at every step, the canvas included. That would
    keep a core busy on machines that render OpenGL in software.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.label = eliding_label()
        self.label.setObjectName("quiet")
        self.label.setAccessibleName(_("Status"))
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.label, 1)
        self._text = ""
        self._clock = QElapsedTimer()
        self._update_timer = QTimer(self)
        self._update_timer.setInterval(1000)
        self._update_timer.timeout.connect(self._show)
        self.show_text(_("Ready"))

    def show_text(self, text: str, *, busy: bool | None = None) -> None:
        """Show `text`; `busy` starts or stops counting the seconds."""
        self._text = text
        if busy is True and not self._update_timer.isActive():
            self._clock.start()
            self._update_timer.start()
        elif busy is False:
            self._update_timer.stop()
        self._show()

    @property
    def busy(self) -> bool:
        """Whether the seconds are being counted."""
        return bool(self._update_timer.isActive())

    def _show(self) -> None:
        text = self._text
        if self._update_timer.isActive() and self._clock.elapsed() >= 1000:
            text += f"  ·  {self._clock.elapsed() // 1000} s"
        if text != self.label.text():
            self.label.setText(text)
            self.label.setToolTip(plain_tip(text))


def footnote(result: ReportResult | AskResult) -> str:
    """Return the line under a text of the model: its speed, and what the model could not use."""
    parts = [_("{n} tokens").format(n=result.tokens)] if result.tokens else []
    parts += _speed(result)
    if isinstance(result, AskResult):
        if result.answer.history_turns:
            parts.append(
                ngettext(
                    "used {n} earlier question",
                    "used {n} earlier questions",
                    result.answer.history_turns,
                ).format(n=result.answer.history_turns)
            )
        elif result.job.history:
            parts.append(_(STANDS_ALONE))
        if result.job.region:
            parts.append(_(REGION_USED) if result.answer.region_used else _(REGION_UNUSED))
    return "  ·  ".join(parts)


def summary(result: JobResult) -> str:
    """Return model, device, time to the first text and speed as one line."""
    parts = [result.record.info.name]
    if result.record.device:
        parts.append(result.record.device)
    return "  ·  ".join(parts + _speed(result))


def _speed(result: JobResult) -> list[str]:
    parts = []
    if result.reader_waited_s is not None:
        parts.append(
            _("first text after {seconds} s").format(seconds=decimal(result.reader_waited_s, 2))
        )
    if result.tokens_per_second is not None:
        parts.append(_("{n} tokens/s").format(n=round(result.tokens_per_second)))
    return parts
