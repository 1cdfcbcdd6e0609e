"""Draws the texts of the canvas once before a scan is open, so that the first scan shows sooner.

The first text of each kind compiles its shaders, and each character is drawn into a texture when it
is first needed: together a quarter of a second, in which the window would stand still just when the
reader has chosen a scan. Here it is done in small steps, unseen, while nothing else happens.
"""

from __future__ import annotations

import string
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Final

from napari.components.overlays import TextOverlay
from qtpy.QtCore import QObject, QTimer

if TYPE_CHECKING:
    from napari.viewer import Viewer

KEY: Final = "ct_warm_up"
CHARACTERS: Final = string.ascii_letters + string.digits + " ,.:-–…()/%×ÅÉÑŐÄÖÜäöüß"
BEFORE_MS: Final = 400  # after the panel was shown
BETWEEN_MS: Final = 20


class CanvasWarmUp(QObject):
    """Draws each text of the canvas once, unseen, until a layer is there.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    """

    def __init__(self, viewer: Viewer, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = getattr(viewer, "__wrapped__", viewer)
        self._steps: Generator[None] | None = None
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._go_on)

    def start(self) -> None:
        """Begin when the event loop has had time for the panel itself; once for a viewer."""
        if self._steps is None and not self._viewer.layers:
            self._steps = self._draw_texts()
            self._timer.start(BEFORE_MS)

    @property
    def busy(self) -> bool:
        """Whether texts are still to be drawn."""
        return bool(self._timer.isActive())

    def stop(self) -> None:
        """Stop, and leave the canvas as it was."""
        self._timer.stop()
        if self._steps is not None:
            self._steps.close()

    def _go_on(self) -> None:
        self._timer.setInterval(BETWEEN_MS)
        if self._viewer.layers or self._steps is None or next(self._steps, self) is self:
            self.stop()

    def _draw_texts(self) -> Generator[None]:
        overlays = self._viewer.canvas.overlays
        text = TextOverlay(position="top_left", opacity=0, visible=True)
        overlays[KEY] = text
        try:
            for character in CHARACTERS:
                text.text = character
                yield
        finally:
            overlays.pop(KEY, None)
        for overlay in [overlays[name] for name in overlays if name.startswith("ct_")]:
            yield from self._draw(overlay)
        yield from self._draw(overlays.scale_bar)

    def _draw(self, overlay: Any) -> Generator[None]:
        """Show an overlay without colour, until the canvas has drawn it."""
        if overlay.visible:
            return
        opacity = overlay.opacity
        overlay.opacity, overlay.visible = 0, True
        try:
            yield
            yield
        finally:
            overlay.opacity = opacity
            if not self._viewer.layers:
                overlay.visible = False
