"""One scan in the prefix cache, behind the protocol of an image context."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from torch import Tensor, zeros_like

from napari_ct_assistant.backends.heat_map import Evidence
from napari_ct_assistant.backends.protocol import (
    GeneratedText,
    OnText,
    PreparedScan,
    Prompt,
    Statement,
)
from napari_ct_assistant.backends.settings import GenerationSettings
from napari_ct_assistant.backends.streaming import token_spans
from napari_ct_assistant.backends.volume_language.attribution import Attributor
from napari_ct_assistant.backends.volume_language.generation import generate
from napari_ct_assistant.backends.volume_language.loaded_model import LoadedModel
from napari_ct_assistant.backends.volume_language.prefix_cache import PrefixCache
from napari_ct_assistant.backends.volume_language.questions import QuestionForms
from napari_ct_assistant.model.errors import ModelLoadError
from napari_ct_assistant.support.translation import said


class VolumeLanguageContext(QuestionForms):
    """An `ImageContext` of this family.

    Parameters
    ----------
    loaded : LoadedModel
    scan : PreparedScan
    vision_tokens : Tensor [1, N, output_size]
        The encoder's output for the scan.
    image_tokens : Tensor [1, n, hidden_size]
        The perceiver's output for the scan.
    notes : tuple of str
        What the reader should know about the scan as the encoder sees it.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        scan: PreparedScan,
        vision_tokens: Tensor,
        image_tokens: Tensor,
        notes: tuple[str, ...] = (),
    ):
        config = loaded.model.config
        window = getattr(config.text_config, "max_position_embeddings", None)
        super().__init__(loaded.processor, config, window)
        self.loaded = loaded
        self.scan = scan
        self.vision_tokens = vision_tokens
        self.image_tokens = image_tokens
        self.notes = notes
        self.seconds: dict[str, float] = {}
        self.prefix_cache = PrefixCache(loaded, image_tokens)
        self.attributor = Attributor(self.prefix_cache, scan.grid, scan.volume)

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
        """Generate the answer to a question."""
        return generate(
            self.prefix_cache,
            prompt.ids,
            on_text=on_text,
            on_reasoning=on_reasoning,
            cancel=cancel,
            settings=settings,
            text_only=prompt.text_only,
        )

    def yes_probabilities(self, questions: Sequence[str], *, blind: bool = False) -> list[float]:
        """Return the probability of "Yes" as first token, against "No", for each question.

        Raises
        ------
        ModelLoadError
            If the model's tokenizer cannot tell the two answers apart by their first token.
        """
        processor, cache = self.loaded.processor, self.prefix_cache
        yes, no = (processor.answer_ids(word)[0] for word in ("Yes", "No"))
        if yes == no:
            raise ModelLoadError(
                said(
                    "{name}: its tokenizer starts Yes and No with the same token; this model "
                    "cannot be screened",
                    name=self.loaded.info.name,
                )
            )
        rows = [processor.question_ids(question) for question in questions]
        keys = cache.blind_cache() if blind else cache.cache
        found: list[float] = cache.next_token_probabilities(rows, [yes, no], keys)[:, 0].tolist()
        return found

    def choice_probabilities(self, prompt: Prompt, choices: Sequence[str]) -> list[float]:
        """Return the probability that the answer begins by choosing each; [] if alike."""
        processor = self.loaded.processor
        begins = [self.answer_ids(text) for text in processor.choice_beginnings(choices)]
        if len({tuple(ids) for ids in begins}) < len(begins):
            return []
        return self.prefix_cache.answer_probabilities(prompt.ids, begins)

    # ---- evidence

    def supports(self, statements: Sequence[Statement]) -> list[float]:
        """Return how much the image supports each statement, in nats."""
        return self.attributor.supports([(prompt.ids, answer) for prompt, answer in statements])

    def attribute(
        self,
        prompt: Prompt,
        answer: Sequence[int],
        spans: Sequence[tuple[int, int]] | None = None,
    ) -> list[Evidence]:
        """Return the evidence for parts of an answer; spans: characters, the whole if absent."""
        ids = list(answer)
        if spans is None:
            return self.attributor.attribute(prompt.ids, ids, [(0, len(ids))])
        where = token_spans(self.loaded.processor.tokenizer, ids, spans)
        return self.attributor.attribute(prompt.ids, ids, where)

    def without_image(self) -> VolumeLanguageContext:
        """Return the context in which every image token is zero."""
        return VolumeLanguageContext(
            self.loaded, self.scan, self.vision_tokens, zeros_like(self.image_tokens), self.notes
        )
