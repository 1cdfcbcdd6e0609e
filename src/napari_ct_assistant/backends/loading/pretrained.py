"""What is done with a network that transformers has read from a folder, whatever its family."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from transformers import GenerationConfig

from napari_ct_assistant.model.errors import ModelLoadError, listing
from napari_ct_assistant.support.translation import said


def check_loaded(loaded: Mapping[str, Iterable[Any]], name: str) -> None:
    """Refuse a network whose tensors are not those of the files; `loaded` is its loading info."""
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if keys := sorted(map(str, loaded.get(kind) or ())):
            raise ModelLoadError(
                said(
                    "{name}: {count} {replace} while loading: {listing}",
                    name=name,
                    count=len(keys),
                    replace=kind.replace("_", " "),
                    listing=listing(keys),
                )
            )


def keep_token_ids(network: Any) -> None:
    """Keep nothing but token ids of a folder's generation settings.

    Others, such as a time limit or stop strings, would shorten a report without a word.
    """
    own = network.generation_config
    network.generation_config = GenerationConfig(
        bos_token_id=own.bos_token_id, eos_token_id=own.eos_token_id, pad_token_id=own.pad_token_id
    )
