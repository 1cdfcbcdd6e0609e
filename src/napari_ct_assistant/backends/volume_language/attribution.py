"""Where in the scan a sentence comes from, and how much the image supports it.

Both are computed from the image context (keys and values at the places of the image tokens), so
that only the text runs through the network again:

support  Log-likelihood of the sentence with the image minus without it, in nats. "Without" is
         the same prompt with image tokens that are all zero: the language prior alone.
heat     What each image token adds to the log-likelihood: the gradient with respect to its keys
         and values times their difference from those of the zero image, summed over layers, heads
         and channels. Positive values are kept. The gradient goes through the sentence and the
         question; the sentences before it are constant.

docs/evidence.md compares this method with others, and says what it costs and what it cannot show.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from napari_ct_assistant.backends.heat_map import Evidence, HeatMap
from napari_ct_assistant.backends.volume_language.image_attention import UnknownAttentionError
from napari_ct_assistant.backends.volume_language.packed_text import Span
from napari_ct_assistant.backends.volume_language.prefix_cache import PrefixCache, Row
from napari_ct_assistant.backends.volume_language.span_gradients import (
    SpanGradient,
    one_by_one,
    side_by_side,
)
from napari_ct_assistant.volume import CTVolume, ModelGrid


class Attributor:
    """Finds the evidence for statements about one scan.

    Parameters
    ----------
    context : PrefixCache
    grid : ModelGrid
        Where the model's input lies in the scan.
    volume : CTVolume

    Attributes
    ----------
    token_shape : (int, int, int)
        Image tokens along the volume's (I, P, L).
    token_affine : float64 [4, 4]
        Index of an image token -> RAS mm of its centre.
    """

    def __init__(self, context: PrefixCache, grid: ModelGrid, volume: CTVolume):
        self.context = context
        self._volume = volume
        perceiver: Any = context.loaded.model.projector.perceiver
        # An image token stands for kernel^3 patches.
        self.token_shape: tuple[int, int, int] = perceiver.output_grid
        (d, h, w), k = self.token_shape, perceiver.kernel
        (p, q, r) = grid.patch
        token = (p * k, q * k, r * k)
        box = (d * token[0], h * token[1], w * token[2])
        self.token_affine = ModelGrid(box, token, grid.affine).token_affine
        # A token that has attended to the whole scan stands for no place in it.
        self.spatial = bool(getattr(perceiver, "spatial", True))

    def attribute(
        self, question: list[int], answer: list[int], spans: Sequence[Span]
    ) -> list[Evidence]:
        """Return the evidence for parts of an answer.

        Parameters
        ----------
        question, answer
            Token ids.
        spans : list of (begin, end)
            Parts of the answer, in tokens.
        """
        with torch.no_grad():
            blind = self.context.log_likelihoods([(question, answer)], self.context.blind_cache())[
                0
            ]
        parameters = list(self.context.loaded.model.parameters())
        flags = [parameter.requires_grad for parameter in parameters]
        try:
            for parameter in parameters:
                parameter.requires_grad_(False)
            try:
                gradients = self.gradients(question, answer, spans)
            except torch.OutOfMemoryError:
                # The heat needs a graph; the support does not.
                with torch.no_grad():
                    (seen,) = self.context.log_likelihoods([(question, answer)])
                gradients = [
                    SpanGradient(seen[a:b].sum(), None) if b > a else None for a, b in spans
                ]
        finally:
            for parameter, flag in zip(parameters, flags, strict=True):
                parameter.requires_grad_(flag)
        results = []
        for (a, b), found in zip(spans, gradients, strict=True):
            if found is None:
                results.append(Evidence.of(None, None, self._volume))
                continue
            support = float(found.log_likelihood - blind[a:b].sum())
            heat = None
            if found.attributions is not None and self.spatial:
                on_grid = found.attributions.cpu().numpy().reshape(self.token_shape)
                heat = HeatMap.from_attributions(on_grid, self.token_affine)
            results.append(Evidence.of(support, heat, self._volume))
        return results

    def supports(self, statements: Sequence[Row]) -> list[float]:
        """Return the support of several statements, computed as one batch; no heat."""
        with torch.no_grad():
            seen = self.context.log_likelihoods(statements)
            blind = self.context.log_likelihoods(statements, self.context.blind_cache())
        return [float((s - b).sum()) for s, b in zip(seen, blind, strict=True)]

    def gradients(
        self, question: list[int], answer: list[int], spans: Sequence[Span]
    ) -> list[SpanGradient | None]:
        """Return what the image tokens add to parts of an answer; None for an empty part."""
        try:
            return side_by_side(self.context, question, answer, spans)
        except UnknownAttentionError:
            return one_by_one(self.context, question, answer, spans)
