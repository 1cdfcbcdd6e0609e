"""From a scan and a question to tensors, in the form that a checkpoint expects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from transformers import BatchFeature, PreTrainedTokenizerBase, ProcessorMixin

from napari_ct_assistant.model.format import upgraded
from napari_ct_assistant.model.vision_configuration import Size3D, token_grid
from napari_ct_assistant.report_text.questions import (
    CHOICES_QUESTION,
    FINDING_QUESTION,
    REPORT_QUESTION,
    SCAN_REPORT_QUESTION,
    fill,
)
from napari_ct_assistant.volume import CTVolume, ModelGrid, prepare_as

LETTER_FIRST = "{letter}. {choice}"  # how M3D answers a multiple-choice question
QUESTION_KINDS = ("report", "finding", "choice", "question")


class VolumeLanguageProcessor(ProcessorMixin):
    r"""Prepare volumes and text for a `VolumeLanguageModel`.

    Parameters
    ----------
    tokenizer
        The language model's own.
    image_size, patch_size : (D, H, W)
        Voxels of the model's input box, and of one patch.
    num_image_tokens : int
        Image tokens of one volume (`VolumeLanguageModel.num_image_tokens`).
    preparation : "spacing" or "minmax"
        "spacing" resamples to `spacing` and crops or pads centrally (E3D-GPT). "minmax" scales
        the whole volume to 0-1, crops the foreground and stretches it (M3D, ViT3D-LLaMA3).
    spacing : three floats, mm
        E3D-GPT: 3 x 1.5 x 1.5 (D, H, W).
    hu_range, value_range
        HU window, and the range that it is mapped to. E3D-GPT clips to [-1000, 1000] and does not
        state the range; [0, 1] is our default.
    antialias : bool
        Smooth before downsampling. Off: plain linear interpolation.
    prompt : str
        The text around a question, with {image} and {question}. E3D-GPT does not state its
        prompt; Vicuna's is "USER: {image}\n{question} ASSISTANT:".
    answer_prefix : str
        Text between prompt and answer in the training text.
    report_questions : mapping of section name to question
        The questions whose answers make the report, in order. A later one may quote an earlier
        section, {findings} for the section "Findings"; it is asked without the image. Empty for
        a model that was taught no report.
    finding_question : str
        With {finding}: asks about one of the 18 findings. "" for a model that was not taught it.
    max_new_tokens : int
        Length of the longest answer.
    report_prompt : str, optional
        The text around the report's questions where it differs from `prompt`: M3D puts no space
        between image and question there.
    image_splice : "ids" or "positional"
        As in `VolumeLanguageConfig`. With "positional", the tokenizer gets image tokens and
        question as one text, as in M3D's code.
    choices_form : str
        With {question} and {choices}: a multiple-choice question; M3D's form. "" for a model that
        was not taught it.
    choice_answer : str
        With {letter} and {choice}: the answer to such a question; M3D's form.
    follow_up : str, optional
        With {question}: the text of a later turn. It follows the earlier turns, each of which ends
        with EOS. None for a model that was taught single questions only: it gets no history.
    region_form : str, optional
        With {question} and {region}: a question about a region that the reader has drawn, which
        {region} describes in a sentence. None for a model that was not taught such questions.
    open_questions : bool
        Whether it was taught questions of another kind than these.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        # Not keyword-only: `from_pretrained` drops keyword-only arguments of a saved processor.
        image_size: Size3D = (112, 224, 224),
        patch_size: Size3D = (8, 16, 16),
        num_image_tokens: int = 343,
        preparation: Literal["spacing", "minmax"] = "spacing",
        spacing: Sequence[float] = (3.0, 1.5, 1.5),
        hu_range: Sequence[float] = (-1000.0, 1000.0),
        value_range: Sequence[float] = (0.0, 1.0),
        antialias: bool = False,
        image_token: str = "<image>",  # noqa: S107  a word of the vocabulary
        prompt: str = "USER: {image}\n{question} ASSISTANT:",
        answer_prefix: str = " ",
        report_questions: Mapping[str, str] | None = None,
        finding_question: str = FINDING_QUESTION,
        max_new_tokens: int = 425,
        report_prompt: str | None = None,
        image_splice: Literal["ids", "positional"] = "ids",
        choices_form: str = CHOICES_QUESTION,
        follow_up: str | None = None,
        region_form: str | None = None,
        choice_answer: str = LETTER_FIRST,
        open_questions: bool = True,
    ):
        token_grid(image_size, patch_size)
        for text in filter(None, (prompt, report_prompt)):
            check_prompt(text, image_first=image_splice == "positional")
        if report_prompt and report_prompt.split("{image}")[0] != prompt.split("{image}")[0]:
            raise ValueError(
                f"prompt {prompt!r} and report_prompt {report_prompt!r} must be the same before "
                "{image} (they share the image's cache)"
            )
        self.image_size = tuple(image_size)
        self.patch_size = tuple(patch_size)
        self.num_image_tokens = num_image_tokens
        self.preparation = preparation
        self.spacing = tuple(float(s) for s in spacing)
        self.hu_range = _pair(hu_range)
        self.value_range = _pair(value_range)
        self.antialias = antialias
        self.image_token = image_token
        self.prompt = prompt
        self.answer_prefix = answer_prefix
        self.report_questions = dict(
            {"report": REPORT_QUESTION} if report_questions is None else report_questions
        )
        self.finding_question = finding_question
        self.max_new_tokens = max_new_tokens
        self.report_prompt = report_prompt
        self.image_splice = image_splice
        self.choices_form = choices_form
        if "{letter}" not in choice_answer and "{choice}" not in choice_answer:
            raise ValueError(f"choice_answer needs {{letter}} or {{choice}}, got {choice_answer!r}")
        self.choice_answer = choice_answer
        for name, form in (("follow_up", follow_up), ("region_form", region_form)):
            if form is not None and "{question}" not in form:
                raise ValueError(f"{name} needs {{question}}, got {form!r}")
        self.follow_up = follow_up
        self.region_form = region_form
        self.open_questions = open_questions
        super().__init__(tokenizer)

    @classmethod
    def from_args_and_dict(cls, args: Any, processor_dict: dict[str, Any], **kwargs: Any) -> Any:
        """Build from the content of a `processor_config.json`, of today's or an older format."""
        return super().from_args_and_dict(args, upgraded(processor_dict), **kwargs)

    # ---- the scan

    def prepare_volume(self, volume: CTVolume) -> tuple[Tensor, ModelGrid]:
        """Return the model's input for a scan.

        Returns
        -------
        pixel_values : Tensor [1, 1, D, H, W]
        grid : ModelGrid
            Where the input lies in the scan.
        """
        values, grid = prepare_as(volume, self)
        return torch.from_numpy(np.ascontiguousarray(values))[None, None], grid

    # ---- what it was taught

    @property
    def untaught(self) -> tuple[str, ...]:
        """The kinds of question that training did not ask: some of `QUESTION_KINDS`."""
        taught = (
            self.report_questions,
            self.finding_question,
            self.choices_form,
            self.open_questions,
        )
        return tuple(kind for kind, it in zip(QUESTION_KINDS, taught, strict=True) if not it)

    @property
    def report_forms(self) -> dict[str, str]:
        """`report_questions`, or what a model is asked that was taught no report."""
        return self.report_questions or {"report": SCAN_REPORT_QUESTION}

    def ask_finding(self, finding: str) -> str:
        """Return the question whether a finding is there."""
        return fill(self.finding_question or FINDING_QUESTION, finding=finding.lower())

    # ---- the text

    @property
    def image_token_id(self) -> int:
        """The id of `image_token`, which stands for each image token."""
        return int(self.tokenizer.convert_tokens_to_ids(self.image_token))

    def _ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"]) if text else []

    def _ids_after(self, before: str, text: str) -> list[int]:
        """Return the ids of a text that follows another.

        SentencePiece tokenizers put a space before each text, so a text in the middle is tokenised
        together with what comes before it.
        """
        start = self.tokenizer.convert_ids_to_tokens(self._ids("a"))[:1]
        if start and start[0].startswith("\N{LOWER ONE EIGHTH BLOCK}"):
            head, whole = self._ids(before), self._ids(before + text)
            if whole[: len(head)] == head:
                return whole[len(head) :]
        return self._ids(text)

    def _prompt_for(self, question: str) -> str:
        """Return the text that follows the image for a question."""
        report = self.report_prompt is not None and question in self.report_forms.values()
        prompt = self.report_prompt if report else self.prompt
        return str(prompt).split("{image}")[1].replace("{question}", question)

    def _whole_ids(self, text: str) -> list[int]:
        """Return the ids of the image tokens and the text after them, as one text (M3D)."""
        return list(self.tokenizer(self.image_token * self.num_image_tokens + text)["input_ids"])

    def text_ids(self, text: str) -> list[int]:
        """Return the ids of a text, without BOS or EOS."""
        return self._ids(text)

    def prefix_ids(self) -> list[int]:
        """Return the ids before every question about a scan: text, then the image tokens.

        They start with BOS where the tokenizer starts a text with it.
        """
        image = [self.image_token_id] * self.num_image_tokens
        if self.image_splice == "positional":
            return self._whole_ids("a")[:1] + image
        before = self.prompt.split("{image}")[0]
        probe = list(self.tokenizer("a")["input_ids"])
        bos = self.tokenizer.bos_token_id
        start = [bos] if bos is not None and probe[:1] == [bos] else []
        return start + self._ids(before) + image

    def opening_ids(self) -> list[int]:
        """Return `prefix_ids` without the image: the ids before a question without a scan."""
        return [i for i in self.prefix_ids() if i != self.image_token_id]

    def question_ids(self, question: str) -> list[int]:
        """Return the ids of a question, which follow `prefix_ids`."""
        text = self._prompt_for(question)
        if self.image_splice == "positional":
            return self._whole_ids(text)[1 + self.num_image_tokens :]
        return self._ids_after(self.image_token, text)

    def answer_ids(self, answer: str) -> list[int]:
        """Return the ids of an answer, which follow `question_ids` and end with EOS."""
        # The last character of the prompt, or of a question.
        before = self.prompt.split("{question}")[1][-1:] or "?"
        ids = self._ids_after(before, self.answer_prefix + answer)
        return [*ids, int(self.tokenizer.eos_token_id)]

    def dialogue_ids(self, turns: Sequence[tuple[str, str]], question: str) -> list[int]:
        """Return the ids of a question after earlier turns.

        Parameters
        ----------
        turns : sequence of (question, answer)
            The oldest first.
        question : str

        Raises
        ------
        ValueError
            If there are turns but the model takes single questions only.
        """
        questions = [*(earlier for earlier, _ in turns), question]
        if turns and self.follow_up is None:
            raise ValueError(
                f"{len(turns)} earlier turn(s), but this model takes single questions only "
                "(its processor has no follow_up)"
            )
        ids = self.question_ids(questions[0])
        for (_, answer), later in zip(turns, questions[1:], strict=True):
            text = str(self.follow_up).replace("{question}", later)
            ids += self.answer_ids(answer) + self._ids(text)
        return ids

    def choices_question(self, question: str, choices: Sequence[str]) -> str:
        """Return a multiple-choice question; choices get the letters A, B, ..."""
        listed = " ".join(f"{chr(ord('A') + i)}. {choice}" for i, choice in enumerate(choices))
        return fill(self.choices_form or CHOICES_QUESTION, question=question, choices=listed)

    def choice_beginnings(self, choices: Sequence[str]) -> list[str]:
        """Return how the answer for each choice begins: up to and including its first slot."""
        form = self.choice_answer[: self.choice_answer.index("}") + 1]
        beginnings = (
            fill(form, letter=chr(ord("A") + i), choice=choice) for i, choice in enumerate(choices)
        )
        return [text[:1].upper() + text[1:] for text in beginnings]

    def report_question(self, section: str, written: Mapping[str, str]) -> str:
        """Return the question for a section of the report, given the sections before it."""
        texts = {name.lower(): " ".join(text.split()) for name, text in written.items()}
        return fill(self.report_forms[section], **texts)

    def __call__(
        self,
        text: str | Sequence[str],
        volumes: CTVolume | Sequence[CTVolume] | None = None,
        return_tensors: str = "pt",
        **_: Any,
    ) -> BatchFeature:
        """Make a batch with one question for each volume.

        Returns
        -------
        BatchFeature with `input_ids` and `attention_mask` [B, T] (padded on the left, as
        generation needs it) and `pixel_values` [B, 1, D, H, W].

        Raises
        ------
        ValueError
            If there are not as many questions as volumes.
        """
        questions = [text] if isinstance(text, str) else list(text)
        scans = [volumes] if isinstance(volumes, CTVolume) else list(volumes or [])
        if len(scans) != len(questions):
            raise ValueError(f"{len(questions)} question(s) for {len(scans)} volume(s)")
        rows = [self.prefix_ids() + self.question_ids(question) for question in questions]
        length = max(map(len, rows))
        pad = self.tokenizer.pad_token_id or 0
        batch = {
            "input_ids": [[pad] * (length - len(row)) + row for row in rows],
            "attention_mask": [[0] * (length - len(row)) + [1] * len(row) for row in rows],
        }
        feature = BatchFeature(batch, tensor_type=return_tensors)
        feature["pixel_values"] = torch.cat([self.prepare_volume(scan)[0] for scan in scans])
        return feature


def check_prompt(prompt: str, *, image_first: bool = False) -> None:
    """Check that a prompt has {image} before {question}.

    Raises
    ------
    ValueError
        If it has not, or `image_first` is set and the image is not first.
    """
    if "{image}" not in prompt or "{question}" not in prompt:
        raise ValueError(f"the prompt needs {{image}} and {{question}}, got {prompt!r}")
    if prompt.index("{image}") > prompt.index("{question}"):
        raise ValueError(
            "{image} must come before {question} (all questions share the image's cache), got "
            f"{prompt!r}"
        )
    if image_first and not prompt.startswith("{image}"):
        raise ValueError(f"image_splice positional needs {{image}} first, got {prompt!r}")


def _pair(values: Sequence[float]) -> tuple[float, float]:
    low, high = values
    return float(low), float(high)
