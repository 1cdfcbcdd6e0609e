"""The plugin's preferences, which napari stores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from qtpy.QtCore import QLocale

from napari_ct_assistant.support.translation import choose_language, use_language

PLUGIN = "napari-ct-assistant"
# The languages by their own names, as the preferences show them.
LANGUAGES: Final = {"English": "en", "Deutsch": "de"}
AUTOMATIC: Final = "automatic"


@dataclass(frozen=True)
class Preferences:
    """The settings under Preferences > CT Assistant."""

    model: str = "demo"
    device: str | None = None
    window: str = "Soft tissue"
    letters: bool = True
    keys: bool = True
    layout: str = "automatic"
    reading_width: int = 0
    napari_width: int = 0
    journal: bool = True
    scan_cache: bool = True
    template: str = ""
    language: str = AUTOMATIC
    read_first: bool = False


def load_preferences() -> Preferences:
    """Read the preferences; return the defaults if napari does not know the plugin's manifest."""
    from napari.settings import get_plugin_settings

    try:
        settings = get_plugin_settings(PLUGIN)
    except KeyError:
        return Preferences()
    device = settings.model.device
    return Preferences(
        model=settings.model.name or "demo",
        device=None if device == "auto" else device,
        window=settings.display.window,
        letters=settings.display.letters,
        keys=settings.display.keys,
        layout=settings.display.layout,
        reading_width=settings.display.reading_width,
        napari_width=settings.display.napari_width,
        journal=settings.report.journal,
        # Who keeps no journal wants nothing of a scan kept.
        scan_cache=settings.report.journal and settings.report.scan_cache,
        template=settings.report.template,
        language=settings.display.language,
        read_first=settings.report.read_first,
    )


def use_locale(preferences: Preferences) -> QLocale:
    """Show texts in the preferred language, by default the system's; return its locale."""
    wanted = LANGUAGES.get(preferences.language, "")
    code = choose_language(wanted, QLocale.system().uiLanguages())
    use_language(code)
    return QLocale(code)


def remember_layout(reading: bool) -> None:
    """Keep the layout of the window for the next start."""
    _remember("layout", "reading" if reading else "napari")


def remember_width(reading: bool, width: int) -> None:
    """Keep the panel's width in the reading layout, or in napari's, for the next start."""
    _remember("reading_width" if reading else "napari_width", width)


def _remember(name: str, value: str | int) -> None:
    from napari.settings import get_plugin_settings

    try:
        display = get_plugin_settings(PLUGIN).display
    except KeyError:
        return
    setattr(display, name, value)
