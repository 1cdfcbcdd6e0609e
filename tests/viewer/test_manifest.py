"""What napari learns of the plugin, and what that costs."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from napari.settings import get_plugin_settings
from npe2 import PluginManager, PluginManifest

from napari_ct_assistant.support.translation import languages
from napari_ct_assistant.viewer.measure.measure_bar import MEASURE_KEYS
from napari_ct_assistant.viewer.preferences import (
    AUTOMATIC,
    LANGUAGES,
    Preferences,
    load_preferences,
)
from napari_ct_assistant.viewer.views.letters import AXIS_LETTERS
from napari_ct_assistant.viewer.views.reading_bar import READING_KEYS
from napari_ct_assistant.viewer.views.view_bar import VIEW_KEYS
from napari_ct_assistant.viewer.views.windows import PRESETS
from napari_ct_assistant.volume import CTVolume, write_nifti

ROOT = Path(__file__).parents[2]
NAME = "napari-ct-assistant"


@pytest.fixture(scope="module")
def manifest() -> PluginManifest:
    return PluginManifest.from_file(ROOT / "src" / "napari_ct_assistant" / "napari.yaml")


def test_installed_manifest_is_found_and_valid() -> None:
    manager = PluginManager()
    manager.discover()
    assert NAME in manager
    manager.get_manifest(NAME).validate_imports()


def test_every_command_is_used_and_exists(manifest: PluginManifest) -> None:
    contributions = manifest.contributions
    used = {item.command for item in contributions.readers or []}
    used |= {item.command for item in contributions.widgets or []}
    used |= {item.command for item in contributions.sample_data or []}
    used |= {item.command for items in contributions.menus.values() for item in items}
    assert {command.id for command in contributions.commands} == used
    for command in contributions.commands:
        assert command.id.startswith(NAME)
        module, _, name = command.python_name.partition(":")
        assert callable(getattr(import_module(module), name))


def test_the_preferences_name_the_letters_and_the_keys_that_are_there(
    manifest: PluginManifest,
) -> None:
    display = manifest.contributions.configurations["display"]
    text = display.properties["letters"].description
    letters = {letter for pair in AXIS_LETTERS for letter in pair}
    assert set(re.findall(r"\b[A-Z]\b", text)) == letters
    text = display.properties["keys"].description
    keys = {*VIEW_KEYS.values(), *MEASURE_KEYS.values(), *READING_KEYS.values()}
    assert set(re.findall(r"\b[A-Z]\b", text)) == keys
    assert re.findall(r"\d", text) == ["1", str(len(PRESETS))]
    assert display.properties["window"].enum == [preset.name for preset in PRESETS]
    assert display.properties["language"].enum == [AUTOMATIC, *LANGUAGES]
    assert list(LANGUAGES.values()) == languages()


@pytest.mark.usefixtures("plugin_settings")
def test_preferences(npe2pm: Any, manifest: PluginManifest) -> None:
    assert load_preferences() == Preferences()
    npe2pm.register(manifest)
    assert load_preferences() == Preferences()
    settings = get_plugin_settings(NAME)
    settings.model.device = "cpu"
    settings.display.window = "Lung"
    assert load_preferences() == Preferences(device="cpu", window="Lung")


def test_loading_the_plugin_and_reading_a_scan_import_no_torch(
    tmp_path: Path, ct: CTVolume
) -> None:
    """A fresh process does what napari does at start-up and when a scan is dropped."""
    path = tmp_path / "scan.nii.gz"
    write_nifti(ct, path)
    code = f"""
import sys
import napari_ct_assistant.viewer
from npe2 import PluginManager
manager = PluginManager.instance()
manager.discover()
manager.get_manifest({NAME!r})
from npe2.io_utils import read
layers = read([{str(path)!r}], stack=False, plugin_name={NAME!r})
assert layers[0][0].shape == (20, 40, 48), layers
from napari_ct_assistant.viewer import panel
from napari_ct_assistant.viewer.app import display_available
display_available()
wrong = {{name.partition(".")[0] for name in sys.modules}} & {{"torch", "transformers"}}
assert not wrong, wrong
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
