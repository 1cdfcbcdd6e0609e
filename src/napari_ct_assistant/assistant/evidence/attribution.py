"""Where in the scan a sentence comes from, and how much the image supports it.

Both are read off the language model's own cache of the image (keys and values at the image
tokens' places), so that only the text runs through the network again:

support  log-likelihood of the sentence with the image minus without it, in nats. "Without" is
         the same prompt after image tokens that are all zero: the same for every scan, so what
         the model says of that image is what it says of no scan at all.
heat     what each image token adds to the log-likelihood: gradient with respect to its keys and
         values times their difference from the blind ones, summed over layers, heads and
         channels. What is positive is kept. One backward pass over the text a sentence.

Why so, what it costs and what it cannot tell: docs/evidence.md.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import DynamicCache

from napari_ct_assistant.assistant.evidence.heat_map import Evidence, HeatMap
from napari_ct_assistant.volume import CTVolume, ModelGrid

if TYPE_CHECKING:
    from napari_ct_assistant.assistant.models.loading import Assistant

Statement = tuple[list[int], list[int]]  # ids of a question, ids of what is said to it


class Attributor:
    """Traces what a model said about one scan.

    Parameters
    ----------
    assistant : Assistant
    prefix : list of int
        Ids before every question, the image tokens among them (`processor.prefix_ids`).
    cache : DynamicCache
        Of the prefix, with the scan's image tokens.
    grid, volume
        Where the tokens lie.
    """

    def __init__(
        self,
        assistant: Assistant,
        prefix: list[int],
        cache: DynamicCache,
        grid: ModelGrid,
        volume: CTVolume,
    ):
        self._assistant = assistant
        self._prefix = prefix
        image_id = assistant.processor.image_token_id
        self._is_image = torch.tensor([i == image_id for i in prefix])
        if self._is_image.sum() > self._model.num_image_tokens:
            self._is_image[0] = False  # M3D without BOS: one image word more than image tokens
        self._cache = cache
        self._blind: DynamicCache | None = None
        self._volume = volume
        perceiver = self._model.projector.perceiver
        # A perceiver's token stands for kernel^3 patches.
        self._shape = perceiver.output_grid
        merged = tuple(p * perceiver.kernel for p in grid.patch)
        box = tuple(n * p for n, p in zip(self._shape, merged, strict=True))
        self._affine = ModelGrid(box, merged, grid.affine).token_affine

    @property
    def _model(self) -> Any:
        # Not kept here: a closed assistant's memory is free at once.
        return self._assistant.model

    def blind_cache(self) -> DynamicCache:
        """Return the cache of the prefix with an image that is zero; made once."""
        if self._blind is None:
            width = self._model.config.text_config.hidden_size
            image = torch.zeros(1, int(self._is_image.sum()), width, device=self._model.device)
            self._blind = fill_cache(self._model, self._prefix, image.to(self._model.dtype))
        return self._blind

    def trace(
        self, question: list[int], answer: list[int], spans: Sequence[tuple[int, int]]
    ) -> list[Evidence]:
        """Find the evidence of an answer's parts.

        Parameters
        ----------
        question, answer
            Ids of what was asked and of what was said.
        spans : list of (begin, end)
            Parts of the answer, in tokens.
        """
        model = self._model
        with torch.no_grad():
            blind = self._log_likelihoods([(question, answer)], self.blind_cache())[0]
        flags = [(p, p.requires_grad) for p in model.parameters()]
        try:
            for parameter, _ in flags:
                parameter.requires_grad_(False)
            shares: list[Tensor | None]
            try:
                seen, shares = self._seen_with_shares(question, answer, spans)
            except torch.OutOfMemoryError:
                # The heat needs a graph; the support does not.
                with torch.no_grad():
                    seen = self._log_likelihoods([(question, answer)], self._cache)[0]
                shares = [None] * len(spans)
        finally:
            for parameter, flag in flags:
                parameter.requires_grad_(flag)
        results = []
        for (a, b), share in zip(spans, shares, strict=True):
            support = float((seen[a:b] - blind[a:b]).sum()) if b > a else None
            heat = None
            if share is not None:
                values = share.float().cpu().numpy().reshape(self._shape)
                heat = HeatMap.from_attributions(values, self._affine)
            results.append(Evidence.of(support, heat, self._volume))
        return results

    def supports(self, statements: Sequence[Statement]) -> list[float]:
        """Return the support of several statements, each its own batch row; no heat."""
        with torch.no_grad():
            seen = self._log_likelihoods(statements, self._cache)
            blind = self._log_likelihoods(statements, self.blind_cache())
        return [float((s - b).sum()) for s, b in zip(seen, blind, strict=True)]

    def chances(self, question: list[int], answers: Sequence[list[int]]) -> list[float]:
        """Return the chance of each of several answers, renormalised over them."""
        with torch.no_grad():
            said = self._log_likelihoods([(question, ids) for ids in answers], self._cache)
        return torch.stack([tokens.sum() for tokens in said]).softmax(0).tolist()

    # ---- how

    def _seen_with_shares(
        self, question: list[int], answer: list[int], spans: Sequence[tuple[int, int]]
    ) -> tuple[Tensor, list[Tensor | None]]:
        """Return each token's log-likelihood [answer], and each span's share [n] by image token."""
        cache = copy.deepcopy(self._cache)
        leaves: list[Tensor] = []
        for layer in cache.layers:
            layer.keys = layer.keys.detach().requires_grad_(True)
            layer.values = layer.values.detach().requires_grad_(True)
            leaves += [layer.keys, layer.values]
        blind = [t for layer in self.blind_cache().layers for t in (layer.keys, layer.values)]
        with torch.enable_grad():
            seen = self._log_likelihoods([(question, answer)], cache, copied=True)[0]
        shares: list[Tensor | None] = []
        for a, b in spans:
            if b <= a:
                shares.append(None)
                continue
            gradients = torch.autograd.grad(seen[a:b].sum(), leaves, retain_graph=True)
            share = torch.zeros(len(self._prefix), device=seen.device)
            for gradient, leaf, without in zip(gradients, leaves, blind, strict=True):
                # [1, heads, prefix, channels] -> [prefix]
                share += (gradient * (leaf.detach() - without)).float().sum((0, 1, 3))
            shares.append(share[self._is_image.to(share.device)])
        return seen.detach(), shares

    def _log_likelihoods(
        self, statements: Sequence[Statement], cache: DynamicCache, *, copied: bool = False
    ) -> list[Tensor]:
        """Return the log-likelihood of each token said, [answer] a statement."""
        rows = [question + answer for question, answer in statements]
        logits = _logits(self._model, cache, rows, copied=copied)
        found = []
        for row, (question, answer) in zip(logits, statements, strict=True):
            begin, end = len(question) - 1, len(question) + len(answer) - 1
            target = torch.tensor(answer, device=logits.device)
            chances = row[begin:end].log_softmax(-1)
            found.append(chances.gather(1, target[:, None])[:, 0])
        return found


def fill_cache(model: Any, prefix: list[int], image: Tensor) -> DynamicCache:
    """Return the cache of a prefix. image: [1, n, hidden_size]."""
    cache = DynamicCache(config=model.config.text_config)
    with torch.no_grad():
        ids = torch.tensor([prefix], device=model.device)
        model(
            inputs_embeds=model.embed(ids, image),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
    return cache


def next_token_probabilities(
    model: Any, cache: DynamicCache, rows: Sequence[list[int]], among: Sequence[int]
) -> Tensor:
    """Return the chance of some tokens, renormalised over them, after each row. [rows, among]."""
    with torch.no_grad():
        logits = _logits(model, cache, rows)
    last = torch.stack([logits[i, len(row) - 1] for i, row in enumerate(rows)])
    return last[:, list(among)].softmax(-1)


def _logits(
    model: Any, cache: DynamicCache, rows: Sequence[list[int]], *, copied: bool = False
) -> Tensor:
    """Return the logits of rows of text behind a shared prefix, [rows, longest, vocabulary].

    Padded on the right: a row's own tokens never see its padding.
    """
    length = max(map(len, rows))
    ids = torch.tensor([row + [0] * (length - len(row)) for row in rows])
    if not copied:
        cache = copy.deepcopy(cache)
        cache.batch_repeat_interleave(len(rows))
    logits: Tensor = model(
        input_ids=ids.to(model.device), past_key_values=cache, use_cache=True
    ).logits
    return logits.float()
