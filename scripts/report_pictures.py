"""Pictures of the report tab: a draft reviewed, compared, exported."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

from qtpy.QtTest import QTest


def take(visitor: Any, chest: Path, out: Path, model: str) -> None:
    """Draft the chest's report, review some of it, compare, export, light and dark."""
    if not chest.exists():
        return
    visit = visitor(chest, out, "report", model)
    panel = visit.panel
    tab, editor = panel.report_controller.tab, panel.report_controller.tab.editor
    visit.draft()
    panel.tabs.setCurrentWidget(tab)
    visit.pause()
    editor.next_unreviewed()
    editor.accept()
    editor.accept()
    editor.reject()
    editor.select_line(
        next(line for line in editor.text.document_lines() if "cardiomegaly" in line.text)
    )
    QTest.keyClicks(editor, " No previous examination to compare with.")
    editor.next_unreviewed()
    visit.pause()
    # Ctrl+G would go to napari: without a window manager, nothing has the focus.
    visit.click(tab.sentence.slice_button)
    visit.shot("edited")
    visit.click(tab.tools.window_button)
    visit.pause()
    visit.click(tab.tools.compare_button)
    visit.pause()
    tab.grab().save(str(out / "report-compared.png"))
    visit.click(tab.tools.compare_button)
    visit.click(tab.sentence.shorten_button)
    visit.idle()
    visit.pause()
    tab.grab().save(str(out / "report-shortened.png"))
    visit.click(tab.passage.close_button)
    visit.click(tab.sentence.impression_button)
    visit.idle()
    visit.pause()
    tab.grab().save(str(out / "report-summed-up.png"))
    visit.click(tab.passage.close_button)
    visit.click(tab.tools.window_button)
    visit.viewer.theme = "light"
    visit.shot("light")
    pdf = out / "report.pdf"
    panel.report_controller.exporter.export(editor.text.report(), tab.scan.volume, pdf)
    visit.wait(lambda: not panel.report_controller.exporter.busy)
    if shutil.which("pdftoppm") is not None:
        page = str(out / "report-pdf")
        subprocess.run(["pdftoppm", "-r", "60", "-png", "-singlefile", str(pdf), page], check=True)
        print(page + ".png", flush=True)
    pdf.unlink()
    visit.close()
