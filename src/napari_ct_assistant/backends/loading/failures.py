"""What ends the loading of a model, as one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from napari_ct_assistant.backends.loading.memory import out_of_memory
from napari_ct_assistant.model.errors import ModelLoadError
from napari_ct_assistant.support.translation import said


@contextmanager
def load_failures(
    name: str,
    folder: Path,
    device: torch.device,
    *,
    eight_bit: bool = False,
    spread: bool = False,
) -> Iterator[None]:
    """Turn whatever a library raises while it loads a folder into `ModelLoadError`.

    Parameters
    ----------
    name : str
        Of the model; stands for `folder` in the line.
    folder : Path
    device : torch.device
    eight_bit, spread : bool
        As for `out_of_memory`.

    Raises
    ------
    NotEnoughMemoryError
        If memory ran out; what was loaded until then is freed first.
    ModelLoadError
        For all else, with the library's reason.
    """
    try:
        yield
    except ModelLoadError:
        raise
    except torch.OutOfMemoryError as error:
        raise out_of_memory(error, name, device, eight_bit=eight_bit, spread=spread) from error
    except BaseException as error:
        # The libraries that read a folder raise anything, and a panic of the tokenizer's Rust code
        # is no Exception.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        reason = " ".join(str(error).replace(str(folder), name).split())[:300]
        raise ModelLoadError(
            said(
                "{name}: cannot be loaded: {value}", name=name, value=reason or type(error).__name__
            )
        ) from error
