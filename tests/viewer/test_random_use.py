"""Random use of the panel raises nothing, and every job's end is told.

After each action, Qt's deferred deletions are done, as a running event loop does: what still uses
a widget that is gone then fails. Each list of actions comes from a seed, which a failure names.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtCore import QEvent, Qt, QThreadPool, QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QAbstractButton, QApplication, QDockWidget

from napari_ct_assistant.assistant import Answer, ReportDraft
from napari_ct_assistant.viewer.scan.layers import add_volume
from tests.viewer.scripted import ScriptedModel, ScriptedReading
from tests.viewer.test_scans_in_any_order import MODEL, PATIENTS, READER, SCANS, Desk

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

    from napari_ct_assistant.viewer.panel import CTAssistantPanel
    from napari_ct_assistant.volume import CTVolume

NAME = "CT Assistant"
# napari's own, for some of the colours of a new Labels layer.
pytestmark = pytest.mark.filterwarnings("ignore:Conversion from CIE-LAB:UserWarning")
KEYS = "ACSDXTMREPKIZ"


class UnevenModel(ScriptedModel):
    """Writes at an uneven pace, and fails now and then in the middle of a text."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__()
        self.chance = chance

    def read(self, volume: CTVolume, **options: Any) -> UnevenReading:
        return UnevenReading(volume, self.chance)


class UnevenReading(ScriptedReading):
    """A reading by `UnevenModel`."""

    def __init__(self, volume: CTVolume, chance: random.Random) -> None:
        super().__init__(volume)
        self.chance = chance

    def draft_report(
        self, *, on_text: Any = None, cancel: Any = None, **options: Any
    ) -> ReportDraft:
        self._write(on_text, cancel)
        return super().draft_report(on_text=on_text, **options)

    def ask(
        self, question: str, *, on_text: Any = None, cancel: Any = None, **options: Any
    ) -> Answer:
        self._write(on_text, cancel)
        return super().ask(question, on_text=on_text, **options)

    def _write(self, on_text: Callable[[str], None], cancel: Any) -> None:
        for word in ["Some", "words", "before", "the", "text."][: self.chance.randrange(6)]:
            on_text(f"{word} ")
            time.sleep(self.chance.random() * 0.03)
            if cancel.is_set():
                return
        if self.chance.random() < 0.1:
            raise self.chance.choice((OSError, KeyError, MemoryError))("the model failed")


