"""Reads napari's table of units before the first layer needs it."""

from __future__ import annotations

import logging

import pint
from pint.registry import LazyRegistry
from qtpy.QtCore import QObject

from napari_ct_assistant.viewer.session.background import Background

logger = logging.getLogger(__name__)


class Units(QObject):
    """Reads pint's table of units in the background.

    pint reads it on first use, when napari shows its first layer. That blocks the window for
    0.4 s, just when a scan has been opened.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._background = Background(self)

    def prepare(self) -> None:
        """Read the table unless it was read already."""
        if _unread():
            self._background.run(
                pint.UnitRegistry,
                returned=_use,
                errored=lambda error: logger.info("units: %s", type(error).__name__),
                finished=lambda: None,
            )


def _unread() -> bool:
    return isinstance(pint.application_registry.get(), LazyRegistry)


def _use(registry: pint.UnitRegistry) -> None:
    """Make napari use the table. This runs on the Qt thread, as napari's own first use does."""
    if _unread():
        pint.set_application_registry(registry)
