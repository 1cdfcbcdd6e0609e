"""What is known of a family of models before one of it is loaded. Importing it brings no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from napari_ct_assistant.backends.loading.sizes import Counts
from napari_ct_assistant.backends.protocol import Backend
from napari_ct_assistant.support.collector import collection_postponed


@dataclass(frozen=True)
class Family:
    """A family of models.

    Attributes
    ----------
    name : str
    module : str
        The module whose function `load(folder, name, **options)` returns its `Backend`; imported
        when a model is loaded.
    matches : callable
        Whether the content of a `config.json` describes a model of the family.
    about : callable
        Training data and notice of a model, from its `config.json`.
    count : callable
        How many values a model folder has, and the tokens of its longest prompt; None for a
        broken one.
    files : tuple of str
        The files that a download fetches, as patterns; () for the usual ones.
    writes_text : bool
        Whether its models write reports and answers; if not, they screen for findings.
    slices : bool
        Whether its models look at single slices, by a preset that can be chosen.
    """

    name: str
    module: str
    matches: Callable[[Mapping[str, Any]], bool]
    about: Callable[[Mapping[str, Any]], tuple[str, str]]
    count: Callable[[Path], tuple[Counts, int] | None]
    files: tuple[str, ...] = ()
    writes_text: bool = True
    slices: bool = False

    def load(self, folder: Path, name: str, **options: Any) -> Backend:
        """Load a model folder; `options` are those of `load_assistant`."""
        with collection_postponed():
            module = import_module(self.module)
        backend: Backend = module.load(folder, name, **options)
        return backend