class Everything(Desk):
    """Whatever a reader can do with the panel, its window and its viewer."""

    def __init__(
        self, panel: CTAssistantPanel, qtbot: QtBot, folder: Path, chance: random.Random
    ) -> None:
        super().__init__(panel, qtbot, folder)
        self.chance = chance

    def do(self, action: str, who: str) -> None:
        super().do(action, who)
        QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)

    @property
    def tab(self) -> Any:
        return self.panel.report_controller.tab

    @property
    def docked(self) -> bool:
        return self.panel.parent() is not None

    # -- the transcript

    def clear(self, _who: str) -> None:
        self.panel.transcript_row.cleared.emit()

    def copy(self, _who: str) -> None:
        self.panel.copy()

    def again(self, _who: str) -> None:
        self.panel.chat_controller.again()

    def edit(self, _who: str) -> None:
        asked = [one for one in self.panel.transcript.messages if one.speaker == "you"]
        if asked:
            self.panel.chat_controller.edit(self.chance.choice(asked))

    def follow(self, _who: str) -> None:
        if self.panel.transcript.messages:
            message = self.chance.choice(self.panel.transcript.messages)
            self.panel.transcript.linkClicked.emit(message, f"slice:{self.chance.randrange(30)}")

    def chip(self, _who: str) -> None:
        if self.panel.chat_controller.chips.buttons:
            self.chance.choice(self.panel.chat_controller.chips.buttons).click()

    def ask_choices(self, _who: str) -> None:
        self.panel.ask("Which side?", ("Left", "Right"))

    # -- panel and window

    def close_panel(self, _who: str) -> None:
        window = self.panel.viewer.window
        dock = window._qt_window.findChild(QDockWidget, NAME)
        if self.docked and dock is not None:
            window.remove_dock_widget(dock)

    def dock_panel(self, _who: str) -> None:
        if not self.docked:
            self.panel.viewer.window.add_dock_widget(self.panel, name=NAME, area="right")

    def own_window(self, _who: str) -> None:
        self.tab.tools.window_button.toggle()

    def resize(self, _who: str) -> None:
        self.panel.viewer.window.resize(*(self.chance.randrange(600, 1400) for _ in range(2)))

    def theme(self, _who: str) -> None:
        self.panel.viewer.theme = self.chance.choice(("dark", "light"))

    def change_tab(self, _who: str) -> None:
        self.panel.tabs.setCurrentIndex(self.chance.randrange(self.panel.tabs.count()))

    def layout(self, _who: str) -> None:
        if self.docked:
            self.panel.reading_layout.toggle()

    def press(self, _who: str) -> None:
        """Press any button that can be pressed; what it opens is closed by `close_dialogs`."""
        buttons = [
            button
            for button in self.panel.findChildren(QAbstractButton)
            if button.isVisible() and button.isEnabled() and button.text()
        ]  # fmt: skip
        if buttons:
            self.chance.choice(buttons).click()

    def key(self, _who: str) -> None:
        """Press one of the single keys of the window."""
        QTest.keyClick(self.panel.viewer.window._qt_window, self.chance.choice(KEYS))

    # -- the model

    def swap_model(self, _who: str) -> None:
        self.panel.models.set_model(self.chance.choice(("demo", "scripted", "absent")))

    def load_model(self, _who: str) -> None:
        self.panel.models.load_or_unload()

    def survey(self, _who: str) -> None:
        self.panel.models.refresh_survey()

    # -- the report

    def export(self, who: str) -> None:
        if self.docked:  # a closed panel has no scan on screen
            super().export(who)

    def accept(self, _who: str) -> None:
        self.tab.editor.accept()

    def reject(self, _who: str) -> None:
        self.tab.editor.reject()

    def next_sentence(self, _who: str) -> None:
        self.tab.editor.next_unreviewed()

    def type_key(self, _who: str) -> None:
        QTest.keyClicks(self.tab.editor, "word"[: self.chance.randrange(5)])
        if self.chance.random() < 0.3:
            QTest.keyClick(self.tab.editor, Qt.Key.Key_Return)

    def delete_key(self, _who: str) -> None:
        QTest.keyClick(self.tab.editor, Qt.Key.Key_Backspace)

    def select_all(self, _who: str) -> None:
        self.tab.editor.selectAll()

    def redo(self, _who: str) -> None:
        self.tab.editor.redo()

    def shorten(self, _who: str) -> None:
        self.tab.sentence.shorten_button.click()

    def explain(self, _who: str) -> None:
        self.tab.sentence.explain_button.click()

    def template(self, _who: str) -> None:
        box = self.tab.tools.templates
        self.tab.choose_template(box.itemText(self.chance.randrange(box.count())))

    def phrase(self, _who: str) -> None:
        actions = self.tab.tools.phrases_menu.actions()
        if actions:
            self.chance.choice(actions).trigger()

    def take_draft(self, _who: str) -> None:
        self.tab.new_draft.replace_button.click()

    def add_draft(self, _who: str) -> None:
        self.tab.new_draft.add_button.click()

    def dismiss_draft(self, _who: str) -> None:
        self.tab.new_draft.dismiss_button.click()

    def export_file(self, _who: str) -> None:
        if self.tab.scan is not None:
            exporter = self.panel.report_controller.exporter
            report = self.tab.text_of(self.tab.scan).report()
            exporter.export(report, self.tab.scan.volume, self.folder / "report.txt")

    def delete_journal(self, _who: str) -> None:
        keeper = self.panel.report_controller.keeper
        assert keeper is not None
        keeper.delete(self.chance.choice((None, self.panel.scans.scan)))

    # -- the viewer

    def plane(self, _who: str) -> None:
        self.panel.view_bar.show_plane(self.chance.choice(("axial", "coronal", "sagittal")))

    def slice(self, _who: str) -> None:
        dims = self.panel.viewer.dims
        dims.set_current_step(0, self.chance.randrange(20))

    def volume_view(self, _who: str) -> None:
        self.panel.viewer.dims.ndisplay = self.chance.choice((2, 2, 3))

    def linked_views(self, _who: str) -> None:
        self.panel.reading_bar.linked_button.toggle()

    def slab(self, _who: str) -> None:
        self.panel.reading_bar.slab.next()

    def tool(self, _who: str) -> None:
        self.panel.reading_bar.measure.toggle(self.chance.choice(("line", "ellipse", "select")))

    def heat(self, _who: str) -> None:
        self.panel.evidence_controller.toggle()

    def opacity(self, _who: str) -> None:
        self.panel.evidence_controller.bar.slider.setValue(self.chance.randrange(100))

    def rename(self, who: str) -> None:
        if who in self.layers:
            self.layers[who].name = f"<b>{who}</b>  ·  {self.chance.randrange(9)}"

    def copy_layer(self, who: str) -> None:
        if who in self.layers:
            layer = self.layers[who]
            add_volume(self.panel.viewer, layer.metadata["ct_volume"], who)

    def foreign_layer(self, _who: str) -> None:
        self.panel.viewer.add_image(np.zeros((4, 5, 6)), name="foreign")

    def remove_layer(self, _who: str) -> None:
        layers = self.panel.viewer.layers
        if len(layers):
            gone = self.chance.choice(list(layers))
            layers.remove(gone)
            self._forget()

    def remove_all(self, _who: str) -> None:
        self.panel.viewer.layers.clear()
        self._forget()

    def open_nothing(self, _who: str) -> None:
        self.panel.scans.open(self.folder / "absent.nii")

    def _forget(self) -> None:
        living = list(self.panel.viewer.layers)
        self.layers = {who: layer for who, layer in self.layers.items() if layer in living}


