"""One scan, encoded here, whose questions a server answers."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import torch
from torch import Tensor

from napari_ct_assistant.backends.heat_map import Evidence
from napari_ct_assistant.backends.protocol import (
    GeneratedText,
    OnText,
    PreparedScan,
    Prompt,
    Statement,
)
from napari_ct_assistant.backends.reasoning_text import answer_tokens
from napari_ct_assistant.backends.server.errors import ServerError
from napari_ct_assistant.backends.server.salt import cache_salt
from napari_ct_assistant.backends.server.volumes.payload import payload
from napari_ct_assistant.backends.server.volumes.served_model import ServedVolumeModel
from napari_ct_assistant.backends.settings import GenerationSettings
from napari_ct_assistant.backends.volume_language.questions import QuestionForms
from napari_ct_assistant.model.errors import ModelLoadError
from napari_ct_assistant.support.translation import said

# Requests at a time: the server computes them as one batch.
AT_ONCE: Final = 8


class ServedVolumeContext(QuestionForms):
    """An `ImageContext` whose language model is on a server.

    Every prompt begins with the same bytes: what precedes the image, and the image. The server
    computes them once and finds them in its prefix cache afterwards.

    Parameters
    ----------
    loaded : ServedVolumeModel
    scan : PreparedScan
    vision_tokens : Tensor [1, N, output_size]
    image_tokens : Tensor [1, n, hidden_size]
    notes : tuple of str
    """

    def __init__(
        self,
        loaded: ServedVolumeModel,
        scan: PreparedScan,
        vision_tokens: Tensor,
        image_tokens: Tensor,
        notes: tuple[str, ...] = (),
    ):
        own = getattr(loaded.model.config.text_config, "max_position_embeddings", None)
        windows = [w for w in (own, loaded.window, loaded.served.max_model_len) if w]
        super().__init__(loaded.processor, loaded.model.config, min(windows, default=None))
        self.loaded = loaded
        self.scan = scan
        self.notes = notes
        self.vision_tokens = vision_tokens
        self.image_tokens = image_tokens
        self.seconds: dict[str, float] = {}
        # How much of the last prompt the server found in its cache, for measurements.
        self.prompt_tokens: int | None = None
        self.cached_tokens: int | None = None
        self._salt = cache_salt(scan.volume.fingerprint)
        self._prefix = self._embed(self.processor.prefix_ids(), image_tokens)
        self._blind_prefix: Tensor | None = None

    # ---- answers

    def generate(
        self,
        prompt: Prompt,
        *,
        on_text: OnText | None = None,
        on_reasoning: OnText | None = None,
        cancel: threading.Event | None = None,
        settings: GenerationSettings | None = None,
    ) -> GeneratedText:
        """Generate the answer to a question on the server."""
        self.loaded.check_agreed()
        settings = settings or self.loaded.settings
        prefix = self._embed(self.processor.opening_ids()) if prompt.text_only else self._prefix
        embeddings = self._whole(prefix, prompt.ids)
        most = settings.max_new_tokens or self.processor.max_new_tokens
        room = (self.window or 1 << 20) - len(embeddings)
        if room < 1:
            raise ServerError(
                said(
                    "{name}: the scan, the question and the earlier turns have {count} tokens "
                    "and the context window {window}; clear the conversation, or ask a shorter "
                    "question",
                    name=self.loaded.info.name,
                    count=len(embeddings),
                    window=self.window,
                )
            )
        end = self._end()
        answered = self.loaded.client.complete(
            self.loaded.served_name,
            self._body(embeddings)
            | {
                "max_tokens": min(most, room),
                "temperature": max(settings.temperature, 0.0),
                # All of them, so that no settings of the server's folder have a say.
                "top_p": settings.top_p if settings.temperature > 0 else 1.0,
                "top_k": 0,
                "repetition_penalty": settings.repetition_penalty,
                "stop_token_ids": end,
            },
            on_text=on_text,
            on_reasoning=on_reasoning,
            cancel=cancel,
        )
        self.prompt_tokens, self.cached_tokens = answered.prompt_tokens, answered.cached_tokens
        ids = list(answered.ids or ())
        return GeneratedText(
            text=answered.text,
            ids=answer_tokens(
                self.processor.tokenizer,
                ids[:-1] if ids and ids[-1] in end else ids,
                answered.answer_start,
            ),
            seconds_first_token=answered.seconds_first_token,
            stopped=answered.stopped,
            cut=not answered.stopped and answered.finish != "stop",
            reasoning=answered.reasoning.strip(),
        )

    def yes_probabilities(self, questions: Sequence[str], *, blind: bool = False) -> list[float]:
        """Return the probability of "Yes" as first token, against "No", for each question.

        Raises
        ------
        ModelLoadError
            If the model's tokenizer cannot tell the two answers apart by their first token.
        """
        self.loaded.check_agreed()
        yes, no = (self.processor.answer_ids(word)[0] for word in ("Yes", "No"))
        if yes == no:
            raise ModelLoadError(
                said(
                    "{name}: its tokenizer starts Yes and No with the same token; this model "
                    "cannot be screened",
                    name=self.loaded.info.name,
                )
            )
        prefix = self._blind() if blind else self._prefix

        def one(question: str) -> float:
            ids = self.processor.question_ids(question)
            found = self._next_tokens(self._whole(prefix, ids), [yes, no])
            return 1 / (1 + math.exp(min(found[no] - found[yes], 700.0)))

        return self._at_once(one, questions)

    def choice_probabilities(self, prompt: Prompt, choices: Sequence[str]) -> list[float]:
        """Return the probability that the answer begins by choosing each; [] if alike."""
        begins = [self.answer_ids(text) for text in self.processor.choice_beginnings(choices)]
        if len({tuple(ids) for ids in begins}) < len(begins):
            return []
        self.loaded.check_agreed()
        logs = [self._log_likelihood(self._prefix, prompt.ids, ids) for ids in begins]
        return torch.tensor(logs).softmax(0).tolist()

    # ---- evidence

    def supports(self, statements: Sequence[Statement]) -> list[float]:
        """Return how much the image supports each statement, in nats: two requests for a token."""
        self.loaded.check_agreed()
        return [
            self._log_likelihood(self._prefix, prompt.ids, answer)
            - self._log_likelihood(self._blind(), prompt.ids, answer)
            for prompt, answer in statements
        ]

    def attribute(
        self,
        prompt: Prompt,  # noqa: ARG002
        answer: Sequence[int],  # noqa: ARG002
        spans: Sequence[tuple[int, int]] | None = None,
    ) -> list[Evidence]:
        """Return no evidence: the method needs the language model's gradients."""
        return [Evidence()] * (1 if spans is None else len(spans))

    def without_image(self) -> ServedVolumeContext:
        """Return the context in which every image token is zero."""
        return ServedVolumeContext(
            self.loaded,
            self.scan,
            self.vision_tokens,
            torch.zeros_like(self.image_tokens),
            self.notes,
        )

    # ---- how

    def _embed(self, ids: list[int], image: Tensor | None = None) -> Tensor:
        """Return embeddings in the server's type, [len(ids), hidden_size]."""
        network = self.loaded.model
        with torch.no_grad():
            rows: Tensor = network.embed(torch.tensor([ids], device=network.device), image)[0]
        return rows.to("cpu", self.loaded.dtype)

    def _whole(self, prefix: Tensor, ids: list[int]) -> Tensor:
        return torch.cat([prefix, self._embed(ids)]) if ids else prefix

    def _blind(self) -> Tensor:
        """Return the prefix with image tokens that are all zero: the same for every scan."""
        if self._blind_prefix is None:
            zero = torch.zeros_like(self.image_tokens)
            self._blind_prefix = self._embed(self.processor.prefix_ids(), zero)
        return self._blind_prefix

    def _body(self, embeddings: Tensor) -> dict[str, Any]:
        width = self.loaded.served.hidden_size
        return {"prompt_embeds": payload(embeddings, width), "cache_salt": self._salt}

    def _next_tokens(self, embeddings: Tensor, ids: Sequence[int]) -> dict[int, float]:
        """Return the log-probabilities of tokens after a prompt."""
        client, name = self.loaded.client, self.loaded.served_name
        common = self._body(embeddings) | {"temperature": 0.0, "repetition_penalty": 1.0}
        asked = {"logprobs": 1, "logprob_token_ids": list(ids)}
        found = client.first_token(name, common | asked)
        result = {i: found[f"token_id:{i}"] for i in ids if f"token_id:{i}" in found}
        for missing in set(ids) - set(result):
            # An older server knows no `logprob_token_ids`, but it tells of the token it takes.
            forced = {"logprobs": 1, "allowed_token_ids": [missing]}
            found = client.first_token(name, common | forced)
            if f"token_id:{missing}" not in found:
                raise ServerError(
                    said(
                        "{name}: the server tells no probabilities; it is too old, or they are "
                        "switched off",
                        name=self.loaded.info.name,
                    )
                )
            result[missing] = found[f"token_id:{missing}"]
        return result

    def _log_likelihood(self, prefix: Tensor, question: list[int], answer: Sequence[int]) -> float:
        """Return the log-likelihood of an answer: one request for each of its tokens."""

        def one(position: int) -> float:
            row = self._whole(prefix, question + list(answer[:position]))
            return self._next_tokens(row, [answer[position]])[answer[position]]

        return math.fsum(self._at_once(one, range(len(answer))))

    @staticmethod
    def _at_once(one: Callable[[Any], float], items: Sequence[Any]) -> list[float]:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(one, items))

    def _end(self) -> list[int]:
        """Return the ids of the tokens that end an answer."""
        configured = getattr(self.config.text_config, "eos_token_id", None)
        ids = configured if isinstance(configured, list) else [configured]
        return sorted(
            {int(i) for i in [*ids, self.processor.tokenizer.eos_token_id] if i is not None}
        )
