"""A reader who closes the window, or whose program fails, while something runs.

    python -m tests.viewer.session.close_victim WHAT FOLDER

WHAT: "draft" (a model that never returns), "load" (one that is never loaded), "open" (a scan
on a drive that never answers), "fail" (an exception ends the program during a draft). The last
line printed is the time (`time.time`) of the end.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

STUCK_SECONDS = 90.0


class Stuck:
    """A model that ignores every request to stop."""

    def __init__(self, *, loads: bool) -> None:
        from napari_ct_assistant.assistant import ModelInfo

        self.info = ModelInfo("stuck")
        self.warnings: tuple[str, ...] = ()
        self.began = threading.Event()
        self._loads = loads

    def __call__(self, model: str, **options: Any) -> Stuck:
        if not self._loads:
            self._stay()
        return self

    def read(self, volume: Any, **options: Any) -> Stuck:
        return self

    def close(self) -> None:
        pass

    def draft_report(self, *, on_text: Any, **options: Any) -> Any:
        on_text("There is ")
        self._stay()

    def _stay(self) -> None:
        self.began.set()
        end = time.monotonic() + STUCK_SECONDS
        while time.monotonic() < end:
            sum(range(200_000))


def main(what: str, folder: Path) -> None:
    """Begin what was asked for, and leave in the middle of it."""
    os.environ["CT_ASSISTANT_DATA"] = str(folder)
    import napari
    from qtpy.QtCore import QTimer

    from napari_ct_assistant.viewer.panel import CTAssistantPanel
    from napari_ct_assistant.viewer.scan.layers import add_volume
    from napari_ct_assistant.volume.dicom import series
    from tests.viewer.conftest import box_volume

    model = Stuck(loads=what != "load")
    viewer = napari.Viewer()
    panel = CTAssistantPanel(viewer, model)
    viewer.window.add_dock_widget(panel, name="CT Assistant", area="right")
    if what == "open":

        def never(path: Path) -> Any:
            model._stay()

        series.read_header = never
        panel.scans.open(folder)
    else:
        add_volume(viewer, box_volume())
        panel.draft_report()
    print("began", flush=True)

    def leave() -> None:
        if not model.began.is_set():
            return
        timer.stop()
        print(time.time(), flush=True)
        if what != "fail":
            viewer.window._qt_window.close()
        else:
            napari.qt.get_qapp().quit()

    timer = QTimer()
    timer.timeout.connect(leave)
    timer.start(50)
    napari.run()
    if what == "fail":
        raise OSError("the program failed")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
