r"""Take the README's pictures: start the real viewer, click what a person clicks, save PNGs.

    NAPARI_CONFIG=$(mktemp -d)/settings.yaml xvfb-run -a -s "-screen 0 1600x1000x24" \
        python scripts/screenshots.py [--chest FOLDER]
    python scripts/screenshots.py --screens OUT [--language de]

The second command shows the maximised window on the screens of `desk_pictures.SCREENS`, each
under Xvfb, with the window manager openbox where it is installed.

The chest scan is a folder of DICOM slices; by default the one in the folder of test
data beside the project. Without it only the phantom's pictures are taken.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import desk_pictures
import evidence_pictures
import measured_pictures
import numpy as np
import report_pictures
from PIL import Image
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt, QTimer
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QWidget

from napari_ct_assistant.viewer.app import open_viewer
from napari_ct_assistant.viewer.views.crosshair import canvas_point

if TYPE_CHECKING:
    from napari_ct_assistant.viewer.chat.message import Message
    from napari_ct_assistant.viewer.panel import CTAssistantPanel
    from napari_ct_assistant.volume import CTVolume

ROOT = Path(__file__).resolve().parents[1]
CHEST = ROOT.parent / "shared" / "data" / "chest_lidc_0314"
WINDOW = (1600, 1000)
LONGEST_WAIT = 600.0


class Visit:
    """One session at the viewer: what a person does, and the pictures taken on the way."""

    def __init__(
        self,
        scan: str | Path | CTVolume,
        out: Path,
        name: str,
        model: str,
        *,
        whole_screen: bool = False,
    ) -> None:
        self.out, self.name = out, name
        self.viewer, self.panel = open_viewer(scan, model=model)
        if whole_screen:
            self.panel.window().showMaximized()
        else:
            self.panel.window().showNormal()
            self.viewer.window.resize(*WINDOW)
        self.wait(lambda: self.panel.scans.volume is not None)
        self.pause()

    def wait(self, done: Callable[[], bool]) -> None:
        """Let the window live until `done`."""
        end = time.monotonic() + LONGEST_WAIT
        while not done():
            if time.monotonic() > end:
                raise TimeoutError(f"{self.name}: waited {LONGEST_WAIT:.0f} s in vain")
            QApplication.processEvents()
            time.sleep(0.02)

    def pause(self, seconds: float = 0.6) -> None:
        """Let the window settle."""
        end = time.monotonic() + seconds
        self.wait(lambda: time.monotonic() > end)

    def click(self, widget: QWidget, at: QPoint | None = None) -> None:
        """Click with the left button, in the middle unless told where."""
        where = widget.rect().center() if at is None else at
        QTest.mouseClick(widget, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, where)

    def point(self) -> None:
        """Rest the pointer on the picture, left of its middle, so that HU and place show."""
        canvas = self.viewer.window._qt_viewer.canvas.native
        at = QPoint(int(canvas.width() * 0.42), canvas.height() // 2)
        move = QMouseEvent(
            QEvent.Type.MouseMove,
            QPointF(at),
            QPointF(canvas.mapToGlobal(at)),
            Qt.MouseButton.NoButton,
            Qt.MouseButton.NoButton,
            Qt.KeyboardModifier.NoModifier,
        )
        QApplication.sendEvent(canvas, move)

    def drag(self, start: np.ndarray, end: np.ndarray) -> None:
        """Drag with the left button over the large canvas, between two points in world mm."""
        canvas = self.viewer.window._qt_viewer.canvas.native
        ways = [
            canvas_point(self.viewer, start + (end - start) * part, canvas.width(), canvas.height())
            for part in np.linspace(0, 1, 6)
        ]
        left, none = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
        QTest.mousePress(canvas, left, none, ways[0].toPoint())
        for at in ways[1:]:
            where = QPointF(canvas.mapToGlobal(at.toPoint()))
            kind = QEvent.Type.MouseMove
            QApplication.sendEvent(
                canvas, QMouseEvent(kind, at, where, Qt.MouseButton.NoButton, left, none)
            )
            self.pause(0.05)
        QTest.mouseRelease(canvas, left, none, ways[-1].toPoint())
        self.pause()

    def shot(self, what: str) -> None:
        """Save a picture of the whole window."""
        self.pause()
        path = self.out / f"{self.name}-{what}.png"
        picture = self.viewer.screenshot(canvas_only=False, flash=False)
        # 256 colours do for a grey scan and a plain window, at half the size.
        Image.fromarray(picture).convert("RGB").quantize(256).save(path, optimize=True)
        print(path, flush=True)

    def screen_shot(self, what: str) -> None:
        """Save a picture of the whole screen, dialogs included."""
        self.pause()
        path = self.out / f"{self.name}-{what}.png"
        QApplication.primaryScreen().grabWindow(0).save(str(path))
        print(path, flush=True)

    def dialog(self, open_it: Callable[[], object], what: str) -> None:
        """Open a modal dialog, take a picture, and close it."""

        def take() -> None:
            self.screen_shot(what)
            shown = QApplication.activeModalWidget()
            if shown is not None:
                shown.close()

        QTimer.singleShot(800, take)
        open_it()

    def idle(self) -> None:
        """Wait until the model is done."""
        self.wait(lambda: not self.panel.conversation.jobs.busy)

    def draft(self, *, in_the_middle: str = "") -> None:
        """Press Draft report; with a name, also take a picture while the text streams."""
        texts: list[str] = []
        self.panel.conversation.jobs.text.connect(texts.append)
        self.click(self.panel.actions_row.draft_button)
        if in_the_middle:
            self.wait(lambda: len(texts) > 4 or not self.panel.conversation.jobs.busy)
            self.shot(in_the_middle)
        self.idle()
        asked = self.panel.outside_banner.question
        if asked.isVisible():
            self.shot("asked")
            self.click(asked.yes_button)
            self.idle()
        self.panel.conversation.jobs.text.disconnect(texts.append)

    def ask(self, question: str) -> None:
        """Type a question and press Enter."""
        box = self.panel.ask_row.box
        self.click(box.viewport())
        QTest.keyClicks(box, question)
        QTest.keyClick(box, Qt.Key.Key_Return)
        self.idle()

    def follow_link(self, message: Message) -> bool:
        """Click the first slice link of a message; False when it has none."""
        self.pause()
        # Qt finds a no-break space as a space.
        cursor = message.document.find("slice ")
        if cursor.isNull() or not cursor.charFormat().isAnchor():
            return False
        self.panel.transcript.ensureWidgetVisible(message, 0, 0)
        self.pause(0.2)
        cursor.setPosition(cursor.selectionStart() + 3)
        self.click(message.body.viewport(), message.body.cursorRect(cursor).center())
        self.pause()
        return True

    def close(self) -> None:
        """Close the window."""
        self.viewer.close()
        QApplication.processEvents()


def last_report(panel: CTAssistantPanel) -> Message:
    return next(m for m in reversed(panel.transcript.messages) if m.title.startswith("Report"))


def chest(path: Path, out: Path, model: str) -> None:
    visit = Visit(path, out, "chest", model)
    panel = visit.panel
    visit.click(panel.view_bar.window_buttons["Lung"])
    visit.point()
    visit.shot("opened")
    visit.draft(in_the_middle="streaming")
    visit.pause()
    panel.transcript.verticalScrollBar().setValue(0)
    visit.shot("report")
    visit.ask("Does this image show signs of lung nodule?")
    visit.shot("question")
    panel.transcript.verticalScrollBar().setValue(0)
    visit.follow_link(last_report(panel))
    visit.shot("link")
    visit.click(panel.view_bar.plane_buttons["coronal"])
    visit.shot("coronal")
    visit.click(panel.view_bar.plane_buttons["sagittal"])
    visit.click(panel.view_bar.window_buttons["Bone"])
    visit.shot("sagittal")
    visit.close()


# Index (i, p, l) of the chest's one nodule, as four radiologists marked it.
NODULE = (115, 243, 184)


def reading(path: Path, out: Path, model: str) -> None:
    """Linked views on the nodule, a ruler and a region in it, a MIP, the scan's details."""
    visit = Visit(path, out, "reading", model)
    viewer, tools = visit.viewer, visit.panel.reading_bar
    layer = visit.panel.scans.layer
    nodule = np.array(layer.data_to_world(NODULE))
    across, aslant = np.array([0, 0, 11]), np.array([0, 6, 6])  # mm
    visit.click(visit.panel.view_bar.window_buttons["Lung"])
    visit.click(tools.linked_button)
    visit.pause(3)  # until the docks have their widths
    viewer.dims.set_point((0, 1, 2), nodule)
    visit.shot("linked")
    visit.click(visit.panel.view_bar.window_buttons["Mediastinum"])
    camera = viewer.scene.camera
    camera.center, camera.zoom = nodule, 2.5 * camera.zoom
    visit.pause()
    visit.click(tools.measure.buttons["line"])
    visit.drag(nodule - across, nodule + across)
    visit.click(tools.measure.buttons["ellipse"])
    visit.drag(nodule - aslant, nodule + aslant)
    visit.shot("measure")
    visit.click(visit.panel.view_bar.plane_buttons["coronal"])
    visit.click(visit.panel.view_bar.window_buttons["Lung"])
    tools.slab.box.setCurrentIndex(1)
    visit.shot("mip")
    tools.show_details()
    visit.wait(lambda: "HU" in tools.details.values["HU range"].text())
    tools.details.grab().save(str(out / "reading-details.png"))
    visit.close()


