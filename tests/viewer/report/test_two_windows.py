"""Two windows, of one program or of two, write about one scan into one journal."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from napari_ct_assistant.assistant.journal.pages import INTERRUPTED, STILL_WRITTEN
from napari_ct_assistant.assistant.journal.store import FILE, Journal
from napari_ct_assistant.viewer.scan.layers import add_volume
from napari_ct_assistant.volume import CTVolume
from tests.viewer.session.test_conversation import Slow

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

    from napari_ct_assistant.viewer.panel import CTAssistantPanel

Maker = Callable[..., "CTAssistantPanel"]
# Writes a page with a text that is being written, says so, and lives until its input ends.
WRITER = """
import sys
from pathlib import Path
from napari_ct_assistant.assistant.journal.store import Journal
journal = Journal(Path(sys.argv[1]))
journal.load(sys.argv[2])
message = {"speaker": "model", "title": "Report", "text": "The heart is", "complete": False}
journal.save(sys.argv[2], {"report": None, "transcript": [message], "question": ""})
print("saved", flush=True)
sys.stdin.read()
"""


@contextmanager
def another_program(file: Path, scan: CTVolume) -> Iterator[None]:
    """Let another process write about a scan, and live for as long as the block lasts."""
    file.parent.mkdir(parents=True, exist_ok=True)
    arguments = [sys.executable, "-c", WRITER, str(file), scan.fingerprint]
    pipe = subprocess.PIPE
    with subprocess.Popen(arguments, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "saved\n"
        yield
        process.communicate()


def texts(panel: CTAssistantPanel) -> list[str]:
    return [" ".join(message.plain_text().split()) for message in panel.transcript.messages]


def opened(make_panel: Maker, ct: CTVolume, qtbot: QtBot) -> CTAssistantPanel:
    panel = make_panel()
    add_volume(panel.viewer, CTVolume(ct.hu.copy(), ct.affine, ct.series))
    qtbot.waitUntil(lambda: panel.scans.scan.journal == "read", timeout=20_000)
    return panel


def test_a_text_that_another_program_is_writing_is_not_called_interrupted(
    make_panel: Maker, ct: CTVolume, qtbot: QtBot, data_home: Path
) -> None:
    with another_program(data_home / FILE, ct):
        panel = opened(make_panel, ct, qtbot)
        assert f"The heart is {STILL_WRITTEN}" in texts(panel)


def test_a_text_that_an_ended_program_was_writing_is_called_interrupted(
    make_panel: Maker, ct: CTVolume, qtbot: QtBot, data_home: Path
) -> None:
    with another_program(data_home / FILE, ct):
        pass
    panel = opened(make_panel, ct, qtbot)
    assert f"The heart is {INTERRUPTED}" in texts(panel)


def test_a_text_that_the_reader_stopped_is_not_called_interrupted(
    make_panel: Maker, ct: CTVolume, qtbot: QtBot
) -> None:
    """Even if the program ends before the model does."""
    model = Slow()
    panel = make_panel(lambda _model, **_options: model)
    add_volume(panel.viewer, CTVolume(ct.hu.copy(), ct.affine, ct.series))
    qtbot.waitUntil(lambda: panel.scans.scan.journal == "read", timeout=20_000)
    with qtbot.waitSignal(panel.conversation.jobs.text, timeout=20_000):
        panel.ask("Is it there?")
    panel.stop()
    panel.report_controller.flush()
    page = Journal().pages()[0]
    assert page.passages()[-1].endswith("Perhaps\n[Stopped.]")
    model.go_on.set()
    qtbot.waitUntil(lambda: not panel.conversation.jobs.busy, timeout=20_000)
    panel.report_controller.flush()
    assert Journal().pages()[0].passages()[-1].endswith("Perhaps not.")


def test_what_two_windows_wrote_is_both_there(
    make_panel: Maker, ct: CTVolume, qtbot: QtBot
) -> None:
    first = opened(make_panel, ct, qtbot)
    second = opened(make_panel, ct, qtbot)
    for panel, words in ((first, "Seen in the first."), (second, "Seen in the second.")):
        tab = panel.report_controller.tab
        tab.tools.phrase.emit(words)
        panel.report_controller.flush()
    third = opened(make_panel, ct, qtbot)
    report = third.report_controller.tab.editor.text.report().text
    assert "Seen in the second." in report
    assert "Seen in the first." not in report
    notes = [m for m in third.transcript.messages if m.title.startswith("Written in another")]
    assert ["Seen in the first." in note.plain_text() for note in notes] == [True]
    # It has been told, so the next window is not told again; the note is in the transcript.
    third.report_controller.keeper.mark_changed(third.scans.scan)
    third.report_controller.flush()
    fourth = opened(make_panel, ct, qtbot)
    notes = [m for m in fourth.transcript.messages if m.title.startswith("Written in another")]
    assert len(notes) == 1
    page = Journal().pages()[0]
    assert "Seen in the first" in page.text
    assert page.others == ()
