"""The row of suggested questions in napari's theme."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytestqt.qtbot import QtBot

    from napari_ct_assistant.viewer.panel import CTAssistantPanel


def test_a_question_is_as_high_as_its_button(
    make_panel: Callable[..., CTAssistantPanel], qtbot: QtBot
) -> None:
    """The theme's border took the lowest pixels of the buttons."""
    panel = make_panel(show=True)
    chips = panel.chat_controller.chips
    chips.offer(["Is there a nodule?", "How large is the heart?"])
    chips.show()
    qtbot.waitUntil(lambda: all(chip.isVisible() for chip in chips.buttons))
    for chip in chips.buttons:
        assert chip.height() >= chip.sizeHint().height()
        bottom = chip.mapTo(chips.area.viewport(), chip.rect().bottomLeft()).y()
        assert bottom < chips.area.viewport().height()
