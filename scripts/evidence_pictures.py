"""The pictures of evidence, findings and chat, and the animated walk-through of the README."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from qtpy.QtCore import Qt

if TYPE_CHECKING:
    from screenshots import Visit

WIDTH = 1100  # of the walk-through


class Film:
    """Frames of the window, each with how long it stays."""

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self._frames: list[Image.Image] = []
        self._milliseconds: list[int] = []

    def frame(self, seconds: float) -> None:
        """Take the window as it is now."""
        self._visit.pause(0.2)
        shot = self._visit.viewer.screenshot(canvas_only=False, flash=False)
        picture = Image.fromarray(shot).convert("RGB")
        size = (WIDTH, round(picture.height * WIDTH / picture.width))
        self._frames.append(picture.resize(size, Image.Resampling.LANCZOS))
        self._milliseconds.append(round(seconds * 1000))

    def save(self, path: Path) -> None:
        """Write the frames as a GIF with one palette for all."""
        # From all frames: the heat map's colours are in some of them only.
        small = [one.resize((one.width // 4, one.height // 4)) for one in self._frames]
        sheet = Image.new("RGB", (small[0].width, small[0].height * len(small)))
        for number, one in enumerate(small):
            sheet.paste(one, (0, number * small[0].height))
        palette = sheet.quantize(192)
        frames = [one.quantize(palette=palette, dither=Image.Dither.NONE) for one in self._frames]
        frames[0].save(
            path,
            save_all=True,
            append_images=frames[1:],
            duration=self._milliseconds,
            loop=0,
            optimize=True,
        )
        print(path, f"{path.stat().st_size / 1e6:.1f} MB, {len(frames)} frames", flush=True)


def evidence(visit: Visit, *, film: bool = False) -> None:
    """Draft, follow a sentence to its heat map, look at the findings, ask, draw a region."""
    panel, viewer = visit.panel, visit.viewer
    reel = Film(visit)
    reel.frame(1.2)
    panel.tabs.setCurrentWidget(panel.transcript)
    texts: list[str] = []
    panel.conversation.jobs.text.connect(texts.append)
    visit.click(panel.actions_row.draft_button)
    visit.wait(lambda: bool(texts) or not panel.conversation.jobs.busy)
    asked = panel.outside_banner.question
    if asked.isVisible():
        visit.click(asked.yes_button)
    seen = 0
    while panel.conversation.jobs.busy:
        wanted = seen + 8
        visit.wait(lambda n=wanted: len(texts) > n or not panel.conversation.jobs.busy)
        seen = len(texts)
        panel.tabs.setCurrentWidget(panel.transcript)
        reel.frame(0.4)
    panel.tabs.setCurrentWidget(panel.transcript)
    panel.transcript.verticalScrollBar().setValue(0)
    reel.frame(1.5)
    report = next(m for m in reversed(panel.transcript.messages) if m.title.startswith("Report"))
    _sharpest_sentence(report)
    visit.shot("heat")
    reel.frame(2.5)
    visit.click(panel.view_bar.plane_buttons["coronal"])
    visit.shot("heat-coronal")
    reel.frame(2.0)
    visit.click(panel.view_bar.plane_buttons["axial"])
    visit.click(panel.actions_row.findings_button)
    visit.idle()
    reel.frame(1.5)
    table = panel.findings
    row = max(
        range(table.rowCount()), key=lambda n: table.item(n, 1).data(Qt.ItemDataRole.UserRole)
    )
    table.setCurrentCell(row, 0)
    panel.show_finding(table.item(row, 0).text())
    visit.idle()
    visit.shot("finding-heat")
    reel.frame(2.5)
    panel.tabs.setCurrentWidget(panel.transcript)
    if panel.chat_controller.chips.buttons:
        visit.click(panel.chat_controller.chips.buttons[0])
        visit.idle()
    reel.frame(2.0)
    _region(viewer, panel)
    visit.ask("What is in the region I drew?")
    panel.transcript.verticalScrollBar().setValue(panel.transcript.verticalScrollBar().maximum())
    visit.shot("chat")
    reel.frame(3.0)
    if film:
        reel.save(visit.out / "walkthrough.gif")


def _sharpest_sentence(report: Any) -> None:
    """Click the paragraph whose heat map points most clearly to one place."""
    document = report.document
    best, best_block = -np.inf, None
    for number in range(document.blockCount()):
        href = report.part_of_block(number)
        if href is None:
            continue
        part = int(href.partition("#")[2])
        heat = report.heat[part][0]
        if heat is not None and float(heat.values.max() / heat.values.mean()) > best:
            best, best_block = float(heat.values.max() / heat.values.mean()), number
    if best_block is not None:
        report.body.pressed.emit(best_block)


def _region(viewer: Any, panel: Any) -> None:
    """Draw an ellipse in the middle of the slice on screen."""
    volume, layer = panel.scans.volume, panel.scans.layer
    here = np.asarray(viewer.dims.point[-3:])
    scale, start = np.asarray(layer.scale)[-3:], np.asarray(layer.translate)[-3:]
    middle = start + scale * (np.asarray(volume.shape) - 1) / 2
    middle[0] = here[0]
    middle[1] += 10
    sizes = ((-20, -25), (-20, 25), (20, 25), (20, -25))
    corners = [middle + np.array([0, a, b]) for a, b in sizes]
    shapes = viewer.add_shapes(
        [np.array(corners)],
        shape_type="ellipse",
        name="Region",
        edge_color="cyan",
        face_color="transparent",
        edge_width=1.5,
        units=("mm",) * 3,
    )
    shapes.selected_data = {0}


def take(make: type[Visit], scan: Path, out: Path, model: str) -> None:
    """Visit a scan (if it is there) and a phantom; the phantom's visit is filmed."""
    from napari_ct_assistant.viewer.scan.samples import phantom

    if scan.exists():
        visit = make(scan, out, "chest", model)
        evidence(visit)
        visit.close()
    ((_, kwargs, _),) = phantom("Pleural effusion", "Cardiomegaly")
    visit = make(kwargs["metadata"]["ct_volume"], out, "phantom", model)
    evidence(visit, film=True)
    visit.close()
