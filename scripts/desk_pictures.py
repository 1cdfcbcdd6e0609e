"""Pictures of a whole reading on screens of several sizes, with a window manager."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

# Name, size in pixels, and dots per inch of the text (96 is 100 %).
SCREENS: Final = (
    ("1366x768", 96),
    ("1364x768-large-text", 144),
    ("1600x1000", 96),
    ("1920x1080", 96),
    ("2560x1440-large-text", 144),
)


def on_every_screen(out: Path, chest: Path, model: str, language: str) -> None:
    """Run `take` on each of `SCREENS`, in a process and an X server of its own."""
    out.mkdir(parents=True, exist_ok=True)
    for name, dpi in SCREENS:
        read, write = os.pipe()
        size = name.partition("-large")[0]
        server = ["Xvfb", "-displayfd", str(write), "-screen", "0", f"{size}x24"]
        running = [subprocess.Popen(server, pass_fds=[write], stderr=subprocess.DEVNULL)]
        display = ":" + os.read(read, 16).decode().strip()
        home = tempfile.mkdtemp()
        surroundings = os.environ | {
            "DISPLAY": display,
            "QT_FONT_DPI": str(dpi),
            "NAPARI_CONFIG": str(Path(home) / "settings.yaml"),
        }
        if shutil.which("openbox") is not None:
            running.append(subprocess.Popen(["openbox"], env=surroundings))
            time.sleep(1)
        command = [sys.executable, str(Path(__file__).with_name("screenshots.py"))]
        command += ["--screens", str(out), "--screen", name, "--chest", str(chest)]
        command += ["--language", language] if language else []
        try:
            subprocess.run([*command, "--model", model], env=surroundings, check=True)
        finally:
            for process in reversed(running):
                process.terminate()
                process.wait()


def take(visit: Any) -> None:
    """Open, draft, read, measure, edit, compare, sign and export, with a picture of each."""
    panel = visit.panel
    tab = panel.report_controller.tab
    visit.pause(2)
    visit.screen_shot("1-opened")
    visit.draft()
    visit.screen_shot("2-drafted")
    panel.columns.show_report()
    tab.editor.setFocus()
    tab.editor.next_unreviewed()
    QTest.keyClick(tab.editor, Qt.Key.Key_G, Qt.KeyboardModifier.ControlModifier)
    visit.screen_shot("3-reading")
    tab.editor.accept()
    tab.editor.accept()
    tab.editor.reject()
    QTest.keyClicks(tab.editor, " No previous examination to compare with.")
    visit.screen_shot("4-editing")
    visit.click(tab.tools.compare_button)
    visit.screen_shot("5-comparing")
    visit.click(tab.tools.compare_button)
    visit.dialog(panel.report_controller.sign, "6-signing")
    visit.dialog(panel.report_controller.exporter.ask, "7-exporting")
    visit.click(panel.actions_row.findings_button)
    visit.idle()
    visit.screen_shot("8-findings")
    visit.click(panel.view_bar.plane_buttons["3d"])
    visit.screen_shot("9-3d")
    visit.click(panel.view_bar.plane_buttons["axial"])
    panel.reading_layout.toggle()
    visit.screen_shot("10-napari-s-layout")
    panel.reading_layout.toggle()
    visit.viewer.theme = "light"
    visit.screen_shot("11-light")
    visit.close()
