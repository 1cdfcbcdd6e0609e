"""One panel a viewer: closing its dock keeps it, so that nothing written in it is lost."""

from __future__ import annotations

import napari
from qtpy.compat import isalive

from napari_ct_assistant.viewer.panel import CTAssistantPanel
from napari_ct_assistant.viewer.preferences import PLUGIN
from napari_ct_assistant.viewer.texts import PANEL_TITLE

# id(viewer) -> its panel, from the first docking until the viewer's window is gone.
_PANELS: dict[int, CTAssistantPanel] = {}


class PanelOf:
    """What napari calls to dock the panel: gives a new one, or the one whose dock was closed.

    A class, because napari looks at ``__init__`` to learn that the viewer is wanted.
    """

    def __new__(cls, napari_viewer: napari.viewer.Viewer) -> CTAssistantPanel:
        """Return the panel of a viewer."""
        # napari hands plugins a proxy, a new one each time.
        key = id(getattr(napari_viewer, "__wrapped__", napari_viewer))
        panel = _PANELS.get(key)
        if panel is None or not isalive(panel):
            panel = _PANELS[key] = CTAssistantPanel(napari_viewer)
            panel.destroyed.connect(lambda: _PANELS.pop(key, None))
        return panel

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        raise NotImplementedError  # never reached: __new__ returns a panel


def dock_panel(viewer: napari.viewer.Viewer) -> CTAssistantPanel:
    """Dock the panel in `viewer`, or return the one that is docked."""
    _dock, widget = viewer.window.add_plugin_dock_widget(PLUGIN, PANEL_TITLE)
    return widget
