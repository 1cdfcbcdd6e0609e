"""Configurations of the launcher, for models that one GPU cannot hold."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Final

from napari_ct_assistant.training.config.errors import RecipeError

FOLDER: Final = Path(__file__).parents[1] / "launch"
# What each is for, and how `accelerate launch` takes it.
LAUNCHERS: Final = {
    "fsdp2": (
        "fsdp2.yaml",
        "FSDP2: weights, gradients and optimizer are split among all processes",
        "--config_file {file}",
    ),
    "deepspeed_zero2": (
        "deepspeed_zero2.json",
        "DeepSpeed ZeRO-2: gradients and optimizer are split",
        "--use_deepspeed --deepspeed_config_file {file}",
    ),
    "deepspeed_zero3": (
        "deepspeed_zero3.json",
        "DeepSpeed ZeRO-3: weights, too, are split",
        "--use_deepspeed --deepspeed_config_file {file}",
    ),
}


def copy_launcher(name: str, target: Path) -> str:
    """Write a configuration to a file, and return the options of `accelerate launch` for it.

    Raises
    ------
    RecipeError
        If there is no such configuration, or the file is there already.
    """
    if name not in LAUNCHERS:
        near = difflib.get_close_matches(name, LAUNCHERS, 1, 0.0)[0]
        raise RecipeError(f"{name}: no such launcher configuration; did you mean {near}?")
    file, _, options = LAUNCHERS[name]
    try:
        with target.open("x", encoding="utf-8") as out:
            out.write((FOLDER / file).read_text(encoding="utf-8"))
    except FileExistsError:
        raise RecipeError(f"{target}: is there already; give another file") from None
    except OSError as error:
        raise RecipeError(f"{target}: cannot be written ({error.strerror})") from None
    return options.format(file=target)
