"""The view controls: planes, windows, and the CT number under the pointer."""

from __future__ import annotations

import weakref
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from qtpy.QtWidgets import (
    QButtonGroup,
    QHBoxLayout,
    QMainWindow,
    QShortcut,
    QToolButton,
    QWidget,
)

from napari_ct_assistant.support.translation import N_, _
from napari_ct_assistant.viewer.layout.button_column import ButtonColumn
from napari_ct_assistant.viewer.preferences import Preferences
from napari_ct_assistant.viewer.scan.image_numbers import image_of
from napari_ct_assistant.viewer.scan.layers import (
    CT_KEY,
    volume_of,
    widen_contrast_range,
    world_to_index,
)
from napari_ct_assistant.viewer.texts import POINT_HINT, TIPS
from napari_ct_assistant.viewer.views import planes
from napari_ct_assistant.viewer.views.letters import AnatomicalLetters
from napari_ct_assistant.viewer.views.windows import (
    PRESETS,
    Window,
    apply_window,
    drag_window,
    window_of,
)
from napari_ct_assistant.viewer.widgets import (
    add_shortcuts,
    eliding_label,
    remove_shortcuts,
    tool_button,
)
from napari_ct_assistant.viewer.widgets import label as plain_label

if TYPE_CHECKING:
    from napari.viewer import Viewer

VIEW_KEYS = {"axial": "A", "coronal": "C", "sagittal": "S", "3d": "D"}
PLANE_LABELS: Final = {
    "axial": N_("Axial"),
    "coronal": N_("Cor"),
    "sagittal": N_("Sag"),
    "3d": N_("3D"),
}


