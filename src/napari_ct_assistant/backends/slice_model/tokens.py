"""The tokenizer of a slice model and the tokens with a meaning of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from transformers import AutoTokenizer

from napari_ct_assistant.backends.slice_model.checks import chat_template
from napari_ct_assistant.backends.slice_model.sizes import GEMMA3, GEMMA4
from napari_ct_assistant.model.errors import ModelLoadError
from napari_ct_assistant.model.settings import read_json
from napari_ct_assistant.support.translation import said

# Gemma 4's turns, for folders without a template; the released one has more to say about tools.
GEMMA4_TEMPLATE: Final = (
    "{{ bos_token }}{% for turn in messages %}{{ '<|turn>' + ('model' if turn['role'] == "
    "'assistant' else turn['role']) + '\n' }}{% if turn['content'] is string %}{{ "
    "turn['content'] | trim }}{% else %}{% for part in turn['content'] %}{% if part['type'] == "
    "'image' %}{{ '<|image|>' }}{% else %}{{ part['text'] | trim }}{% endif %}{% endfor %}"
    "{% endif %}{{ '<turn|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|turn>model\n' }}"
    "{% endif %}"
)
# What stands around reasoning: Qwen, MedGemma 1.5, Gemma 4.
THINKING: Final = (
    ("<think>", "</think>"), ("<unused94>", "<unused95>"), ("<|channel>", "<channel|>"),
)  # fmt: skip


@dataclass(frozen=True)
class SpecialTokens:
    """What the tokens with a meaning of their own are.

    Attributes
    ----------
    marker : str
        What the chat template writes for an image.
    before, after : str
        What stands around the image's tokens in the place of the marker.
    image : int
        Stands for each token of an image.
    closing : tuple of int
        Tokens that may follow an image's tokens and belong to it.
    end : tuple of int
        Those that end an answer.
    pad : int
    yes, no : tuple of int
        First tokens of "Yes" and "yes", "No" and "no".
    thinking : tuple of (int, int)
        Tokens around reasoning.
    type_key : str
        The name under which the network takes which tokens are an image's.
    """

    marker: str
    before: str
    after: str
    image: int
    closing: tuple[int, ...]
    end: tuple[int, ...]
    pad: int
    yes: tuple[int, ...]
    no: tuple[int, ...]
    thinking: tuple[tuple[int, int], ...]
    type_key: str


def load_tokenizer(
    folder: Path, config: Mapping[str, Any], rows: int, name: str
) -> tuple[Any, SpecialTokens]:
    """Return the tokenizer of a folder, with its chat template, and its special tokens.

    Parameters
    ----------
    folder : Path
    config
        Content of `config.json`.
    rows : int
        Of the embedding matrix.
    name : str
        Of the model, for errors.

    Raises
    ------
    ModelLoadError
        If a token or the chat template is missing.
    """
    tokenizer = AutoTokenizer.from_pretrained(
        folder, local_files_only=True, trust_remote_code=False
    )
    kind = config.get("model_type")
    template = chat_template(folder, name) or (GEMMA4_TEMPLATE if kind == GEMMA4 else None)
    if template is None:
        raise ModelLoadError(
            said(
                "{name}: no chat template in the folder; download chat_template.jinja or "
                "chat_template.json, too",
                name=name,
            )
        )
    tokenizer.chat_template = template
    vocabulary = tokenizer.get_vocab()
    words = {number: word for word, number in vocabulary.items()}

    def token(*keys: str) -> tuple[int, str]:
        number = next((config[key] for key in keys if config.get(key) is not None), None)
        word = words.get(number) if isinstance(number, int) else None
        alone = word is not None and tokenizer.encode(word, add_special_tokens=False) == [number]
        if number is None or word is None or not alone or number >= rows:
            raise ModelLoadError(
                said(
                    "{name}: config.json says {keys} {number}, and the tokenizer has no such "
                    "token; they belong to different models, so download both again",
                    name=name,
                    keys=keys[0],
                    number=number,
                )
            )
        return number, word

    image, marker = token("image_token_id", "image_token_index")
    before = after = ""
    image_word = marker
    closing: tuple[int, ...] = ()
    if kind in (GEMMA3, GEMMA4):
        _, begin = token("boi_token_id", "boi_token_index")
        close, end_word = token("eoi_token_id", "eoi_token_index")
        closing = (close,)
        gap = "\n\n" if kind == GEMMA3 else ""
        before, after = f"{gap}{begin}", f"{end_word}{gap}"
        marker = begin if kind == GEMMA3 else marker
    else:
        closing = (token("vision_end_token_id")[0],)
    starts = [tokenizer.encode(w, add_special_tokens=False) for w in ("Yes", "yes", "No", "no")]
    yes, no = ({ids[0] for ids in pair if ids} for pair in (starts[:2], starts[2:]))
    if not yes or not no or yes & no:
        raise ModelLoadError(
            said(
                "{name}: its tokenizer does not tell Yes from No by their first token, so it "
                "cannot screen",
                name=name,
            )
        )
    end = _end_tokens(folder, config, tokenizer, name)
    return tokenizer, SpecialTokens(
        marker=marker,
        before=before + image_word,
        after=after,
        image=image,
        closing=closing,
        end=end,
        pad=tokenizer.pad_token_id if tokenizer.pad_token_id is not None else end[0],
        yes=tuple(sorted(yes)),
        no=tuple(sorted(no)),
        thinking=tuple(
            (vocabulary[a], vocabulary[b]) for a, b in THINKING if {a, b} <= vocabulary.keys()
        ),
        type_key="token_type_ids" if kind == GEMMA3 else "mm_token_type_ids",
    )


def _end_tokens(
    folder: Path, config: Mapping[str, Any], tokenizer: Any, name: str
) -> tuple[int, ...]:
    """Return the tokens that end an answer: the generation settings', else the model's."""
    stated: Any = None
    if (folder / "generation_config.json").is_file():
        stated = read_json(folder / "generation_config.json", name).get("eos_token_id")
    text = config.get("text_config") or {}
    for other in (config.get("eos_token_id"), text.get("eos_token_id"), tokenizer.eos_token_id):
        stated = other if stated is None else stated
    found = tuple(stated) if isinstance(stated, list) else (stated,)
    if not found or not all(isinstance(one, int) for one in found):
        raise ModelLoadError(
            said(
                "{name}: generation_config.json says eos_token_id {stated}; expected token "
                "ids, so that answers come to an end",
                name=name,
                stated=repr(stated),
            )
        )
    return found
