"""The loaded model and the scans that it has read, for use in a worker thread.

Nothing here knows Qt. One model is loaded at a time. The readings of the scans used last are
kept, so that a second question about a scan needs no second encoding.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from napari_ct_assistant.backends.loading.options import BEST, LoadOptions, NotEnoughMemoryError
from napari_ct_assistant.backends.model_info import shown_name
from napari_ct_assistant.backends.protocol import View
from napari_ct_assistant.backends.slices.choice import WHOLE
from napari_ct_assistant.model.errors import ModelLoadError
from napari_ct_assistant.support.collector import collection_postponed
from napari_ct_assistant.support.errors import CTAssistantError
from napari_ct_assistant.support.translation import _
from napari_ct_assistant.viewer.session.background import one_line
from napari_ct_assistant.viewer.session.jobs import Job, JobResult
from napari_ct_assistant.viewer.session.run_record import RunRecord, TextCallback

if TYPE_CHECKING:
    from napari_ct_assistant.assistant import Assistant, ModelInfo, Reading
    from napari_ct_assistant.volume import CTVolume

KEPT_READINGS = 3


def load_real(model: str, *, scan_cache: bool = True, **options: Any) -> Assistant:
    """Load a model. This imports torch, in the worker thread."""
    with collection_postponed():
        from napari_ct_assistant.assistant import load_assistant

    return load_assistant(model, scan_cache=scan_cache, **options)


class StoppedError(CTAssistantError):
    """The reader pressed Stop before the model had written anything."""


class ModelSession:
    """The loaded model and its readings; every method may be called from any thread.

    Parameters
    ----------
    load : callable, optional
        Called as ``load(model, device=device)``, with further load options where they were
        chosen; returns an `Assistant`.
    scan_cache : bool
        Whether encoded scans are kept on disk.
    """

    def __init__(
        self, load: Callable[..., Assistant] = load_real, *, scan_cache: bool = True
    ) -> None:
        # Another loader than ours has names of its own.
        self.finds_on_disk = load is load_real
        self._load = load if scan_cache else partial(load, scan_cache=False)
        self._lock = threading.Lock()
        self._loaded: tuple[str, LoadOptions] | None = None
        self._assistant: Assistant | None = None
        # Why the last load failed, if it failed for lack of memory.
        self.refused: NotEnoughMemoryError | None = None
        # What the last load could not make a model of, and why.
        self.broken: tuple[str, LoadOptions] | None = None
        self.broken_why = ""
        # The scan that was used most recently comes last.
        self._readings: OrderedDict[CTVolume, tuple[View, Reading]] = OrderedDict()

    def run(
        self,
        job: Job,
        on_stage: TextCallback,
        on_text: TextCallback,
        on_reasoning: TextCallback | None = None,
    ) -> JobResult:
        """Run `job` in the calling thread, after loading its model and reading its scan.

        Parameters
        ----------
        job : Job
        on_stage : callable
            Gets a line that says what is being done, whenever that changes.
        on_text : callable
            Gets the model's text piece by piece.
        on_reasoning : callable, optional
            Gets what the model writes before its answer.

        Raises
        ------
        StoppedError
            If `job.cancel` was set before the model began to write.
        ModelLoadError
            If the model cannot be loaded.
        """

        def stage(text: str) -> None:
            if job.cancel.is_set():
                raise StoppedError
            on_stage(text)

        began = time.perf_counter()
        with self._lock:
            assistant = self._assistant_for(job.model, job.options, stage)
            reading = self._reading_of(job.scan.volume, job.scan.view, assistant, stage)
        record = RunRecord(
            assistant.info,
            str(getattr(assistant, "device", "")),
            (*reading.warnings, *assistant.info.notes),
            on_reasoning=on_reasoning,
        )
        backend = getattr(assistant, "backend", None)
        if backend is not None:
            record.free_findings = backend.capabilities.free_findings
        if backend is not None and backend.capabilities.body_regions:
            record.regions = backend.capabilities.body_regions
            record.region, record.grid = reading.scan.region, reading.grid
            record.slices = reading.scan.slices
            record.labels = backend.capabilities.labels.get(record.region, ())
        stage(_(job.stage))
        record.waited_s = time.perf_counter() - began
        return job.run(reading, record, on_text)

    @property
    def loaded(self) -> tuple[str, LoadOptions] | None:
        """The loaded model with its load options, None if no model is loaded."""
        return self._loaded

    @property
    def assistant(self) -> Assistant | None:
        """The loaded model, None if no model is loaded."""
        return self._assistant

    def has_read(self, volume: CTVolume) -> bool:
        """Return whether the loaded model's reading of a scan is kept."""
        return volume in self._readings

    def load(self, model: str, options: LoadOptions = BEST) -> tuple[ModelInfo, str]:
        """Load a model in place of the loaded one; return its description and its device.

        Raises
        ------
        ModelLoadError
            If it cannot be loaded. No model is loaded then.
        """
        with self._lock:
            assistant = self._assistant_for(model, options, lambda _stage: None)
            return assistant.info, str(getattr(assistant, "device", ""))

    def _assistant_for(
        self, model: str, options: LoadOptions, stage: Callable[[str], None]
    ) -> Assistant:
        """Return the model; load it unless it is loaded already."""
        if self._assistant is not None and self._differs_in_preset(model, options):
            self._assistant = self._assistant.with_preset(options.preset)
            self._readings.clear()
            self._loaded = (model, options)
        if self._assistant is None or self._loaded != (model, options):
            stage(_("Loading the model {model}").format(model=shown_name(model)))
            self._drop_model()
            # `device` is always given, the other options only where they were chosen.
            wanted = {"device": None} | options.arguments()
            self.refused = self.broken = None
            try:
                self._assistant = self._load(model, **wanted)
            except NotEnoughMemoryError as error:
                # A copy, because the error itself keeps its stack frames alive.
                self.refused = NotEnoughMemoryError(error.line, error.remedies, "panel")
                raise NotEnoughMemoryError(error.line, error.remedies, "panel") from None
            except ModelLoadError as error:
                self.broken, self.broken_why = (model, options), one_line(error)
                raise
            self._loaded = (model, options)
        return self._assistant

    def _differs_in_preset(self, model: str, options: LoadOptions) -> bool:
        """Return whether the loaded model is the wanted one but for its slice preset."""
        if self._loaded is None or not hasattr(
            getattr(self._assistant, "backend", None), "with_preset"
        ):
            return False
        loaded, with_options = self._loaded
        other = with_options.preset != options.preset
        return other and (loaded, replace(with_options, preset=options.preset)) == (model, options)

    def _reading_of(
        self,
        volume: CTVolume,
        view: View,
        assistant: Assistant,
        stage: Callable[[str], None],
    ) -> Reading:
        """Return the reading of a part of `volume`; it is encoded only the first time."""
        kept = self._readings.pop(volume, None)
        if kept is not None and kept[0] == view:
            reading = kept[1]
        else:
            stage(_("Reading the scan"))
            # A view is only given where the reader chose one.
            chosen: dict[str, Any] = {}
            if view != View():
                chosen = {"region": view.region, "centre": view.centre}
            if view.slices != WHOLE and assistant.backend.capabilities.slices:
                chosen["slices"] = view.slices
            reading = assistant.read(volume, progress=stage, **chosen)
        self._readings[volume] = (view, reading)
        while len(self._readings) > KEPT_READINGS:
            self._readings.popitem(last=False)
        return reading

    def forget(self, volume: CTVolume) -> None:
        """Free the reading of a scan that was closed; a running job keeps its reference."""
        self._readings.pop(volume, None)

    def close(self) -> None:
        """Free the model and every reading."""
        with self._lock:
            self._drop_model()

    def _drop_model(self) -> None:
        self._readings.clear()
        assistant, self._assistant, self._loaded = self._assistant, None, None
        if assistant is not None:
            assistant.close()
