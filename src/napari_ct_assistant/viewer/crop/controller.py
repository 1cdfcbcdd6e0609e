"""Keeps the box on the scan, the region row and the scan's own choice together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject

from napari_ct_assistant.backends.protocol import View
from napari_ct_assistant.backends.slices.choice import SliceRange
from napari_ct_assistant.support.translation import _
from napari_ct_assistant.viewer.crop.crop_layer import CropLayer
from napari_ct_assistant.viewer.crop.region_bar import RegionBar, shown_region
from napari_ct_assistant.viewer.scan.layers import world_to_index
from napari_ct_assistant.viewer.session.background import one_line
from napari_ct_assistant.viewer.session.history import ChatHistory
from napari_ct_assistant.viewer.texts import BOX_MOVED, REGION_CHANGED, SLICES_CHOSEN
from napari_ct_assistant.volume import ModelGrid

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_ct_assistant.viewer.models.picker import ModelPicker
    from napari_ct_assistant.viewer.scan.scan_picker import ScanPicker
    from napari_ct_assistant.viewer.session.conversation import Conversation
    from napari_ct_assistant.viewer.session.jobs import JobResult
    from napari_ct_assistant.viewer.session.scan_session import ScanSession
    from napari_ct_assistant.viewer.session.status_line import StatusLine


class CropController(QObject):
    """Shows what part of a scan was read, and lets the reader choose another.

    What is chosen holds for the next question; the scan is then read again, and its conversation
    begins anew.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    scans : ScanPicker
    conversation : Conversation
        Its results say what was read.
    models : ModelPicker
        Its loaded model says whether slices are looked at, and by which presets.
    status : StatusLine
    parent : QObject, optional
    """

    def __init__(
        self,
        viewer: Viewer,
        scans: ScanPicker,
        conversation: Conversation,
        models: ModelPicker,
        status: StatusLine,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer, self._scans, self._status = viewer, scans, status
        self._models = models
        self.layer = CropLayer(viewer)
        self.bar = RegionBar()
        self.bar.region_chosen.connect(self.choose)
        self.bar.moved.connect(self.move)
        self.bar.reset.connect(self.reset)
        self.bar.slices.chosen.connect(self.choose_slices)
        self.bar.slices.wrong.connect(self.bar.say)
        self.bar.slices.preset_chosen.connect(self.choose_preset)
        models.changed.connect(lambda _model: self.refresh())
        scans.chosen.connect(lambda _layer: self.refresh())
        conversation.finished.connect(self.take_result)

    def take_result(self, result: JobResult) -> None:
        """Note what part of a scan was read for a result, and show it."""
        record, scan = result.record, result.job.scan
        scan.regions, scan.region_read = record.regions, record.region
        scan.slices = record.slices
        scan.box = record.grid if record.regions and not record.slices else None
        scan.finding_names = record.labels
        if scan is self._scans.scan:
            self.refresh()

    def refresh(self) -> None:
        """Show row and box of the chosen scan."""
        scan, looks_at_slices = self._scans.scan, self._slice_model()
        regions: tuple[str, ...] = () if scan is None else scan.regions
        if not regions and looks_at_slices is not None:
            regions = looks_at_slices.capabilities.body_regions
        if scan is None or not regions:
            self.bar.show_regions((), "")
            self.layer.remove()
            return
        offered = looks_at_slices is not None
        self.bar.show_regions(regions, scan.view.region, box=not scan.slices and not offered)
        total = scan.volume.shape[0]
        self.bar.slices.show_slices(scan.slices, total, scan.view.slices, offered=offered)
        self._show_presets(looks_at_slices)
        self.bar.say(_read(scan))
        if scan.box is None:
            self.layer.remove()
        if scan.box is not None and self._scans.layer is not None:
            self.layer.show(self._scans.layer, scan.box)

    def choose(self, region: str) -> None:
        """Read this region from the next question on."""
        scan = self._scans.scan
        if scan is not None and region != scan.view.region:
            self._change(scan, View(region, slices=scan.view.slices), _(REGION_CHANGED))

    def choose_slices(self, wanted: SliceRange) -> None:
        """Look at these slices from the next question on."""
        scan = self._scans.scan
        if scan is None:
            return
        try:
            wanted.within(scan.volume.shape[0])
        except ValueError as error:
            self.bar.say(one_line(error))
            return
        self._change(scan, View(scan.view.region, slices=wanted), _(SLICES_CHOSEN))

    def choose_preset(self, name: str) -> None:
        """Show slices by another preset from the next question on; the model stays loaded."""
        scan, models = self._scans.scan, self._models
        if scan is None or (name or None) == models.options.preset:
            return
        models.menu.set_options(models.options.changed(preset=name or None))
        models.load_or_unload()
        self._change(scan, scan.view, _(SLICES_CHOSEN))

    def _slice_model(self) -> Any:
        """Return the loaded model if it looks at slices."""
        session = self._models.session
        if session is None or not self._models.is_loaded:
            return None
        backend = getattr(session.assistant, "backend", None)
        return backend if backend is not None and backend.capabilities.slices else None

    def _show_presets(self, model: Any) -> None:
        processor = getattr(model, "processor", None)
        if not hasattr(model, "with_preset") or processor is None:
            self.bar.slices.show_presets((), "", "")  # a server's stands in its profile
            return
        from napari_ct_assistant.backends.slices.preset import list_presets, user_folder

        found, wrong = list_presets()
        said = _("How slices are shown to the model. Your own presets: YAML files in {folder}")
        lines = [said.format(folder=user_folder()), *wrong]
        chosen = self._models.options.preset or ""
        self.bar.slices.show_presets(list(found), processor.usual.name, chosen, "\n".join(lines))

    def move(self) -> None:
        """Centre the box on the crosshair from the next question on."""
        scan, layer = self._scans.scan, self._scans.layer
        if scan is None or layer is None or scan.box is None:
            return
        index = world_to_index(layer, self._viewer.dims.point)
        x, y, z = (float(mm) for mm in scan.volume.index_to_ras(index))
        scan.box = _centred(scan.box, (x, y, z))
        region = scan.view.region or scan.region_read
        self._change(scan, View(region, (x, y, z)), _(BOX_MOVED))

    def reset(self) -> None:
        """Put the box where the region puts it from the next question on."""
        scan = self._scans.scan
        if scan is not None and scan.view.centre is not None:
            self._change(scan, View(scan.view.region), _(REGION_CHANGED))

    def _change(self, scan: ScanSession, view: View, said: str) -> None:
        scan.view = view
        # An answer about another part of the scan is no part of this conversation.
        scan.history = ChatHistory()
        self.refresh()
        self.bar.say(said)
        self._status.show_text(f"{scan.name}: {said}")


def _read(scan: ScanSession) -> str:
    """Return what was read, in a few words."""
    region = shown_region(scan.region_read)
    return _("Read: {region}").format(region=region) if region else ""


def _centred(grid: ModelGrid, ras: Any) -> ModelGrid:
    """Return a box of the same size with its centre at a RAS point."""
    affine = grid.affine.copy()
    middle = affine[:3, :3] @ [(n - 1) / 2 for n in grid.shape]
    affine[:3, 3] = [at - m for at, m in zip(ras, middle, strict=True)]
    return ModelGrid(grid.shape, grid.patch, affine)
