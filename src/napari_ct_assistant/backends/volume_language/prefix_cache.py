"""One scan in the language model's key-value cache, shared by all questions.

Every prompt begins with the same prefix, which holds the image tokens. Its keys and values are
computed once; a question or an answer then costs only its own tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from napari_ct_assistant.backends.cache_copies import copied
from napari_ct_assistant.backends.volume_language.loaded_model import LoadedModel

Row = tuple[list[int], list[int]]  # token ids of a question, token ids of an answer to it


class PrefixCache:
    """The prefix of every prompt about one scan, with its key-value cache.

    Parameters
    ----------
    loaded : LoadedModel
    image_tokens : Tensor [1, n, hidden_size]
        The perceiver's output for the scan.

    Attributes
    ----------
    prefix : list of int
        Token ids that come before every question, the places of the image tokens among them.
    is_image : bool Tensor [prefix]
        Which of these are image tokens.
    cache : DynamicCache
        Keys and values of the prefix. A call may extend it and must cut it back again.
    """

    def __init__(self, loaded: LoadedModel, image_tokens: Tensor):
        self.loaded = loaded
        self.image_tokens = image_tokens
        self.prefix: list[int] = loaded.processor.prefix_ids()
        image_id = loaded.processor.image_token_id
        self.is_image = torch.tensor([i == image_id for i in self.prefix])
        if self.is_image.sum() > loaded.model.num_image_tokens:
            self.is_image[0] = False  # M3D without BOS: one image word more than image tokens
        self.cache = self._filled(image_tokens)
        self._blind: DynamicCache | None = None

    def blind_cache(self) -> DynamicCache:
        """Return the cache of the prefix with image tokens that are all zero; computed once.

        It is the same for every scan: with it, the model answers from its language prior alone.
        """
        if self._blind is None:
            model: Any = self.loaded.model
            width = model.config.text_config.hidden_size
            image = torch.zeros(1, int(self.is_image.sum()), width, device=model.device)
            self._blind = self._filled(image.to(model.dtype))
        return self._blind

    def log_likelihoods(
        self,
        statements: Sequence[Row],
        cache: DynamicCache | None = None,
        *,
        in_place: bool = False,
    ) -> list[Tensor]:
        """Return the log-likelihood of each token of each statement's answer, a [answer] each.

        Parameters
        ----------
        statements
            One batch.
        cache
            Of the prefix; the scan's own when absent.
        in_place
            `cache` has a row for each statement already and may be extended; otherwise a copy
            of it is.
        """
        # What follows an answer's last token is not asked.
        rows = [question + answer[:-1] for question, answer in statements]
        first = min(len(question) - 1 for question, _ in statements)
        logits = self._logits(
            rows, self.cache if cache is None else cache, first, in_place=in_place
        )
        found = []
        for row, (question, answer) in zip(logits, statements, strict=True):
            begin = len(question) - 1 - first
            found.append(scored(row[begin : begin + len(answer)], answer))
        return found

    def next_token_probabilities(
        self, rows: Sequence[list[int]], among: Sequence[int], cache: DynamicCache | None = None
    ) -> Tensor:
        """Return the probabilities of some tokens after each row of token ids. [rows, among].

        They are renormalised over `among`.
        """
        with torch.no_grad():
            first = min(map(len, rows)) - 1
            logits = self._logits(rows, self.cache if cache is None else cache, first)
        last = torch.stack([logits[i, len(row) - 1 - first] for i, row in enumerate(rows)])
        return last[:, list(among)].softmax(-1)

    def answer_probabilities(
        self, question: list[int], answers: Sequence[list[int]]
    ) -> list[float]:
        """Return the probability of each of several answers, renormalised over them."""
        with torch.no_grad():
            tokens = self.log_likelihoods([(question, answer) for answer in answers])
        return torch.stack([one.sum() for one in tokens]).softmax(0).tolist()

    def _filled(self, image: Tensor) -> DynamicCache:
        """Return the prefix's cache with these image tokens. image: [1, n, hidden_size]."""
        model: Any = self.loaded.model
        cache = DynamicCache(config=model.config.text_config)
        with torch.no_grad():
            ids = torch.tensor([self.prefix], device=model.device)
            model(
                inputs_embeds=model.embed(ids, image),
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
        return cache

    def _logits(
        self,
        rows: Sequence[list[int]],
        cache: DynamicCache,
        first: int,
        *,
        in_place: bool = False,
    ) -> Tensor:
        """Return the logits of rows of text behind the prefix, [rows, longest - first, vocabulary].

        Padded on the right: a row's own tokens never see its padding. Those after a row's first
        tokens, `first` of them, are left out.
        """
        length = max(map(len, rows))
        ids = torch.tensor([row + [0] * (length - len(row)) for row in rows])
        model: Any = self.loaded.model
        logits: Tensor = model(
            input_ids=ids.to(model.device),
            past_key_values=cache if in_place else copied(cache, len(rows)),
            use_cache=True,
            logits_to_keep=length - first,
        ).logits
        return logits.float()


def scored(logits: Tensor, tokens: list[int]) -> Tensor:
    """Return the log-likelihood of each token. logits: [tokens, vocabulary] -> [tokens]."""
    target = torch.tensor(tokens, device=logits.device)[:, None]
    return logits.log_softmax(-1).gather(1, target)[:, 0]
