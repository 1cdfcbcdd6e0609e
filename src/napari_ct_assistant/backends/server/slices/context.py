"""One scan as slices, whose questions a server answers."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from napari_ct_assistant.backends.heat_map import Evidence
from napari_ct_assistant.backends.protocol import (
    GeneratedText,
    OnText,
    PreparedScan,
    Prompt,
    Statement,
)
from napari_ct_assistant.backends.server.errors import ServerError
from napari_ct_assistant.backends.server.salt import cache_salt
from napari_ct_assistant.backends.server.slices.messages import (
    ChatPrompt,
    Message,
    image_parts,
    messages,
)
from napari_ct_assistant.backends.server.slices.served_model import ServedSliceModel
from napari_ct_assistant.backends.settings import GenerationSettings
from napari_ct_assistant.backends.slices import SliceInput, blank_images, encoded
from napari_ct_assistant.backends.slices.preset import SlicePreset
from napari_ct_assistant.backends.slices.questions import SliceQuestions
from napari_ct_assistant.support.translation import said

AT_ONCE: Final = 8


class ServedSlicesContext(SliceQuestions):
    """An `ImageContext` of a slice model on a server.

    Parameters
    ----------
    loaded : ServedSliceModel
    scan : PreparedScan
    images : list of dict, optional
        What is sent of the scan; its slices when absent.
    """

    def __init__(
        self, loaded: ServedSliceModel, scan: PreparedScan, images: list[Message] | None = None
    ):
        self.loaded = loaded
        self.scan = scan
        self.notes: tuple[str, ...] = ()
        self.seconds: dict[str, float] = {}
        self.vision_tokens = self.image_tokens = None
        self.prompt_tokens: int | None = None
        self.cached_tokens: int | None = None
        self._salt = cache_salt(scan.volume.fingerprint)
        self._shown = SliceInput(scan.volume, loaded.preset, scan.slices)
        self._images = image_parts(self._shown.files(), loaded.preset) if images is None else images

    # ---- questions

    @property
    def preset(self) -> SlicePreset:
        """How the model is shown a scan."""
        return self.loaded.preset

    def prompt(
        self,
        question: str,
        *,
        history: Sequence[tuple[str, str]] = (),
        choices: Sequence[str] = (),
        region: str = "",
        text_only: bool = False,
        thinking: bool | None = None,
    ) -> ChatPrompt:
        """Render a question after all earlier turns: the server says if they are too long."""
        words = self.loaded.choices_question(question, choices) if choices else question
        if region:
            words = f"{region} {words}"
        turns = () if text_only else tuple(history)
        return ChatPrompt(
            [],
            len(turns),
            region_used=bool(region),
            text_only=text_only,
            turns=turns,
            question=words,
            reasoning=thinking,
        )

    def answer_ids(self, answer: str) -> list[int]:  # noqa: ARG002
        """Return nothing: the server has the tokenizer."""
        return []

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
        loaded = self.loaded
        loaded.check_agreed()
        settings = settings or loaded.settings
        most = settings.max_new_tokens or loaded.preset.max_new_tokens
        if loaded.window:
            most = min(most, max(loaded.window // 4, 1))
        answered = loaded.client.chat(
            loaded.served_name,
            self._messages(prompt),
            self._body(prompt)
            | {
                "max_tokens": most,
                "temperature": max(settings.temperature, 0.0),
                "top_p": settings.top_p if settings.temperature > 0 else 1.0,
                "repetition_penalty": settings.repetition_penalty,
            },
            on_text=on_text,
            on_reasoning=on_reasoning,
            cancel=cancel,
        )
        self.prompt_tokens, self.cached_tokens = answered.prompt_tokens, answered.cached_tokens
        return GeneratedText(
            text=answered.text,
            ids=list(answered.ids or ()),
            seconds_first_token=answered.seconds_first_token,
            stopped=answered.stopped,
            cut=not answered.stopped and answered.finish != "stop",
            reasoning=answered.reasoning.strip(),
        )

    def yes_probabilities(self, questions: Sequence[str], *, blind: bool = False) -> list[float]:
        """Return the probability of "Yes" as first token, against "No", for each question.

        "yes" and "no" in small letters count, too. A server tells of the 20 likeliest tokens; an
        answer that is not among them counts with the probability of the last.
        """
        self.loaded.check_agreed()
        images = self._blank() if blind else self._images

        def one(question: str) -> float:
            pair = self._first_words(self.prompt(question, thinking=False), images, ("yes", "no"))
            if pair is None:
                raise ServerError(
                    said(
                        "{name}: the model begins its answer with neither yes nor no; this "
                        "model cannot be screened",
                        name=self.loaded.info.name,
                    )
                )
            return pair[0]

        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(one, questions))

    def choice_probabilities(self, prompt: Prompt, choices: Sequence[str]) -> list[float]:
        """Return the probability that the answer begins with each choice's letter."""
        self.loaded.check_agreed()
        letters = [chr(ord("a") + i) for i in range(len(choices))]
        return self._first_words(prompt, self._images, letters) or []

    # ---- evidence

    def supports(self, statements: Sequence[Statement]) -> list[float]:
        """Raise: a server does not tell how likely a given text is.

        Raises
        ------
        ServerError
        """
        raise ServerError(
            said(
                "{name}: a slice model on a server does not tell how likely a given text is "
                "({count} asked for); load the model on this computer for that",
                name=self.loaded.info.name,
                count=len(statements),
            )
        )

    def attribute(
        self,
        prompt: Prompt,  # noqa: ARG002
        answer: Sequence[int],  # noqa: ARG002
        spans: Sequence[tuple[int, int]] | None = None,
    ) -> list[Evidence]:
        """Return no evidence: the method needs the model's gradients."""
        return [Evidence()] * (1 if spans is None else len(spans))

    def without_image(self) -> ServedSlicesContext:
        """Return the context of slices without content."""
        return ServedSlicesContext(self.loaded, self.scan, self._blank())

    # ---- how

    def _blank(self) -> list[Message]:
        preset = self.loaded.preset
        sizes = [(image.shape[0], image.shape[1]) for image in self.scan.pixel_values]
        files = [
            encoded(image, preset.encoding, preset.jpeg_quality) for image in blank_images(sizes)
        ]
        return image_parts(files, preset)

    def _messages(self, prompt: Prompt, images: list[Message] | None = None) -> list[Message]:
        if not isinstance(prompt, ChatPrompt):
            raise TypeError("the prompt is of another model")
        shown = self._images if images is None else images
        return messages(self.loaded.preset, shown, self.scan.region, prompt)

    def _body(self, prompt: Prompt) -> dict[str, Any]:
        body: dict[str, Any] = {"cache_salt": self._salt}
        reasoning = getattr(prompt, "reasoning", None)
        if reasoning is not None:
            # What templates of models that can reason call it; others ignore it.
            body["chat_template_kwargs"] = {"enable_thinking": reasoning}
        return body

    def _first_words(
        self, prompt: Prompt, images: list[Message], words: Sequence[str]
    ) -> list[float] | None:
        """Return the probabilities of first words of an answer, renormalised over them."""
        found = self.loaded.client.first_words(
            self.loaded.served_name,
            self._messages(prompt, images),
            self._body(prompt) | {"temperature": 0.0},
        )
        sums = dict.fromkeys(words, 0.0)
        for token, logarithm in found.items():
            word = token.strip().strip(".:)").lower()
            if word in sums:
                sums[word] += math.exp(logarithm)
        if not any(sums.values()):
            return None
        least = math.exp(min(found.values()))
        values = [value or least for value in sums.values()]
        return [value / sum(values) for value in values]
