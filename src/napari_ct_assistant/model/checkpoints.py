"""Weights of older folders load under today's tensor names; weights are saved under today's."""

from __future__ import annotations

from typing import Any

from transformers import PreTrainedModel
from transformers.conversion_mapping import register_checkpoint_conversion_mapping
from transformers.core_model_loading import WeightRenaming

from napari_ct_assistant.model.format import RENAMED_TENSORS
from napari_ct_assistant.support.loading_lock import LOADING_LOCK


class CurrentNamesModel(PreTrainedModel):
    """A transformers model that is saved under today's names, whatever it was loaded from."""

    @classmethod
    def from_pretrained(cls, *args: Any, **kwargs: Any) -> Any:
        """Load as `PreTrainedModel` does, one thread at a time."""
        with LOADING_LOCK:
            return super().from_pretrained(*args, **kwargs)

    def save_pretrained(self, *args: Any, **kwargs: Any) -> None:
        """Save as `PreTrainedModel` does, without translating names back to the loaded file's."""
        super().save_pretrained(*args, **{"save_original_format": False} | kwargs)


def read_older_names(model_class: type[PreTrainedModel]) -> None:
    """Let `from_pretrained` read format 1's encoder tensors, also where it is part of a model."""
    renamings = [WeightRenaming(older, current) for older, current in RENAMED_TENSORS.items()]
    register_checkpoint_conversion_mapping(model_class.__name__, renamings, overwrite=True)
