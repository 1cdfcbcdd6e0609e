"""The tokenizer of an NV-Reason-CT folder and the tokens with a meaning of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from transformers import PreTrainedTokenizerFast

from napari_ct_assistant.backends.nv_reason_ct.conversation.text import (
    IMAGE_PAD,
    THINK,
    THINK_END,
    TURN_END,
    TURN_START,
    VISION_END,
    VISION_START,
)
from napari_ct_assistant.model.errors import ModelLoadError
from napari_ct_assistant.model.settings import read_json
from napari_ct_assistant.support.translation import said

END_OF_TEXT: Final = "<|endoftext|>"
# Tokens that no answer may contain.
NOT_WRITTEN: Final = (VISION_START, VISION_END, "<|vision_pad|>", IMAGE_PAD, "<|video_pad|>")
# Keys of config.json that name a token.
NAMED: Final = {
    "image_token_id": IMAGE_PAD,
    "video_token_id": "<|video_pad|>",
    "vision_start_token_id": VISION_START,
    "vision_end_token_id": VISION_END,
}
# Comes back as it was from a byte-level tokenizer without a normalizer.
_PROBE: Final = "Write a structured chest CT report: 12.5 mm, Übersicht, left > right."


@dataclass(frozen=True)
class SpecialTokens:
    """Ids of the tokens with a meaning of their own.

    Attributes
    ----------
    image : int
        Stands for each token of the volume.
    end : tuple of int
        Those that end an answer.
    pad : int
    not_written : tuple of int
        Those that no answer may contain.
    yes, no : int
        First tokens of "Yes" and "No".
    """

    image: int
    end: tuple[int, ...]
    pad: int
    not_written: tuple[int, ...]
    yes: int
    no: int


def load_tokenizer(
    folder: Path, config: Mapping[str, Any], rows: int, name: str
) -> tuple[PreTrainedTokenizerFast, SpecialTokens]:
    """Return the tokenizer of a folder and its special tokens.

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
        If a token is missing, has another id than `config.json` says, or lies outside the
        embeddings; if texts do not come back as they were.
    """
    try:
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_file=str(folder / "tokenizer.json"),
            eos_token=TURN_END,
            pad_token=END_OF_TEXT,
            clean_up_tokenization_spaces=False,
        )
    except Exception as error:
        raise ModelLoadError(
            said(
                "{name}: tokenizer.json is damaged ({list}); copy the model again",
                name=name,
                list=" ".join(str(error).split())[:80],
            )
        ) from error
    whole = tokenizer.backend_tokenizer
    whole.no_truncation()
    whole.no_padding()

    def id_of(token: str) -> int:
        number = whole.token_to_id(token)
        if number is None or whole.encode(token, add_special_tokens=False).ids != [number]:
            raise ModelLoadError(
                said(
                    "{name}: tokenizer.json does not have {token} as one token; copy the model "
                    "again",
                    name=name,
                    token=token,
                )
            )
        return int(number)

    ids = {
        token: id_of(token)
        for token in (
            *NOT_WRITTEN, TURN_START, TURN_END, END_OF_TEXT, THINK, THINK_END
        )
    }  # fmt: skip
    for key, token in NAMED.items():
        stated = config.get(key, ids[token])
        if stated != ids[token]:
            raise ModelLoadError(
                said(
                    "{name}: config.json says {key} {stated}, tokenizer.json has {token} as "
                    "{ids}; the folder holds parts of different models",
                    name=name,
                    key=key,
                    stated=str(stated)[:20],
                    token=token,
                    ids=ids[token],
                )
            )
    beyond = max(whole.get_vocab(with_added_tokens=True).values())
    if beyond >= rows:
        raise ModelLoadError(
            said(
                "{name}: tokenizer.json has a token {beyond}, the model {rows} embeddings; the "
                "folder holds parts of different models",
                name=name,
                beyond=beyond,
                rows=rows,
            )
        )
    back = whole.decode(whole.encode(_PROBE, add_special_tokens=False).ids)
    if back != _PROBE:
        raise ModelLoadError(
            said(
                "{name}: tokenizer.json turns {probe}... into {back}...; it is not this "
                "model's, copy the model again",
                name=name,
                probe=repr(_PROBE[:24]),
                back=repr(back[:24]),
            )
        )
    end = _end_tokens(folder, rows, name) or (ids[TURN_END], ids[END_OF_TEXT])
    if ids[TURN_END] not in end:
        raise ModelLoadError(
            said(
                "{name}: generation_config.json ends answers with {list}, but {turn_end} is "
                "{ids}; the folder holds parts of different models",
                name=name,
                list=list(end),
                turn_end=TURN_END,
                ids=ids[TURN_END],
            )
        )
    yes, no = (whole.encode(word, add_special_tokens=False).ids[0] for word in ("Yes", "No"))
    if yes == no:
        raise ModelLoadError(
            said(
                "{name}: tokenizer.json starts Yes and No with the same token; copy the model "
                "again",
                name=name,
            )
        )
    special = SpecialTokens(
        ids[IMAGE_PAD],
        end,
        ids[END_OF_TEXT],
        tuple(ids[token] for token in NOT_WRITTEN),
        yes,
        no,
    )
    return tokenizer, special


def _end_tokens(folder: Path, rows: int, name: str) -> tuple[int, ...]:
    stated = read_json(folder / "generation_config.json", name).get("eos_token_id")
    found = stated if isinstance(stated, list) else [] if stated is None else [stated]
    if not all(type(n) is int and 0 <= n < rows for n in found):
        raise ModelLoadError(
            said(
                "{name}: generation_config.json says eos_token_id {stated}, which is no token",
                name=name,
                stated=str(stated)[:40],
            )
        )
    return tuple(found)
