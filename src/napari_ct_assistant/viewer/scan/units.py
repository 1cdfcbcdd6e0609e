"""napari's table of units, read before the first layer needs it."""

from __future__ import annotations

import logging

import pint
from pint.registry import LazyRegistry
from qtpy.QtCore import QObject

from napari_ct_assistant.viewer.session.background import Background

logger = logging.getLogger(__name__)


class Units(QObject):
    """Reads pint's table in the background.

    pint reads it at the first use, which takes the window's thread 0.4 s when napari shows its
    first layer: just when a scan has been opened.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._background = Background(self)

    def prepare(self) -> None:
        """Read the table, unless somebody has."""
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
    """Give napari the table; on the Qt thread, as napari's own first use would be."""
    if _unread():
        pint.set_application_registry(registry)