class ViewBar(QWidget):
    """Buttons for planes and windows.

    Two labels, which are shown elsewhere, belong to it: `slice_line` with the window and the
    image, and `readout` with HU and position under the pointer.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    preferences : Preferences
    parent : QWidget, optional
    """

    def __init__(
        self, viewer: Viewer, preferences: Preferences, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._preferences = preferences
        self.shortcuts: list[QShortcut] = []
        self._watched: Any = None

        self.plane_buttons: dict[str, QToolButton] = {}
        self._plane_group = QButtonGroup(self)
        for plane, label in PLANE_LABELS.items():
            made = self._button(_(label), TIPS[plane])
            made.clicked.connect(partial(self.show_plane, plane))
            self._plane_group.addButton(made)
            self.plane_buttons[plane] = made

        self.window_buttons: dict[str, QToolButton] = {}
        self._window_group = QButtonGroup(self)
        for number, preset in enumerate(PRESETS):
            tip = TIPS["window"].format(
                name=_(preset.name), width=preset.width, level=preset.level, key=number + 1
            )
            made = self._button(_(preset.short), tip)
            made.clicked.connect(partial(self.show_window, preset))
            self._window_group.addButton(made)
            self.window_buttons[preset.name] = made

        self.column = ButtonColumn(
            (list(self.plane_buttons.values()), list(self.window_buttons.values()))
        )
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.column)
        self.slice_line = plain_label()
        self.slice_line.setAccessibleName(_("Window and image"))
        self.readout = eliding_label()
        self.readout.setObjectName("quiet")
        self.readout.setToolTip(TIPS["readout"])
        self.readout.setAccessibleName(_("Under the pointer"))

        # napari keeps strong references to callbacks; a weak one lets this widget be deleted.
        self._on_move = _weak_callback(self, "_read_out")
        self._letters: AnatomicalLetters | None = None

    def attach(self) -> None:
        """Follow the viewer; called when the panel is docked."""
        viewer = self._viewer
        viewer.mouse_drag_callbacks.append(drag_window)
        viewer.mouse_move_callbacks.append(self._on_move)
        viewer.layers.selection.events.active.connect(self.refresh)
        viewer.dims.events.connect(self._on_dims)
        if self._preferences.letters:
            self._letters = AnatomicalLetters(viewer)
        self.refresh()

    @staticmethod
    def _button(text: str, tip: str) -> QToolButton:
        return tool_button(text, tip, checkable=True)

    # -- planes and windows

    def show_plane(self, plane: str, _checked: bool = False) -> None:
        """Show a plane or, for "3d", the volume rendering."""
        if plane == "3d":
            planes.show_3d(self._viewer)
        else:
            planes.set_plane(self._viewer, plane)

    def show_window(self, window: Window, _checked: bool = False) -> None:
        """Show the active CT layer with `window`."""
        if self._watched is not None:
            apply_window(self._watched, window)
        self._mark_window()

    def show_first(self) -> None:
        """Show a scan that was just opened: the axial plane, with the preferred window."""
        window = self.preset(self._preferences.window)
        if window is not None:
            self.show_window(window)
        self.show_plane("axial")

    @staticmethod
    def preset(name: str) -> Window | None:
        """Return the preset of that name, None if there is none."""
        return next((preset for preset in PRESETS if preset.name == name), None)

    # -- following the viewer

    def refresh(self, event: Any = None) -> None:  # noqa: ARG002 - napari passes the event
        """Update everything that depends on the active layer or on the axis order."""
        active = self._viewer.layers.selection.active
        layer = active if volume_of(active) is not None else None
        if layer is not self._watched:
            self._watch(layer)
        for each in self.window_buttons.values():
            each.setEnabled(layer is not None)
        for shortcut in self.shortcuts:
            shortcut.setEnabled(layer is not None)
        self._mark_window()
        self._mark_plane()
        self._show_position(None)

    def _watch(self, layer: Any) -> None:
        if self._watched is not None:
            self._watched.events.contrast_limits.disconnect(self._mark_window)
        self._watched = layer
        if layer is not None:
            layer.events.contrast_limits.connect(self._mark_window)
            widen_contrast_range(layer)

    def _on_dims(self, event: Any) -> None:
        if event.type in ("order", "ndisplay", "ndim"):
            self._mark_plane()
        if event.type in ("point", "order", "ndisplay"):
            self._show_position(None)

    def _mark_plane(self) -> None:
        self._check(
            self._plane_group, self.plane_buttons.get(planes.current_plane(self._viewer) or "")
        )

    def _mark_window(self, event: Any = None) -> None:  # noqa: ARG002 - napari passes the event
        name = window_of(self._watched).name if self._watched is not None else ""
        self._check(self._window_group, self.window_buttons.get(name))
        self._show_position(None)

    @staticmethod
    def _check(group: QButtonGroup, wanted: QToolButton | None) -> None:
        """Check one button of a group, or none."""
        group.setExclusive(False)
        for each in group.buttons():
            each.setChecked(each is wanted)
        group.setExclusive(wanted is not None)

    # -- the lines under the buttons

    def point_at(self, world: Any) -> None:
        """Show HU and position of a point in world mm, for the pointer in another view."""
        self._show_position(world)

    def _read_out(self, _viewer: Any, event: Any) -> None:
        self._show_position(event.position)

    def _show_position(self, world: Any) -> None:
        """Show window and slice and, for a pointer at `world`, HU and position in RAS mm."""
        layer = self._watched
        if layer is None:
            self.slice_line.setText(_("No CT layer is active."))
            self.readout.setText("")
            return
        volume = layer.metadata[CT_KEY]
        window = window_of(layer)
        text = _("W {width}  L {level}").format(
            width=f"{window.width:.0f}", level=f"{window.level:.0f}"
        )
        plane = planes.current_plane(self._viewer)
        if plane in planes.PLANES:
            axis = planes.PLANES[plane][0]
            index = float(world_to_index(layer, self._viewer.dims.point)[axis])
            text += f"   ·   {image_of(volume, axis, index)}"
        self.slice_line.setText(text)
        text = ""
        if world is not None and plane != "3d":
            index3 = world_to_index(layer, world)
            voxel = np.round(index3).astype(int)
            if np.all(voxel >= 0) and np.all(voxel < volume.shape):
                x, y, z = volume.index_to_ras(index3)
                side, depth, height = "RL"[int(x < 0)], "AP"[int(y < 0)], "HF"[int(z < 0)]
                place = f"{side} {abs(x):.0f}  {depth} {abs(y):.0f}  {height} {abs(z):.0f} mm"
                text = f"{int(layer.data[tuple(voxel)])} HU   ·   {place}"
        self.readout.setText(text or _(POINT_HINT))

    # -- keys

    def add_shortcuts(self, window: QMainWindow) -> None:
        """Add the single-key shortcuts to `window` once, if the preferences allow them."""
        if self.shortcuts or not self._preferences.keys:
            return
        actions = [(str(n + 1), partial(self.show_window, p)) for n, p in enumerate(PRESETS)]
        actions += [(key, partial(self.show_plane, name)) for name, key in VIEW_KEYS.items()]
        self.shortcuts = add_shortcuts(window, actions, whole_window=True)
        for shortcut in self.shortcuts:
            shortcut.setEnabled(self._watched is not None)

    def detach(self) -> None:
        """Stop following the viewer; called when the panel is closed."""
        viewer = self._viewer
        for callbacks, callback in (
            (viewer.mouse_drag_callbacks, drag_window),
            (viewer.mouse_move_callbacks, self._on_move),
        ):
            if callback in callbacks:
                callbacks.remove(callback)
        self._watch(None)
        viewer.layers.selection.events.active.disconnect(self.refresh)
        viewer.dims.events.disconnect(self._on_dims)
        if self._letters is not None:
            self._letters.remove()
            self._letters = None
        remove_shortcuts(self.shortcuts)


def _weak_callback(owner: ViewBar, name: str) -> Any:
    """Return a napari mouse callback that does not keep `owner` alive."""
    method = weakref.WeakMethod(getattr(owner, name))

    def callback(viewer: Any, event: Any) -> None:
        bound = method()
        if bound is not None:
            bound(viewer, event)

    return callback