def close_dialogs() -> None:
    """Close what waits for the reader: a menu or a dialog."""
    for waiting in (QApplication.activePopupWidget(), QApplication.activeModalWidget()):
        if waiting is not None:
            waiting.close()


NO_ACTIONS = {"do", "tab", "docked", *SCANS, *MODEL, *READER}
OWN = tuple(name for name in vars(Everything) if name[0] != "_" and name not in NO_ACTIONS)
KINDS = (*SCANS, *MODEL, *READER, *OWN)


def use_at_random(
    make_panel: Callable[..., CTAssistantPanel],
    qtbot: QtBot,
    folder: Path,
    seeds: range,
    length: int,
) -> Counter[str]:
    """Do a list of actions for each seed, and return how often each kind was done."""
    chance = random.Random()
    panel = make_panel(UnevenModel(chance))
    jobs = panel.conversation.jobs
    told: Counter[str] = Counter()
    for name in ("began", "done", "stopped", "failed", "ended"):
        getattr(jobs, name).connect(lambda *_, name=name: told.update([name]))
    done: Counter[str] = Counter()
    # Runs in the event loops of menus and dialogs, too.
    closing = QTimer()
    closing.timeout.connect(close_dialogs)
    closing.start(50)
    QApplication.setAttribute(Qt.ApplicationAttribute.AA_DontUseNativeDialogs)
    for seed in seeds:
        chance.seed(seed)
        desk = Everything(panel, qtbot, folder, chance)
        actions = [("open", "Alpha")]
        actions += [(chance.choice(KINDS), chance.choice(list(PATIENTS))) for _ in range(length)]
        actions += [("dock_panel", ""), ("wait", ""), ("remove_all", ""), ("clear", "")]
        with qtbot.captureExceptions() as raised:
            for number, (action, who) in enumerate(actions):
                try:
                    desk.do(action, who)
                except Exception as error:
                    raise AssertionError(f"seed {seed}: {actions[: number + 1]}") from error
                assert not raised, f"seed {seed}: {actions[: number + 1]}: {raised[0]}"
                done[action] += 1
        ends = told["done"] + told["stopped"] + told["failed"]
        assert told["began"] == ends == told["ended"], f"seed {seed}: {told}"
        assert not any(one.is_being_written for one in panel.transcript.messages), f"seed {seed}"
        for message in list(panel.transcript.messages):
            panel.transcript.remove(message)
        if (seed + 1) % 50 == 0:
            print(f"seed {seed}: {done.total()} actions, {told['ended']} jobs", flush=True)
    pool = QThreadPool.globalInstance()
    qtbot.waitUntil(lambda: pool.activeThreadCount() == 0, timeout=60_000)
    print(f"{len(seeds)} lists, {done.total()} actions of {len(done)} kinds, {told['ended']} jobs")
    return done


def test_there_are_many_kinds_of_action() -> None:
    assert len(set(KINDS)) == len(KINDS) >= 44


def test_random_use(
    make_panel: Callable[..., CTAssistantPanel], qtbot: QtBot, tmp_path: Path
) -> None:
    use_at_random(make_panel, qtbot, tmp_path, range(4), 20)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_random_use_for_long(
    make_panel: Callable[..., CTAssistantPanel], qtbot: QtBot, tmp_path: Path
) -> None:
    done = use_at_random(make_panel, qtbot, tmp_path, range(1000, 1500), 20)
    assert set(done) >= set(KINDS)
