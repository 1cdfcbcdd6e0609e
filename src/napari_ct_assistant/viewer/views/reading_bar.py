"""The reading tools: linked views, slabs, measurements and scan details."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from qtpy.QtCore import Qt, QTimer, Signal
from qtpy.QtWidgets import (
    QDockWidget,
    QMainWindow,
    QMenu,
    QShortcut,
    QToolButton,
    QVBoxLayout,
    QWidget,
    QWidgetAction,
)

from napari_ct_assistant.support.translation import _
from napari_ct_assistant.viewer.layout.button_column import GROUP_GAP, ButtonColumn
from napari_ct_assistant.viewer.measure.labels import MeasurementLabels
from napari_ct_assistant.viewer.measure.measure_bar import MEASURE_KEYS, MeasureBar
from napari_ct_assistant.viewer.preferences import Preferences
from napari_ct_assistant.viewer.scan.details import DetailsDialog
from napari_ct_assistant.viewer.scan.layers import volume_of
from napari_ct_assistant.viewer.texts import TIPS
from napari_ct_assistant.viewer.views.crosshair import Crosshair
from napari_ct_assistant.viewer.views.fitting import body_box, fit_scan
from napari_ct_assistant.viewer.views.linked_views import LinkedViews
from napari_ct_assistant.viewer.views.slab_bar import SlabBar, apply_slab
from napari_ct_assistant.viewer.widgets import add_shortcuts, remove_shortcuts, tool_button

if TYPE_CHECKING:
    from napari.viewer import Viewer

# The time that a main window needs for its layout after a dock was added.
SETTLE_MS: Final = 300
READING_KEYS: Final = {"linked": "X", "slab": "T", "details": "I"}


class ReadingBar(QWidget):
    """The reading tools, with their keyboard shortcuts.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    preferences : Preferences
    neighbour : QWidget, optional
        The docked widget beside which the linked views open.

    Signals
    -------
    hovered : tuple
        World mm (I, P, L) under the pointer in a linked view.
    """

    hovered = Signal(object)

    def __init__(
        self,
        viewer: Viewer,
        preferences: Preferences,
        neighbour: QWidget | None = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._neighbour = neighbour or self
        # napari gives plugins a proxy, whose layers are different objects at each access.
        viewer = getattr(viewer, "__wrapped__", viewer)
        self._viewer = viewer
        self._preferences = preferences
        self._scan: Any = None
        self._shortcuts: list[QShortcut] = []
        self._crosshair: Crosshair | None = None
        self._labels: MeasurementLabels | None = None
        self._was_fitted = False
        self._layout_timer = QTimer(self)
        self._layout_timer.setSingleShot(True)
        self._layout_timer.setInterval(SETTLE_MS)
        self._layout_timer.timeout.connect(self._restore_fit)
        self.linked: LinkedViews | None = None
        self.details: DetailsDialog | None = None

        self.linked_button = tool_button(_("Linked views"), TIPS["linked"], checkable=True)
        self.linked_button.clicked.connect(self.show_linked)
        self.slab = SlabBar()
        self.slab_button = tool_button(_("Slab"), TIPS["slab"])
        self.slab_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu = QMenu(self.slab_button)
        action = QWidgetAction(menu)
        action.setDefaultWidget(self.slab)
        menu.addAction(action)
        self.slab_button.setMenu(menu)
        self.details_button = tool_button(_("Details…"), TIPS["details"])
        self.details_button.clicked.connect(self.show_details)
        self.measure = MeasureBar(viewer)
        self.columns = (
            ButtonColumn(((self.linked_button, self.slab_button),)),
            self.measure.column,
            ButtonColumn(((self.details_button,),)),
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(GROUP_GAP)
        for part in (self.columns[0], self.measure, self.columns[2]):
            layout.addWidget(part)
        self.slab.changed.connect(self._on_slab)
        self.set_scan(None)

    # -- following the panel

    def set_scan(self, layer: Any) -> None:
        """Use the tools on this CT layer."""
        before, self._scan = self._scan, layer
        if before is not None and before is not layer:
            apply_slab(self._viewer, before, 0, "none")
        for widget in (self.slab, self.slab_button, self.details_button):
            widget.setEnabled(layer is not None)
        # Linked views may stay open without a scan; then the button can still close them.
        self.linked_button.setEnabled(layer is not None or self.linked is not None)
        if layer is not None and self.slab.projection != "none":
            self._on_slab(float(self.slab.thickness.value()), self.slab.projection)
        if self.linked is not None:
            self.linked.set_scan(layer)
        self.measure.set_scan(layer)
        if self.details is not None and before is not layer:
            # It is about the scan that was left.
            self.details.close()

    def attach(self) -> None:
        """Follow the viewer; called when the panel is docked."""
        self.measure.attach()
        self._viewer.layers.selection.events.active.connect(self._on_active)

    def detach(self) -> None:
        """Stop following the viewer; called when the panel is closed."""
        self.show_linked(False)
        self.slab.box.setCurrentIndex(0)
        if self._labels is not None:
            self._labels.remove()
            self._labels = None
        self.measure.detach()
        self._viewer.layers.selection.events.active.disconnect(self._on_active)
        remove_shortcuts(self._shortcuts)

    # -- linked views

    def show_linked(self, shown: bool) -> None:
        """Open or close the linked views beside the canvas."""
        if shown and self.linked is None and self._scan is not None:
            self._open_linked()
        elif not shown:
            self._close_linked()
        self.linked_button.setChecked(self.linked is not None)

    def _open_linked(self) -> None:
        viewer = self._viewer
        self._was_fitted = _fits(viewer, self._scan, _canvas_beside(_dock_of(self._neighbour)))
        self.linked = LinkedViews(viewer)
        self.linked.set_scan(self._scan)
        self.linked.set_slab(float(self.slab.thickness.value()), self.slab.projection)
        viewer.window.add_dock_widget(self.linked, name=_("Linked views"), area="right")
        dock, own = _dock_of(self.linked), _dock_of(self._neighbour)
        if dock is not None and own is not None and not own.isFloating():
            # Between the canvas and the panel, not below it.
            own.parentWidget().splitDockWidget(dock, own, Qt.Orientation.Horizontal)
            # The window sets the sizes of docks only after its layout is done.
            QTimer.singleShot(SETTLE_MS, self._widen)
        self.linked.hovered.connect(self.hovered)
        self.linked.closed.connect(self._on_closed)
        self.linked.attach()
        canvas = _canvas_beside(dock)
        if canvas is not None:
            self._crosshair = Crosshair(viewer, canvas)

    def _widen(self) -> None:
        if self.linked is None:
            return
        dock, own = _dock_of(self.linked), _dock_of(self._neighbour)
        if dock is not None and own is not None and isinstance(dock.parentWidget(), QMainWindow):
            widths = [self.linked.sizeHint().width(), own.width()]
            dock.parentWidget().resizeDocks([dock, own], widths, Qt.Orientation.Horizontal)
        self._layout_timer.start()

    def _restore_fit(self) -> None:
        if self._was_fitted:
            fit_scan(self._viewer, self._scan)

    def _on_closed(self) -> None:
        self.show_linked(False)

    def _close_linked(self) -> None:
        self._layout_timer.stop()
        if self._crosshair is not None:
            self._crosshair.remove()
            self._crosshair = None
        linked, self.linked = self.linked, None
        if linked is None:
            return
        linked.closed.disconnect(self._on_closed)
        linked.detach()
        if linked.parent() is not None:
            self._viewer.window.remove_dock_widget(linked)
            linked.hide()
            # Without a parent it would be a window of its own until it is deleted.
            linked.setParent(self._neighbour)
        linked.deleteLater()

    # -- slab and details

    def _on_slab(self, thickness_mm: float, how: Any) -> None:
        self.slab_button.setToolButtonStyle(
            Qt.ToolButtonStyle.ToolButtonIconOnly
            if how == "none"
            else Qt.ToolButtonStyle.ToolButtonTextOnly
        )
        self.slab_button.setText(self.slab.box.currentText())
        if self._scan is not None:
            apply_slab(self._viewer, self._scan, thickness_mm, how)
        if self.linked is not None:
            self.linked.set_slab(thickness_mm, how)

    def show_details(self) -> None:
        """Show the details of the scan in a window."""
        volume = volume_of(self._scan)
        if volume is None:
            return
        if self.details is not None:
            self.details.close()
        self.details = DetailsDialog(volume, str(self._scan.name), self.window())
        self.details.destroyed.connect(self._on_details_closed)
        self.details.show()

    def _on_details_closed(self) -> None:
        self.details = None

    # -- keys

    def _key_linked(self) -> None:
        """Open or close the linked views; the arrow keys then move the crosshair in one of them."""
        self.show_linked(self.linked is None)
        views = () if self.linked is None else self.linked.views.values()
        shown = next((view for view in views if not view.isHidden()), None)
        if shown is not None:
            shown.setFocus(Qt.FocusReason.ShortcutFocusReason)

    def focus_picture(self) -> None:
        """Move the keyboard focus to the picture, where the single keys work."""
        canvas = _canvas_beside(_dock_of(self._neighbour))
        if canvas is not None:
            if self._scan is not None:
                self._viewer.layers.selection.active = self._scan
            canvas.window().activateWindow()
            canvas.setFocus(Qt.FocusReason.ShortcutFocusReason)

    def add_shortcuts(self, window: QMainWindow) -> None:
        """Add the single-key shortcuts to `window` once, if the preferences allow them.

        The texts of the measurements are painted over the window's canvas from then on.
        """
        canvas = _canvas_beside(_dock_of(self._neighbour))
        if self._labels is None and canvas is not None:
            self._labels = MeasurementLabels(self._viewer, canvas, self.measure.measurements)
        if self._shortcuts or not self._preferences.keys:
            return
        actions: list[tuple[str, Callable[[], Any]]] = [
            (key, partial(self.measure.toggle, tool)) for tool, key in MEASURE_KEYS.items()
        ]
        actions += [
            ("Shift+M", self.measure.mark_end),
            (READING_KEYS["linked"], self._key_linked),
            (READING_KEYS["slab"], self.slab.next),
            (READING_KEYS["details"], self.show_details),
        ]
        self._shortcuts = add_shortcuts(window, actions, whole_window=True)
        self._on_active()

    def _on_active(self, event: Any = None) -> None:  # noqa: ARG002 - napari passes the event
        """Disable the keys while another kind of layer is active: there they select its tools."""
        active = self._viewer.layers.selection.active
        measuring = active is not None and active is self.measure.measurements.layer
        for shortcut in self._shortcuts:
            shortcut.setEnabled(volume_of(active) is not None or measuring)


def _dock_of(widget: QWidget) -> QDockWidget | None:
    """Return the dock that contains `widget`."""
    parent = widget.parentWidget()
    while parent is not None and not isinstance(parent, QDockWidget):
        parent = parent.parentWidget()
    return parent


def _canvas_beside(dock: QDockWidget | None) -> QWidget | None:
    """Return napari's canvas, which is the OpenGL widget in the centre of the dock's window."""
    from qtpy.QtOpenGLWidgets import QOpenGLWidget

    main = None if dock is None else dock.parentWidget()
    if not isinstance(main, QMainWindow) or main.centralWidget() is None:
        return None
    found = main.centralWidget().findChildren(QOpenGLWidget)
    return found[0] if found else None


def _fits(viewer: Viewer, layer: Any, canvas: QWidget | None) -> bool:
    """Return whether the whole width of the body is on screen, so that it can be kept so."""
    volume = volume_of(layer)
    if canvas is None or volume is None or viewer.dims.ndisplay != 2:
        return False
    axis = viewer.dims.displayed[-1] - viewer.dims.ndim + 3
    first, last = body_box(volume)[:, axis]
    width = float(layer.scale[axis]) * (last - first + 1)
    return bool(width * viewer.scene.camera.zoom <= 1.02 * canvas.width())
