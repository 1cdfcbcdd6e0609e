"""The two strips of tools at the canvas, made of the view controls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QToolButton, QWidget

from napari_ct_assistant.support.translation import _
from napari_ct_assistant.viewer.layout.button_column import ButtonColumn
from napari_ct_assistant.viewer.layout.position_strip import PositionStrip
from napari_ct_assistant.viewer.layout.tool_strip import ToolStrip
from napari_ct_assistant.viewer.texts import TIPS
from napari_ct_assistant.viewer.widgets import tool_button

if TYPE_CHECKING:
    from napari_ct_assistant.viewer.evidence.heat_bar import HeatBar
    from napari_ct_assistant.viewer.views.reading_bar import ReadingBar
    from napari_ct_assistant.viewer.views.view_bar import ViewBar


def make_strips(
    view: ViewBar, reading: ReadingBar, heat: HeatBar, parent: QWidget
) -> tuple[ToolStrip, PositionStrip, QToolButton]:
    """Return the strip beside the canvas, the one below it, and the button for the layout."""
    layout_button = tool_button(_("Reading layout"), TIPS["layout"], checkable=True)
    first = ButtonColumn(((layout_button,),))
    icons = {
        "layout": layout_button,
        "linked": reading.linked_button,
        "slab": reading.slab_button,
        "details": reading.details_button,
        **reading.measure.buttons,
    }
    tools = ToolStrip((first, view, reading), (first, view.column, *reading.columns), icons, parent)
    measurement = reading.measure.result
    # Wide enough for every window and image, so that its neighbours never move.
    width = view.slice_line.fontMetrics().averageCharWidth() * 36
    view.slice_line.setMinimumWidth(width)
    position = PositionStrip(
        ((view.slice_line, 0), (view.readout, 6), (heat, 11), (measurement, 7)), parent
    )
    return tools, position, layout_button
