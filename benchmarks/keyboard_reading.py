"""Read a scan without the mouse; print the keys, the seconds and the longest stall of each step.

    python -m benchmarks.keyboard_reading [--chest FOLDER] [--model MODEL]

The real viewer opens a scan, drafts, reviews every sentence, measures, puts the measurement into
the report, signs and exports. Every key goes through the window system's queue to whatever has the
focus. A stall is the longest time between two beats of a 2 ms timer: in wall time, as a person
feels it, and in processor time of the Qt thread, which other work on the machine does not change.
Without a display the viewer runs under Xvfb.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.stalls import TARGET_MS, Stall, StallWatch

if TYPE_CHECKING:
    from napari_ct_assistant.viewer.panel import CTAssistantPanel

CHEST = Path(__file__).resolve().parents[2] / "shared" / "data" / "chest_lidc_0314"
SCREEN = "-screen 0 1600x1000x24"
LONGEST_WAIT = 240.0


@dataclass(frozen=True)
class Step:
    """What was done, with how many keys, in which time; and its stalls, the longest first."""

    name: str
    keys: int
    seconds: float
    stalls: list[Stall]

    @property
    def stall(self) -> Stall:
        """The longest one, by processor time."""
        return self.stalls[0]


class Hands:
    """Presses keys in the window that is active, and counts them; `home` is the main window."""

    def __init__(self, home: Any) -> None:
        self._home = home
        self.keys = 0
        self.steps: list[Step] = []
        self._watch = StallWatch()

    def press(self, keys: str, times: int = 1) -> None:
        """Press a key such as "F8" or "Ctrl+Shift+R", in the window that is active."""
        from qtpy.QtGui import QKeySequence
        from qtpy.QtTest import QTest

        combination = QKeySequence(keys)[0]
        for _ in range(times):
            self.keys += 1
            self._watch.during = f"key {keys}"
            QTest.keyClick(self._window(), combination.key(), combination.keyboardModifiers())
            self.rest(0.03)

    def write(self, text: str) -> None:
        """Type a text."""
        from qtpy.QtCore import Qt
        from qtpy.QtTest import QTest

        for letter in text:
            self.keys += 1
            self._watch.during = f"typing {letter}"
            shift = Qt.KeyboardModifier.ShiftModifier
            QTest.keyClick(
                self._window(), letter, shift if letter.isupper() else Qt.KeyboardModifier(0)
            )
            self.rest(0.01)

    def _window(self) -> Any:
        from qtpy.QtWidgets import QApplication

        if QApplication.activeModalWidget() is None and QApplication.activeWindow() is None:
            # Without a window manager nobody gives the focus back when a dialog is closed.
            self._home.activateWindow()
            self.wait(lambda: QApplication.activeWindow() is not None)
        window = QApplication.activeModalWidget() or QApplication.activeWindow()
        assert window is not None
        return window.windowHandle()

    def in_dialog(self, keys: str, then: Callable[[], None]) -> None:
        """Press keys that open a dialog, and go on in it."""
        from qtpy.QtCore import QTimer

        failed: list[BaseException] = []

        def go_on() -> None:
            from qtpy.QtWidgets import QApplication

            if QApplication.activeModalWidget() is None:
                QTimer.singleShot(20, go_on)
                return
            self.rest(0.2)
            try:
                then()
            except BaseException as error:  # noqa: BLE001 - raised again outside Qt's slot
                failed.append(error)
                QApplication.activeModalWidget().close()

        QTimer.singleShot(20, go_on)
        self.press(keys)
        if failed:
            raise failed[0]

    def rest(self, seconds: float) -> None:
        """Let the window live."""
        end = time.monotonic() + seconds
        self.wait(lambda: time.monotonic() >= end)

    def wait(self, done: Callable[[], bool]) -> None:
        """Let the window live until something is done."""
        from qtpy.QtWidgets import QApplication

        end = time.monotonic() + LONGEST_WAIT
        while not done():
            if time.monotonic() > end:
                focus = type(QApplication.focusWidget()).__name__
                raise TimeoutError(f"waited {LONGEST_WAIT:.0f} s in vain; the focus is in {focus}")
            QApplication.processEvents()
            time.sleep(0.001)

    def step(self, name: str, do: Callable[[], None]) -> None:
        """Do one step, and note its keys, its time and its stalls, the longest first."""
        self.rest(0.2)
        self._watch.take()
        keys, began = self.keys, time.perf_counter()
        do()
        self.rest(0.1)
        seconds = time.perf_counter() - began
        self.steps.append(Step(name, self.keys - keys, seconds, self._watch.take()))


def read(hands: Hands, panel: CTAssistantPanel, scan: Path, out: Path) -> None:
    """Read a scan from the folder to the exported file."""
    from qtpy.QtWidgets import QApplication

    from napari_ct_assistant.viewer.views.plane_view import PlaneView

    tab, jobs = panel.report_controller.tab, panel.conversation.jobs

    def open_it() -> None:
        def answer() -> None:
            hands.write(str(scan))
            hands.press("Return")

        hands.in_dialog("Ctrl+Shift+D", answer)
        hands.wait(lambda: panel.scans.volume is not None)
        hands.wait(lambda: not tab.editor.isReadOnly())

    def draft() -> None:
        def unreviewed() -> int:
            return int(tab.editor.text.report().unreviewed)

        hands.press("Ctrl+Shift+R")
        hands.wait(lambda: unreviewed() > 0 or asked())
        if asked():
            # The scan is unlike those that the model was trained on.
            hands.press("Alt+Y")
        hands.wait(lambda: unreviewed() > 0)
        hands.wait(lambda: not jobs.busy)

    def asked() -> bool:
        scan = panel.scans.scan
        return scan is not None and scan.asked_outside is not None

    def review() -> None:
        hands.press("F8")
        hands.wait(lambda: tab.review.active)
        reject = True
        while tab.editor.text.report().unreviewed:
            hands.press("X" if reject else "A")
            reject = False
        hands.press("Esc")

    def measure() -> None:
        hands.press("F4")
        hands.press("X")
        hands.wait(lambda: panel.reading_bar.linked is not None)
        hands.rest(0.8)
        hands.wait(lambda: isinstance(QApplication.focusWidget(), PlaneView))
        hands.press("Shift+M")
        hands.press("Right", 12)
        hands.press("Shift+M")
        hands.wait(lambda: panel.reading_bar.measure.measurements.lengths != ())

    def sentence() -> None:
        hands.press("F5")
        if tab.editor.hasFocus():
            # The line at the cursor names no finding: the reader does.
            hands.write("Nodule")
        hands.wait(lambda: any(True for _ in tab.editor.text.report().measured()))

    def sign() -> None:
        def answer() -> None:
            hands.write("Ada Reader")
            hands.press("Return")

        hands.in_dialog("Ctrl+Shift+S", answer)
        hands.wait(lambda: tab.editor.text.report().signed is not None)

    def export() -> None:
        def answer() -> None:
            hands.press("Tab")
            hands.press("Ctrl+A")
            hands.write(str(out))
            hands.press("Return")

        hands.in_dialog("Ctrl+Shift+X", answer)
        hands.wait(out.exists)

    hands.step("open the folder", open_it)
    hands.step("draft the report", draft)
    hands.step("review every sentence", review)
    hands.step("draw a ruler", measure)
    hands.step("measurement to sentence", sentence)
    hands.step("sign", sign)
    hands.step("export", export)


def table(steps: list[Step]) -> str:
    """Return the steps as a table."""
    lines = [
        f"{'':26}{'keys':>6}{'seconds':>9}{'stall, ms':>11}{'processor':>11}",
        *(
            f"{one.name:26}{one.keys:6d}{one.seconds:9.1f}{one.stall.wall:11.0f}"
            f"{one.stall.work:11.0f}"
            for one in steps
        ),
    ]
    keys, seconds = sum(one.keys for one in steps), sum(one.seconds for one in steps)
    worst = max(steps, key=lambda one: one.stall.work)
    lines.append(f"{'in all':26}{keys:6d}{seconds:9.1f}")
    lines.append(
        f"longest stall: {worst.stall.work:.0f} ms of processor time ({worst.name}); "
        f"target {TARGET_MS} ms on an idle machine"
    )
    return "\n".join(lines)


def where(steps: list[Step]) -> str:
    """Return where each stall was that missed the target."""
    lines: list[str] = []
    for one in steps:
        for stall in one.stalls:
            if stall.work > TARGET_MS:
                lines += ["", f"{one.name}: {stall.work:.0f} ms, after {stall.during}"]
                lines += stall.hottest()
    return "\n".join(lines)


def under_xvfb(module: str) -> int | None:
    """Without a display, run a benchmark under Xvfb and return its status; else return None."""
    from napari_ct_assistant.viewer.app import display_available

    available, reason = display_available()
    if available:
        return None
    xvfb = shutil.which("xvfb-run")
    if xvfb is None:
        print(f"{reason}; start a display or install Xvfb", file=sys.stderr)
        return 1
    again = [sys.executable, "-m", module, *sys.argv[1:]]
    return subprocess.run([xvfb, "-a", "-s", SCREEN, *again], check=False).returncode


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chest", type=Path, default=CHEST, help="folder of DICOM slices")
    parser.add_argument("--model", default="demo")
    parser.add_argument("--where", action="store_true", help="show where the stalls are")
    options = parser.parse_args()
    other = under_xvfb("benchmarks.keyboard_reading")
    if other is not None:
        return other
    if not options.chest.is_dir():
        print(f"no folder {options.chest}; give one with --chest", file=sys.stderr)
        return 1
    from qtpy.QtCore import Qt
    from qtpy.QtWidgets import QApplication

    from napari_ct_assistant.viewer.app import open_viewer

    QApplication.setAttribute(Qt.ApplicationAttribute.AA_DontUseNativeDialogs)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["CT_ASSISTANT_DATA"] = folder
        viewer, panel = open_viewer(model=options.model)
        panel.window().activateWindow()
        hands = Hands(panel.window())
        hands.wait(lambda: QApplication.activeWindow() is not None)
        try:
            read(hands, panel, options.chest, Path(folder) / "report.pdf")
        finally:
            print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n")
            if hands.steps:
                print(table(hands.steps))
            if options.where:
                print(where(hands.steps))
            viewer.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
