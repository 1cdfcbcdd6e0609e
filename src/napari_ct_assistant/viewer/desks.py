"""Joins the panel with the desks for evidence and chat, and their keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QShortcut

from napari_ct_assistant.viewer.chat.controller import ChatController
from napari_ct_assistant.viewer.evidence.controller import EvidenceController

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_ct_assistant.viewer.panel import CTAssistantPanel


def join(panel: CTAssistantPanel, viewer: Viewer) -> tuple[EvidenceController, ChatController]:
    """Make both desks for `panel` and connect them."""
    evidence = EvidenceController(viewer, panel.scans, panel)
    chat = ChatController(
        viewer, panel.scans, panel.conversation, panel.ask_row.box, panel.ask, panel
    )
    panel.transcript.linkClicked.connect(evidence.follow)
    panel.transcript.againAsked.connect(chat.again)
    panel.transcript.editAsked.connect(chat.edit)
    panel.conversation.drafted.connect(evidence.take_draft)
    panel.conversation.located.connect(evidence.show_finding)
    panel.findings.chosen.connect(panel.show_finding)
    panel.ask_row.choices_button.clicked.connect(lambda: chat.open_choices())
    evidence.told.connect(panel.status.say)
    chat.told.connect(panel.status.say)
    for keys, action in (
        ("Ctrl+Alt+H", evidence.toggle),
        ("Ctrl+Shift+F", panel.screen),
        ("Ctrl+Shift+G", chat.again),
        ("Ctrl+Shift+M", chat.open_choices),
    ):
        shortcut = QShortcut(QKeySequence(keys), panel)
        shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        shortcut.activated.connect(action)
    return evidence, chat