def phantom(out: Path, model: str) -> None:
    from napari_ct_assistant.viewer.scan.samples import phantom as make

    ((data, kwargs, _),) = make("Pleural effusion", "Cardiomegaly")
    del data
    visit = Visit(kwargs["metadata"]["ct_volume"], out, "phantom", model)
    panel = visit.panel
    visit.draft()
    visit.ask("Does this image show signs of pleural effusion?")
    visit.shot("report")
    visit.follow_link(last_report(panel))
    visit.click(panel.actions_row.findings_button)
    visit.idle()
    visit.shot("findings")
    visit.viewer.theme = "light"
    visit.click(panel.tabs.tabBar(), panel.tabs.tabBar().tabRect(0).center())
    visit.shot("light")
    visit.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chest", type=Path, default=CHEST, help="folder of DICOM slices")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    parser.add_argument("--model", default="demo")
    parser.add_argument("--screens", type=Path, help="folder for pictures at several screen sizes")
    parser.add_argument("--screen", help=argparse.SUPPRESS)
    parser.add_argument("--language", default="en", help="the language of the panel, such as de")
    options = parser.parse_args()
    os.environ["CT_ASSISTANT_LANGUAGE"] = options.language
    if options.screens is not None and options.screen is None:
        desk_pictures.on_every_screen(
            options.screens, options.chest, options.model, options.language
        )
        return
    if options.screen is not None:
        os.environ["XDG_DATA_HOME"] = tempfile.mkdtemp()
        visit = Visit(
            options.chest, options.screens, options.screen, options.model, whole_screen=True
        )
        desk_pictures.take(visit)
        return
    options.out.mkdir(parents=True, exist_ok=True)
    # A journal of its own: a report that was kept would be shown instead of a fresh draft.
    os.environ["XDG_DATA_HOME"] = tempfile.mkdtemp()
    if options.chest.exists():
        chest(options.chest, options.out, options.model)
        reading(options.chest, options.out, options.model)
    else:
        print(f"no chest scan at {options.chest}: only the phantom's pictures are taken")
    phantom(options.out, options.model)
    evidence_pictures.take(Visit, options.chest, options.out, options.model)
    report_pictures.take(Visit, options.chest, options.out, options.model)
    measured_pictures.take(Visit, options.chest, options.out, options.model)


if __name__ == "__main__":
    main()
