"""A reader who types while a draft streams, in a process that is killed in the middle of it.

Run as a program it forks one such reader for each line it is given, so that fifty of them cost
one import of Qt and napari. Each writes into its log file, for every key typed and every piece
of the draft that came, the time and the text so far: what a witness would swear to.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

KEY_SECONDS = 0.02


@dataclass(frozen=True)
class Said:
    """What the witness saw last: kind, seconds since 1970, length of the text."""

    kind: str
    at: float
    length: int


class Scripted:
    """A model whose draft has no end: the panel's real jobs bring its words."""

    def __init__(self, log: Any) -> None:
        self._log = log
        from napari_ct_assistant.assistant import ModelInfo

        self.info = ModelInfo("scripted")
        self.warnings: tuple[str, ...] = ()

    def __call__(self, model: str, **options: Any) -> Scripted:
        return self

    def read(self, volume: Any, **options: Any) -> Scripted:
        return self

    def close(self) -> None:
        pass

    def draft_report(self, *, on_text: Any, cancel: threading.Event, **options: Any) -> Any:
        for number in range(1_000_000):
            on_text(f"w{number} ")
            time.sleep(KEY_SECONDS)
            if cancel.is_set():
                break
        raise OSError("the draft has no end")


def read_and_type(folder: Path) -> None:
    """Type into the report and stream a draft until killed."""
    os.environ["CT_ASSISTANT_DATA"] = str(folder)
    from qtpy.QtCore import QTimer
    from qtpy.QtTest import QTest
    from qtpy.QtWidgets import QApplication

    from napari_ct_assistant.viewer.chat.question_box import QuestionBox
    from napari_ct_assistant.viewer.chat.transcript import Transcript
    from napari_ct_assistant.viewer.report.journal_keeper import JournalKeeper
    from napari_ct_assistant.viewer.report.tab import ReportTab
    from napari_ct_assistant.viewer.session.conversation import Conversation
    from napari_ct_assistant.viewer.session.jobs import ReportJob
    from napari_ct_assistant.viewer.session.model_session import ModelSession
    from napari_ct_assistant.viewer.session.scan_session import ScanSession

    app = QApplication([])
    log = (folder / "witness").open("a", buffering=1)
    session = ScanSession(scan())
    tab, transcript, box = ReportTab(), Transcript(), QuestionBox()
    talk = Conversation(ModelSession(Scripted(log)), transcript)
    keeper = JournalKeeper(tab, transcript, box, talk.jobs, [session])
    tab.show_scan(session)
    keeper.show_scan(session)
    tab.show()
    cursor = tab.editor.textCursor()
    cursor.setPosition(tab.editor.text.insert_line(cursor.position(), ""))
    tab.editor.setTextCursor(cursor)
    typed = 0

    def key() -> None:
        nonlocal typed
        if tab.editor.isReadOnly():
            return
        QTest.keyClicks(tab.editor, f"k{typed} ")
        typed += 1
        log.write(f"typed {time.time()} {typed}\n")

    def came(_text: str) -> None:
        shown = len(transcript.messages[-1].plain_text().split())
        log.write(f"streamed {time.time()} {shown}\n")

    talk.jobs.text.connect(came)
    talk.start(ReportJob(session, "scripted"), "scan")
    keys = QTimer()
    keys.timeout.connect(key)
    keys.start(int(KEY_SECONDS * 1000))
    app.exec()


def scan() -> Any:
    """Return the small CT that the victim reads."""
    from napari_ct_assistant.volume import CTVolume

    affine = np.zeros((4, 4))
    affine[2, 0] = affine[1, 1] = affine[0, 2] = -3.0
    affine[3, 3] = 1
    return CTVolume(np.zeros((8, 8, 8), np.int16), affine, "victim")


def main() -> None:
    """Fork a reader for each folder named on stdin, and tell its process number."""
    # What takes long is imported once; no QApplication may exist before the fork.

    print("ready", flush=True)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            read_and_type(Path(line.strip()))
            os._exit(0)
        print(child, flush=True)
        # The killed ones before it.
        while True:
            try:
                done, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if done == 0:
                break


if __name__ == "__main__":
    main()
