"""Paint a phantom's anatomy and findings in order, and add the scanner's noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from napari_ct_assistant.phantoms import (
    anatomy,
    findings_chest,
    findings_lung,
    lung_trees,
    mediastinum,
)
from napari_ct_assistant.phantoms.canvas import Canvas, Floats, Stamp
from napari_ct_assistant.phantoms.patient import Patient
from napari_ct_assistant.phantoms.truth import FindingTruth, part_rng
from napari_ct_assistant.support.blas import threads_of_blas

Mask = NDArray[np.bool_]
GRIDS: dict[str, tuple[tuple[int, int, int], tuple[float, float, float]]] = {
    "model": ((112, 224, 224), (3.0, 1.5, 1.5)),
    "reading": ((224, 420, 420), (1.5, 0.8, 0.8)),
}


def render(
    seed: int, findings: Sequence[FindingTruth], resolution: str
) -> tuple[NDArray[np.int16], dict[str, Mask]]:
    """Return the HU [I, P, L] and the mask of each finding.

    Later parts are painted over earlier ones. Each finding has its own random stream, so that
    adding one changes no other.
    """
    shape, spacing = GRIDS[resolution]
    p = Patient(seed)
    canvas = Canvas(shape, spacing, p.pose)
    # Slices do not touch each other; weights of vessels and noise depend on nothing painted.
    with threads_of_blas(2) as workers:
        anatomy.paint_body(canvas, p, workers)
        vessels = workers.submit(lung_trees.vessels, canvas, p)
        noise = workers.submit(noise_pool, canvas, p, resolution)
        masks = _paint_organs(canvas, p, findings, vessels, workers)
        return with_noise(canvas, *noise.result(), workers), masks


def _paint_organs(
    canvas: Canvas,
    p: Patient,
    findings: Sequence[FindingTruth],
    vessels: Future[Stamp],
    workers: Executor,
) -> dict[str, Mask]:
    """Paint heart, vessels and airways into the body, and the findings; return their masks."""
    t = {f.name: f for f in findings}
    masks: dict[str, Mask] = {}
    fluid = t["Pericardial effusion"].size_mm if "Pericardial effusion" in t else None
    size = t["Cardiomegaly"].severity if "Cardiomegaly" in t else None
    heart = mediastinum.Heart(p, enlarged=size, fluid_mm=fluid or 0.0)
    box, heart_mask, fluid_mask = heart.paint(canvas, workers)
    for name, m in (("Cardiomegaly", heart_mask), ("Pericardial effusion", fluid_mask)):
        if name in t:
            masks[name] = np.zeros(canvas.shape, bool)
            masks[name][box] = m
    mediastinum.paint_small_nodes(canvas, p)
    mediastinum.paint_great_vessels(canvas, p)
    heart.paint_coronaries(canvas)
    draw = _FindingPainter(canvas, p, t, masks)
    draw("Hiatal hernia", findings_chest.hernia)
    draw("Lymphadenopathy", findings_chest.nodes)
    draw("Pleural effusion", findings_lung.effusion)
    draw("Emphysema", findings_lung.emphysema)
    draw("Mosaic attenuation pattern", findings_lung.mosaic)
    draw("Lung opacity", findings_lung.opacity)
    lung_trees.paint_vessels(canvas, p, vessels.result())
    draw("Interlobular septal thickening", findings_lung.septal)
    draw("Pulmonary fibrotic sequela", findings_lung.fibrosis)
    draw("Consolidation", findings_lung.consolidation)
    draw("Atelectasis", findings_lung.atelectasis)
    draw("Peribronchial thickening", findings_lung.thick_bronchi)
    if "Peribronchial thickening" not in t:
        lung_trees.paint_bronchi(canvas, p)
    draw("Bronchiectasis", findings_lung.bronchiectasis)
    draw("Lung nodule", findings_lung.nodule)
    mediastinum.paint_central_airways(canvas)
    draw("Arterial wall calcification", findings_chest.aortic_plaques)
    draw("Coronary artery wall calcification", partial(findings_chest.coronary_plaques, heart))
    draw("Medical material", findings_chest.device)
    return masks


@dataclass
class _FindingPainter:
    """Paints a finding if the patient has it, and keeps its mask."""

    canvas: Canvas
    patient: Patient
    present: dict[str, FindingTruth]
    masks: dict[str, Mask]

    def __call__(self, name: str, paint: Callable[[Canvas, Patient, FindingTruth], Mask]) -> None:
        if name in self.present:
            self.masks[name] = paint(self.canvas, self.patient, self.present[name])


def noise_pool(canvas: Canvas, p: Patient, resolution: str) -> tuple[Floats, np.random.Generator]:
    """Return noise images larger than a slice, and the random stream that chooses among them."""
    rng = part_rng(p.seed, "noise")
    depth, height, width = canvas.shape
    blur, gain = (0, 1.0) if p.sharp else (1, 1.0)
    if resolution == "reading":
        # The gain makes up for the noise lost in resampling to the model's grid, as measured.
        blur, gain = (1, 1.59) if p.sharp else (3, 1.49)
    pool: Floats = np.empty((depth // 4, height + 48, width + 48), np.float32)
    sides = np.empty_like(pool[0])
    # Image by image, which stay in cache; the first four give the scale.
    for k, image in enumerate(pool):
        rng.standard_normal(out=image, dtype=np.float32)
        for _ in range(blur):
            _smooth(image, sides)
            _smooth(image.T, sides.T)
        if k == 3:
            scale = np.float32(p.noise * gain / float(pool[:4, 4:-4, 4:-4].std()))
            pool[:4] *= scale
        elif k > 3:
            image *= scale
    return pool, rng


def with_noise(
    canvas: Canvas, pool: Floats, rng: np.random.Generator, workers: Executor
) -> NDArray[np.int16]:
    """Return the HU with scanner noise: independent between slices, smoothed in the plane.

    Each slice takes a random part of one of a pool of noise images, mirrored or negated at
    random.
    """
    depth, height, width = canvas.shape
    draws = [(*rng.integers((len(pool), 49, 49)), rng.random() < 0.5, rng.random() < 0.5)
             for _ in range(depth)]  # fmt: skip
    out = np.empty(canvas.shape, np.int16)

    def add(some: range) -> None:
        work = np.empty((height, width), np.float32)
        for i in some:
            k, u, v, mirrored, positive = draws[i]
            cut = pool[k, u : u + height, v : v + width]
            if mirrored:
                cut = cut[:, ::-1]
            (np.add if positive else np.subtract)(canvas.hu[i], cut, out=work)
            np.rint(work, out=work)
            work.clip(-1024, 3071, out=work)
            out[i] = work

    list(workers.map(add, (range(k, min(k + 16, depth)) for k in range(0, depth, 16))))
    return out


def _smooth(a: Floats, work: Floats) -> None:
    """Blur an image along its rows, in place, with the weights 1/4, 1/2, 1/4."""
    sides = np.add(a[:-2], a[2:], out=work[1:-1])
    sides *= np.float32(0.25)
    a[1:-1] *= np.float32(0.5)
    a[1:-1] += sides
