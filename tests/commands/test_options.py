"""Options that several commands share."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, get_args

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from napari_ct_assistant.cli import app
from napari_ct_assistant.commands.terminal.options import ReadingOptions
from napari_ct_assistant.training.config.recipe import Stage

COMMANDS: Any = get_command(app)


@pytest.mark.parametrize("name", ["report", "ask", "screen"])
def test_reading_commands_have_the_same_options(name: str) -> None:
    parameters = {parameter.name: parameter for parameter in COMMANDS.commands[name].params}
    assert {field.name for field in fields(ReadingOptions)} <= set(parameters)
    assert "options" not in parameters
    model = parameters["model"]
    assert set(model.opts) == {"--model", "-m"}
    assert model.default == "demo"


def test_every_stage_is_in_the_help_of_train() -> None:
    shown = CliRunner().invoke(app, ["train", "--help"]).stdout
    for stage in get_args(Stage):
        assert stage in shown
