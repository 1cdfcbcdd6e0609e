"""The choice of the scan, and opening another scan in the background."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.utils import progress
from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QComboBox, QWidget

from napari_ct_assistant.support.collector import look_at_everything
from napari_ct_assistant.support.plain_text import plain, without_markup
from napari_ct_assistant.support.translation import _
from napari_ct_assistant.viewer.canvas import undrawn
from napari_ct_assistant.viewer.file_dialogs import choose_file, choose_folder
from napari_ct_assistant.viewer.scan.layers import add_volume, prepare_layers, volume_of
from napari_ct_assistant.viewer.scan.series_dialog import choose_series
from napari_ct_assistant.viewer.scan.units import Units
from napari_ct_assistant.viewer.session.background import UPDATE_MS, Background, one_line
from napari_ct_assistant.viewer.session.scan_session import OpenScans, ScanSession
from napari_ct_assistant.viewer.texts import TIPS
from napari_ct_assistant.viewer.widgets import button, row

if TYPE_CHECKING:
    from napari.layers import Image
    from napari.viewer import Viewer

    from napari_ct_assistant.volume import CTVolume, SeriesInfo


class ScanPicker(QWidget):
    """A box with the open CT layers, and buttons that open a folder or a file.

    It owns the sessions of the open scans (`open_scans`).

    Signals
    -------
    chosen : layer or None
        Another scan was chosen.
    closed : ScanSession
        A scan's last layer was removed; its session is released right afterwards.
    loading : str
        What is being opened; empty when it is open.
    failed : str
        One line that says why a path could not be opened.
    stopped : str
        One line that says what is not opened because of `stop`.
    opened : layer
        A scan that was opened here is now in the viewer.
    """

    chosen = Signal(object)
    closed = Signal(object)
    loading = Signal(str)
    failed = Signal(str)
    stopped = Signal(str)
    opened = Signal(object)

    def __init__(self, viewer: Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._layers: list[Any] = []
        self.open_scans = OpenScans()
        self.busy = False
        self._cancel = threading.Event()
        self._name = ""
        self._progress: tuple[int, int] | None = None
        self._activity: progress | None = None
        self._next: Callable[[], None] | None = None
        self._units = Units(self)

        self.box = QComboBox()
        self.box.setToolTip(TIPS["scan"])
        self.box.setAccessibleName(_("Scan"))
        self.box.setPlaceholderText(_("No CT scan is open"))
        self.box.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.box.setMinimumContentsLength(16)
        self.folder_button = button(
            _("Folder…"), TIPS["open_folder"], accessible_name=_("Open folder")
        )
        self.file_button = button(_("File…"), TIPS["open_file"], accessible_name=_("Open file"))
        line = row(self.box, self.folder_button, self.file_button)
        line.setStretchFactor(self.box, 1)
        self.setLayout(line)

        self.folder_button.clicked.connect(self.ask_folder)
        self.file_button.clicked.connect(self.ask_file)
        self.box.currentIndexChanged.connect(self._on_box)
        self._background = Background(self)
        self._timer = QTimer(self)
        self._timer.setInterval(UPDATE_MS)
        self._timer.timeout.connect(self._show_progress)

    @property
    def layer(self) -> Image | None:
        """The chosen CT layer."""
        index = self.box.currentIndex()
        return self._layers[index] if 0 <= index < len(self._layers) else None

    @property
    def scan(self) -> ScanSession | None:
        """The chosen scan's session."""
        volume = self.volume
        return None if volume is None else self.open_scans.of(volume)

    @property
    def volume(self) -> CTVolume | None:
        """The chosen scan's volume."""
        return volume_of(self.layer)

    def layer_of(self, scan: ScanSession) -> Image | None:
        """Return the layer that shows a scan, None when the scan was closed."""
        return next((layer for layer in self._layers if volume_of(layer) is scan.volume), None)

    def choose(self, scan: ScanSession) -> Image | None:
        """Choose a scan and return its layer, None when the scan was closed."""
        layer = self.layer if self.scan is scan else self.layer_of(scan)
        if layer is not None and layer is not self.layer:
            self.box.setCurrentIndex(self._layers.index(layer))
        return layer

    def refresh(self, event: Any = None) -> None:  # noqa: ARG002 - napari passes the event
        """List the CT layers in the viewer; keep the choice if that layer still exists."""
        old, before = self.layer, self._layers
        self._layers = [layer for layer in self._viewer.layers if volume_of(layer) is not None]
        for layer in before:
            if layer not in self._layers:
                layer.events.name.disconnect(self.refresh)
        for layer in self._layers:
            if layer not in before:
                layer.events.name.connect(self.refresh)
        for layer in self._layers:
            volume = volume_of(layer)
            if volume is not None:
                scan = self.open_scans.of(volume)
                scan.name = str(layer.name)
                if scan.files is None and layer.source.path:
                    scan.files = Path(layer.source.path)
        self.box.blockSignals(True)
        self.box.clear()
        self.box.addItems([layer.name for layer in self._layers])
        active = self._viewer.layers.selection.active
        wanted = next((one for one in (active, old) if one in self._layers), None)
        if wanted is None and self._layers:
            wanted = self._layers[-1]
        self.box.setCurrentIndex(-1 if wanted is None else self._layers.index(wanted))
        self.box.blockSignals(False)
        shown = {volume_of(layer) for layer in self._layers}
        for scan in self.open_scans:
            # Whoever is told may remove further layers, which calls this again.
            if scan.volume not in shown and scan.is_open:
                self.open_scans.remove(scan)
                self.closed.emit(scan)
                scan.release()
                look_at_everything()
        if self.layer is not old:
            self.chosen.emit(self.layer)

    def _on_active(self, event: Any) -> None:
        """Choose the CT layer that was selected in napari's layer list."""
        if event.value in self._layers:
            self.box.setCurrentIndex(self._layers.index(event.value))

    def _on_box(self, _index: int) -> None:
        layer = self.layer
        if layer is not None and self._viewer.layers.selection.active is not layer:
            self._viewer.layers.selection.active = layer
        self.chosen.emit(layer)

    # -- opening

    def ask_folder(self) -> None:
        """Ask for a folder of DICOM slices and open it."""
        path = choose_folder(self, _("Open a folder of DICOM slices"))
        if path:
            self.open(path)

    def ask_file(self) -> None:
        """Ask for a DICOM or NIfTI file and open it."""
        scans, every = _("CT scans"), _("All files")
        filters = f"{scans} (*.dcm *.nii *.nii.gz *.mha *.mhd *.nrrd *.zip);;{every} (*)"
        path = choose_file(self, _("Open a CT scan"), filters)
        if path:
            self.open(path)

    def open(self, path: str | Path) -> None:
        """Open a scan in the background; for a folder of several series, ask which one."""
        if self.busy:
            self.failed.emit(_("Another scan is still being opened. Wait until it is open."))
            return
        path = Path(path)
        cancel = threading.Event()

        def find_series() -> list[SeriesInfo]:
            from napari_ct_assistant.volume import list_series

            return list_series(path, cancel=cancel)

        self._run(path, find_series, lambda found: self._on_series(path, found), cancel)

    def stop(self) -> None:
        """Stop the opening of a scan."""
        if self.busy:
            self._cancel.set()
            self.loading.emit(_("Stopping"))

    def _on_series(self, path: Path, found: list[SeriesInfo]) -> None:
        key = None
        if len(found) > 1:
            info = choose_series(found, self)
            if info is None:
                return
            key = info.key
        # The worker that listed the series must end before the next one starts. It may have
        # ended already while the reader chose a series.
        if self.busy:
            self._next = lambda: self._read(path, key)
        else:
            self._read(path, key)

    def _read(self, path: Path, key: str | None) -> None:
        cancel = threading.Event()

        def report(done: int, total: int) -> None:
            self._progress = (done, total)

        def read() -> CTVolume:
            from napari_ct_assistant.volume import open_ct

            prepare_layers()
            return open_ct(path, series=key, progress=report, cancel=cancel)

        self._run(path, read, lambda volume: self._show(path, volume), cancel)

    def _show(self, path: Path, volume: CTVolume) -> None:
        with undrawn(self.window()):
            layer = add_volume(self._viewer, volume)
            self.open_scans.of(volume).files = path
            self.opened.emit(layer)

    def _run(
        self,
        path: Path,
        function: Callable[[], Any],
        returned: Callable[[Any], None],
        cancel: threading.Event,
    ) -> None:
        self.busy = True
        self._cancel = cancel
        self._progress = None
        self._name = plain(path.name)
        self.loading.emit(_("Opening {name}").format(name=self._name))
        # Shown in napari's activity dock. The bar may be changed only on the Qt thread.
        self._activity = progress(
            total=0, desc=without_markup(_("Opening {name}").format(name=path.name))
        )
        self._timer.start()
        self._background.run(
            function,
            returned=returned,
            errored=self._on_error,
            finished=self._on_finished,
            on_quit=cancel.set,
        )

    def _on_error(self, error: Exception) -> None:
        if self._cancel.is_set():
            self.stopped.emit(_("{name}: opening was stopped").format(name=self._name))
        else:
            self.failed.emit(one_line(error))

    def _on_finished(self) -> None:
        self.busy = False
        self._timer.stop()
        if self._activity is not None:
            self._activity.close()
            self._activity = None
        self.loading.emit("")
        following, self._next = self._next, None
        if following is not None:
            following()

    def _show_progress(self) -> None:
        if self._progress is not None:
            done, total = self._progress
            text = _("Opening {name}: {done} of {total}")
            self.loading.emit(text.format(name=self._name, done=done, total=total))
            if self._activity is not None:
                self._activity.total = total
                self._activity.update(done - self._activity.n)

    def attach(self) -> None:
        """Follow the viewer; called when the panel is docked."""
        self._units.prepare()
        events = self._viewer.layers.events
        events.inserted.connect(self.refresh)
        events.removed.connect(self.refresh)
        self._viewer.layers.selection.events.active.connect(self._on_active)
        self.refresh()

    def detach(self) -> None:
        """Stop following the viewer; called when the panel is closed."""
        events = self._viewer.layers.events
        events.inserted.disconnect(self.refresh)
        events.removed.disconnect(self.refresh)
        self._viewer.layers.selection.events.active.disconnect(self._on_active)
        for layer in self._layers:
            layer.events.name.disconnect(self.refresh)
        self._layers = []
