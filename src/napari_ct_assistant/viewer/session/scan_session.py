"""The state of each open scan, in one object that every part of the panel receives.

`ScanPicker` makes a session when a scan is opened and releases it when the scan's last layer is
removed. Nothing here knows Qt.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from napari_ct_assistant.backends.protocol import View
from napari_ct_assistant.viewer.session.history import ChatHistory
from napari_ct_assistant.volume import AIR, CTVolume

if TYPE_CHECKING:
    from napari_ct_assistant.assistant import FindingProbability, ModelInfo, ReportDraft, Sentence
    from napari_ct_assistant.assistant.report.read_first import ReadFirst
    from napari_ct_assistant.backends.heat_map import HeatMap
    from napari_ct_assistant.viewer.report.report_document import ReportText
    from napari_ct_assistant.volume import ModelGrid


@dataclass(frozen=True)
class OutsideDraft:
    """A draft that was asked for from a scan outside the model's training distribution.

    Attributes
    ----------
    model : str
        As it was chosen.
    info : ModelInfo
    note : str
        Why the scan is outside.
    """

    model: str
    info: ModelInfo
    note: str


@dataclass(eq=False)
class ScanSession:
    """What the panel knows about one scan while the scan is open.

    Attributes
    ----------
    volume : CTVolume
        Without its voxels once the scan is closed.
    name : str
        What the scan is called on screen.
    files : Path or None
        The file or folder that the scan was opened from, where that is known. It may be named for
        the patient: it is kept while the scan is open, and nowhere else.
    is_open : bool
        False once the scan's last layer was removed. Messages in the transcript still refer to
        the session then.
    history : ChatHistory
        Questions and answers so far.
    typed : str
        What stands in the question box, not sent yet.
    asked : list of str
        The questions that were sent, for the arrow keys of the question box.
    choices_form : tuple of str
        What stands in the multiple-choice form: the question, then the choices.
    text : ReportText or None
        The report, None until it is shown for the first time.
    waiting_draft : ReportDraft or None
        A new draft that waits for the reader's decision, because the report was edited.
    findings : tuple of FindingProbability
        The result of the last findings screen, empty until there is one.
    checks : tuple of str
        What a test of the model on the scan showed with that screen.
    measured : tuple of str
        The lengths that are drawn on the scan, such as "14.2 mm".
    last_text : (str, tuple of str)
        The model's last text, and the findings that this model cannot reliably detect.
    status : str
        The status line of the last job about the scan.
    heat : dict
        The heat map of each drafted sentence, None for a sentence without one.
    followed : Sentence or None
        The drafted sentence of the report whose link was followed last.
    warned_models : set of str
        The models whose warnings about this scan are in the transcript already.
    outside : str
        The warning that the scan is outside the training distribution of the model that read it
        last; empty without one.
    asked_outside : OutsideDraft or None
        The draft that waits for the reader's answer whether to draft all the same.
    drafted_outside : set of str
        The models that the reader wants drafts from although the scan is outside their training.
    view : View
        The part of the scan that is to be read; the model's own choice at first.
    regions : tuple of str
        Regions of the body that the model which read the scan last can be pointed to.
    region_read : str
        The region that it read.
    box : ModelGrid or None
        Where its input lies in the scan.
    slices : tuple of int
        The slices that it was shown, if it looks at single ones.
    finding_names : tuple of str
        The findings of the model that read the scan last; empty where it does not say.
    labels : (tuple of str or None, str)
        The findings that the last draft lists as its result, and its text.
    journal : {"unread", "reading", "read"}
        Whether the scan's page in the journal was loaded. The report cannot be edited while it
        is being read.
    journal_key : str
        The hash under which the journal keeps the scan; empty until it is computed.
    unsaved : bool
        Something changed since the page was last written.
    read_first : ReadFirst or None
        The reading without the model's results, None where the reader does not read first.
    read_before : bool
        The results were seen in an earlier session.
    """

    volume: CTVolume
    name: str = ""
    files: Path | None = field(default=None, repr=False)
    is_open: bool = True
    history: ChatHistory = field(default_factory=ChatHistory)
    typed: str = ""
    asked: list[str] = field(default_factory=list)
    choices_form: tuple[str, ...] = ()
    text: ReportText | None = None
    waiting_draft: ReportDraft | None = None
    findings: tuple[FindingProbability, ...] = ()
    checks: tuple[str, ...] = ()
    measured: tuple[str, ...] = ()
    last_text: tuple[str, tuple[str, ...]] = ("", ())
    status: str = ""
    heat: dict[Sentence, HeatMap | None] = field(default_factory=dict)
    followed: Sentence | None = None
    warned_models: set[str] = field(default_factory=set)
    outside: str = ""
    asked_outside: OutsideDraft | None = None
    drafted_outside: set[str] = field(default_factory=set)
    view: View = field(default_factory=View)
    regions: tuple[str, ...] = ()
    region_read: str = ""
    box: ModelGrid | None = None
    slices: tuple[int, ...] = ()
    finding_names: tuple[str, ...] = ()
    labels: tuple[tuple[str, ...] | None, str] = (None, "")
    journal: Literal["unread", "reading", "read"] = "unread"
    journal_key: str = ""
    unsaved: bool = False
    read_first: ReadFirst | None = None
    read_before: bool = False

    @property
    def hidden(self) -> bool:
        """Whether the model's results are hidden until the reader's own read is done."""
        return self.read_first is not None and self.read_first.hidden

    @property
    def shown_findings(self) -> tuple[FindingProbability, ...]:
        """The findings that the reader may see now."""
        return () if self.hidden else self.findings

    def release(self) -> None:
        """Free what is large; call it once everybody who follows the scan has let go of it.

        Messages and jobs refer to the session for as long as the transcript shows them, so the
        voxels are replaced by a volume of the same geometry without any.
        """
        self.is_open = False
        self.files = None
        volume = self.volume
        self.volume = CTVolume(
            np.broadcast_to(np.int16(AIR), volume.shape),
            volume.affine,
            volume.series,
            volume.warnings,
            volume.orientation,
            instance_numbers=volume.instance_numbers,
        )
        self.history = ChatHistory()
        self.typed, self.choices_form = "", ()
        self.asked.clear()
        self.waiting_draft = self.asked_outside = None
        self.findings, self.checks, self.last_text, self.status = (), (), ("", ()), ""
        self.heat.clear()


class OpenScans:
    """The sessions of the scans that are open, in the order in which they were opened."""

    def __init__(self) -> None:
        self._sessions: dict[CTVolume, ScanSession] = {}

    def __iter__(self) -> Iterator[ScanSession]:
        return iter(tuple(self._sessions.values()))

    def of(self, volume: CTVolume) -> ScanSession:
        """Return the session of a scan, a new one when the scan was just opened."""
        if volume not in self._sessions:
            self._sessions[volume] = ScanSession(volume)
        return self._sessions[volume]

    def remove(self, scan: ScanSession) -> None:
        """Take a session out: its scan was closed."""
        del self._sessions[scan.volume]
