"""Where in the scan a sentence comes from, and how much the image supports it.

Both are computed from the image context (keys and values at the places of the image tokens), so
that only the text runs through the network again:

support  Log-likelihood of the sentence with the image minus without it, in nats. "Without" is
         the same prompt with image tokens that are all zero: the language prior alone.
heat     What each image token adds to the log-likelihood: the gradient with respect to its keys
         and values times their difference from those of the zero image, summed over layers, heads
         and channels. Positive values are kept. One backward pass through the text for each
         sentence.

docs/evidence.md compares this method with others, and says what it costs and what it cannot show.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

import torch
from torch import Tensor
from transformers import DynamicCache

from napari_ct_assistant.backends.heat_map import Evidence, HeatMap
from napari_ct_assistant.backends.volume_language.prefix_cache import PrefixCache, Row, scored
from napari_ct_assistant.volume import CTVolume, ModelGrid

PART: Final = 24  # tokens that run together at least


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
        self, question: list[int], answer: list[int], spans: Sequence[tuple[int, int]]
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
            attributions: list[Tensor | None]
            try:
                seen, attributions = self.attributions(question, answer, spans)
            except torch.OutOfMemoryError:
                # The heat needs a graph; the support does not.
                with torch.no_grad():
                    seen = self.context.log_likelihoods([(question, answer)])[0]
                attributions = [None] * len(spans)
        finally:
            for parameter, flag in zip(parameters, flags, strict=True):
                parameter.requires_grad_(flag)
        results = []
        for (a, b), values in zip(spans, attributions, strict=True):
            support = float((seen[a:b] - blind[a:b]).sum()) if b > a else None
            heat = None
            if values is not None and self.spatial:
                on_grid = values.float().cpu().numpy().reshape(self.token_shape)
                heat = HeatMap.from_attributions(on_grid, self.token_affine)
            results.append(Evidence.of(support, heat, self._volume))
        return results

    def supports(self, statements: Sequence[Row]) -> list[float]:
        """Return the support of several statements, computed as one batch; no heat."""
        with torch.no_grad():
            seen = self.context.log_likelihoods(statements)
            blind = self.context.log_likelihoods(statements, self.context.blind_cache())
        return [float((s - b).sum()) for s, b in zip(seen, blind, strict=True)]

    def attributions(
        self, question: list[int], answer: list[int], spans: Sequence[tuple[int, int]]
    ) -> tuple[Tensor, list[Tensor | None]]:
        """Return what the image tokens add to an answer.

        Returns
        -------
        log_likelihoods : Tensor [answer]
            Of each token of the answer, with the image.
        attributions : list of Tensor [n] or None
            For each span, what each of the n image tokens adds; None for an empty span.
        """
        context = self.context
        cache = copy.copy(context.cache)
        cache.layers = [copy.copy(layer) for layer in cache.layers]
        leaves: list[Tensor] = []
        for layer in cache.layers:
            layer.keys = layer.keys.detach().requires_grad_(True)
            layer.values = layer.values.detach().requires_grad_(True)
            leaves += [layer.keys, layer.values]
        blind = [t for layer in context.blind_cache().layers for t in (layer.keys, layer.values)]
        with torch.enable_grad():
            parts = self._parts(question, answer, spans, cache)
        found: list[Tensor | None] = []
        for a, b in spans:
            if b <= a:
                found.append(None)
                continue
            # Only parts that the span is in, so that the way back does not begin behind it.
            likelihood = sum(
                part[max(a - begin, 0) : b - begin].sum()
                for begin, part in parts
                if begin < b and a < begin + len(part)
            )
            gradients = torch.autograd.grad(likelihood, leaves, retain_graph=True)
            total = torch.zeros(len(context.prefix), device=leaves[0].device)
            for gradient, leaf, without in zip(gradients, leaves, blind, strict=True):
                # [1, heads, prefix, channels] -> [prefix]
                total += (gradient * (leaf.detach() - without)).float().sum((0, 1, 3))
            found.append(total[context.is_image.to(total.device)])
        return torch.cat([part.detach() for _, part in parts]), found

    def _parts(
        self,
        question: list[int],
        answer: list[int],
        spans: Sequence[tuple[int, int]],
        cache: DynamicCache,
    ) -> list[tuple[int, Tensor]]:
        """Return the log-likelihoods of an answer's tokens in parts, each with where it begins.

        The text runs through the network part by part, each behind the one before in the cache:
        no sentence depends on those that follow, and the way back from it leaves them out.
        """
        model: Any = self.context.loaded.model
        ids = torch.tensor([question + answer[:-1]], device=model.device)
        ends = [0]
        for begin, _ in spans:
            if begin - ends[-1] >= PART and len(answer) - begin >= PART:
                ends.append(begin)
        ends.append(len(answer))
        found = []
        for begin, end in pairwise(ends):
            # The token before an answer's first one is the question's last.
            first = len(question) - 1 + begin if begin else 0
            logits = model(
                input_ids=ids[:, first : len(question) - 1 + end],
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=end - begin,
            ).logits.float()
            found.append((begin, scored(logits[0], answer[begin:end])))
        return found
