"""Calibrate patch scores at the end of stage `ground`, on volumes that were not trained on.

The patch loss trains the order of the scores, not probabilities near 0 and 1, and a patch does not
see the whole finding. Both are corrected here, without a change to the encoder's own weights.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from torch import nn

from napari_ct_assistant.model.grounded.concept_maps import DetailReadout
from napari_ct_assistant.model.grounded.vit import GroundedVisionTransformer3D
from napari_ct_assistant.training.data.volume_dataset import to_pixel_values
from napari_ct_assistant.training.data.volume_store import VolumeStore

FEWEST = 5  # volumes with a detail, and without it, that a fit needs


def calibrate(encoder: GroundedVisionTransformer3D, store: VolumeStore, volumes: range) -> None:
    """Set the operating points, then fit the read-out of details over whole volumes.

    Parameters
    ----------
    encoder : GroundedVisionTransformer3D
        Its patch-level head and its `details` are changed in place.
    store : VolumeStore
    volumes : range
        The indices of the volumes to score, none of them trained on.
    """
    head = encoder.eval().concepts
    assert isinstance(head, nn.Linear)  # noqa: S101  made by the stage
    logits, labels = [], []
    for index in volumes:
        pixels = to_pixel_values(store.volume(index))[None].to(encoder.device)
        with torch.inference_mode():
            logits.append(head(encoder.encode(encoder.embed(pixels)))[0].half().cpu())
        shown = store.patch_labels(index)[: head.out_features]
        labels.append(shown.any(axis=(1, 2, 3)))
    present = np.stack(labels)  # [volumes, concepts]
    highest = torch.stack([one.amax(0) for one in logits]).float().numpy()
    owners = list(encoder.config.concept_owners) or list(range(head.out_features))
    shift, slope = set_operating_points(head, owners, highest, present)
    if encoder.details is not None:
        probabilities = [((one.float() - shift) * slope).sigmoid() for one in logits]
        fit_details(encoder.details, probabilities, present)


def set_operating_points(
    head: nn.Linear, owners: list[int], score: NDArray[np.floating[Any]], present: NDArray[np.bool_]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Shift and scale each concept's patch logits so that 0 separates scans with it from others.

    Otherwise, 18 findings at 0.1 in each of 8 merged patches would drown the one at 0.9 in an image
    token. A degree is separated from the same finding's other degrees. A concept that every scan
    has (a lobe) is left as it is. Shift and scale go into the head's weights, so the network gets
    no new layer.

    Parameters
    ----------
    head : nn.Linear
        The patch-level head, changed in place.
    owners : list of int
        For each concept, the finding that it is a detail of, or itself.
    score, present : [volumes, concepts]
        The highest patch logit of each scan, and whether it shows the concept.

    Returns
    -------
    shift, slope : float32 [concepts]
        The new logits are (old - shift) * slope.
    """
    shift, slope = torch.zeros(len(owners)), torch.ones(len(owners))
    for concept, owner in enumerate(owners):
        asked = np.ones(len(present), bool) if owner == concept else present[:, owner]
        own = present[asked, concept]
        if own.any() and not own.all():
            shift[concept], slope[concept] = operating_point(score[asked, concept], own)
    with torch.no_grad():
        head.weight *= slope[:, None].to(head.weight)
        head.bias.copy_(slope.to(head.bias) * (head.bias - shift.to(head.bias)))
    return shift, slope


def operating_point(
    score: NDArray[np.floating[Any]], present: NDArray[np.bool_]
) -> tuple[float, float]:
    """Return the threshold with the best balanced accuracy, and a slope.

    The slope moves the median scan without the finding to a logit of -3 or below, as far as a slope
    between 1 and 8 does.

    Parameters
    ----------
    score, present : [n]
        The highest patch logit of each scan, and whether it shows the finding.
    """
    # Between different scores: no score equals a cut, so above and from the cut on are the same.
    values = np.unique(score.astype(np.float64))
    cuts = (values[1:] + values[:-1]) / 2 if len(values) > 1 else values
    above = score[None] > cuts[:, None]
    accuracy = above[:, present].mean(1) - above[:, ~present].mean(1)
    # Of equally good cuts, the middle one is farthest from both sides.
    best = np.flatnonzero(accuracy >= accuracy.max() - 1e-9)
    threshold = float(cuts[best[len(best) // 2]])
    gap = threshold - float(np.median(score[~present]))
    return threshold, float(np.clip(3.0 / max(gap, 1e-6), 1.0, 8.0))


def fit_details(
    readout: DetailReadout, probabilities: list[torch.Tensor], present: NDArray[np.bool_]
) -> None:
    """Fit a logistic regression for each detail, on the scans that show its finding.

    A detail that fewer than `FEWEST` of them have, or lack, keeps its patch-level score.

    Parameters
    ----------
    readout : DetailReadout
        Changed in place.
    probabilities : list of Tensor [N, concepts]
        The patch probabilities of each scan.
    present : bool [scans, concepts]
    """
    sums = [readout.summarize(one[None]) for one in probabilities]
    extents = torch.cat([extent for extent, _ in sums]).numpy()
    shares = torch.cat([share for _, share in sums]).numpy()
    for concept, owner in enumerate(readout.owners):
        siblings, asked = readout.siblings(concept), present[:, owner]
        own = present[asked, concept]
        if not siblings or min(own.sum(), (~own).sum()) < FEWEST:
            continue
        inputs = np.concatenate([extents[asked, owner], shares[asked][:, siblings]], axis=1)
        mean, spread = inputs.mean(0), inputs.std(0) + 1e-3
        # Balanced, so that the threshold does not depend on how common this degree is.
        fit = LogisticRegression(class_weight="balanced", max_iter=1000)
        fit.fit((inputs - mean) / spread, own)
        weight = fit.coef_[0] / spread
        values = torch.from_numpy(weight).float()
        with torch.no_grad():
            readout.extent[concept] = values[: readout.EXTENTS]
            readout.share[concept, siblings] = values[readout.EXTENTS :]
            readout.bias[concept] = float(fit.intercept_[0] - weight @ mean)
