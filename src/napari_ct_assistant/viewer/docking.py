"""One panel for each viewer. Closing the dock keeps the panel, so that nothing in it is lost."""

from __future__ import annotations

import napari
from qtpy.compat import isalive

from napari_ct_assistant.support.collector import collection_postponed
from napari_ct_assistant.viewer.preferences import PLUGIN
from napari_ct_assistant.viewer.texts import PANEL_TITLE

with collection_postponed():
    # Some two hundred modules, beside napari's.
    from napari_ct_assistant.viewer.panel import CTAssistantPanel

# The panel of each viewer (by its id), from the first docking until the viewer's window is gone.
_PANELS: dict[int, CTAssistantPanel] = {}


class PanelOf:
    """The widget that the manifest names: calling it returns the viewer's panel.

    That is a new panel, or the one whose dock was closed before. It is a class because napari
    reads the signature of ``__init__`` to find out that the widget takes the viewer.
    """

    def __new__(cls, napari_viewer: napari.viewer.Viewer) -> CTAssistantPanel:
        """Return the panel of a viewer."""
        # napari gives plugins a proxy of the viewer, a new one each time.
        key = id(getattr(napari_viewer, "__wrapped__", napari_viewer))
        panel = _PANELS.get(key)
        if panel is None or not isalive(panel):
            panel = _PANELS[key] = CTAssistantPanel(napari_viewer)
            panel.destroyed.connect(lambda: _PANELS.pop(key, None))
        return panel

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        raise NotImplementedError  # never reached: __new__ returns a panel


def dock_panel(viewer: napari.viewer.Viewer) -> CTAssistantPanel:
    """Dock the panel in `viewer`; return the panel that is docked already, if there is one."""
    _dock, widget = viewer.window.add_plugin_dock_widget(PLUGIN, PANEL_TITLE)
    return widget
