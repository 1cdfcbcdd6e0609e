"""What ends the loading of a model reaches the user as one line with the model's name."""

from pathlib import Path

import pytest
import torch

from napari_ct_assistant.backends.loading.failures import load_failures
from napari_ct_assistant.backends.loading.options import NotEnoughMemoryError
from napari_ct_assistant.model.errors import ModelLoadError

FOLDER = Path("models/vicuna-7b-folder")


class PanicException(BaseException):
    """Named like what PyO3 raises where Rust code panics."""


@pytest.mark.parametrize("kind", [ValueError, OSError, KeyError, PanicException])
def test_a_librarys_failure_is_one_line_without_the_path(kind: type[BaseException]) -> None:
    with (
        pytest.raises(ModelLoadError, match=r"^vicuna: cannot be loaded: ") as told,
        load_failures("vicuna", FOLDER, torch.device("cpu")),
    ):
        raise kind(f"cannot read {FOLDER}/config.json\nbecause it is broken")
    line = str(told.value)
    assert "\n" not in line
    assert str(FOLDER) not in line
    assert isinstance(told.value.__cause__, kind)


def test_a_failure_without_words_is_named_by_its_kind() -> None:
    with (
        pytest.raises(ModelLoadError, match=r"^vicuna: cannot be loaded: RuntimeError$"),
        load_failures("vicuna", FOLDER, torch.device("cpu")),
    ):
        raise RuntimeError


def test_our_own_line_is_kept() -> None:
    with (
        pytest.raises(ModelLoadError, match=r"^vicuna: has no tokenizer$"),
        load_failures("vicuna", FOLDER, torch.device("cpu")),
    ):
        raise ModelLoadError("vicuna: has no tokenizer")


def test_memory_that_runs_out_names_what_can_still_be_chosen() -> None:
    with (
        pytest.raises(NotEnoughMemoryError, match='quantize="8bit"'),
        load_failures("vicuna", FOLDER, torch.device("cpu"), eight_bit=True),
    ):
        raise torch.OutOfMemoryError("no memory")


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_an_interruption_is_no_failure(kind: type[BaseException]) -> None:
    with pytest.raises(kind), load_failures("vicuna", FOLDER, torch.device("cpu")):
        raise kind
