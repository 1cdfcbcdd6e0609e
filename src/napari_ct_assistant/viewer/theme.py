"""The colours that the panel adds to napari's style, derived from napari's theme."""

from __future__ import annotations

from napari.utils.theme import get_theme


def panel_style(theme_id: str) -> str:
    """Return the style sheet of the panel for a napari theme.

    It covers only what napari's own style does not: a tinted block for the reader's question,
    messages without the frame of a text box, the main button, and the notice that a text is
    machine-written.
    """
    theme = get_theme(theme_id)

    def rgb(name: str) -> str:
        return str(getattr(theme, name).as_rgb())

    warning = warning_colour(theme_id)
    return f"""
    #message_you, #message_you * {{ background: {rgb("foreground")}; }}
    #message_you {{ border-radius: 4px; }}
    #message_model QTextBrowser, #message_note QTextBrowser {{ background: {rgb("background")}; }}
    QTextBrowser {{ padding: 0px; }}
    #transcript, #transcript_page {{ background: {rgb("background")}; }}
    #who {{ color: {rgb("icon")}; font-weight: bold; }}
    #main_button {{ background: {rgb("current")}; font-weight: bold; padding: 6px 12px; }}
    #main_button:hover {{ background: {rgb("highlight")}; }}
    #main_button:disabled {{ background: {rgb("foreground")}; }}
    #notice {{ color: {warning}; }}
    #quiet {{ color: {rgb("icon")}; }}
    #chip {{ background: transparent; border: 1px solid {rgb("highlight")}; border-radius: 9px;
             padding: 2px 8px; }}
    #chip:hover, #chip:focus {{ background: {rgb("highlight")}; }}
    QToolButton[popupMode="2"] {{ padding-right: 14px; }}
    #chips {{ background: transparent; }}
    #tool_strip QToolButton {{ background: transparent; border-radius: 3px; padding: 0px; }}
    #tool_strip QToolButton:hover, #tool_strip QToolButton:focus {{
        background: {rgb("foreground")}; }}
    #tool_strip QToolButton:checked {{ background: {rgb("current")}; }}
    #tool_strip QToolButton:disabled {{ color: {rgb("highlight")}; }}
    #tool_strip QToolButton::menu-indicator {{ image: none; }}
    #report_editor, #report_comparison {{
        background: {rgb("background")}; border: 1px solid {rgb("foreground")}; }}
    #report_window {{ background: {rgb("background")}; }}
    QPlainTextEdit {{ background: {rgb("foreground")}; border-radius: 4px; padding: 4px; }}
    """


def link_colour(theme_id: str) -> str:
    """Return a link colour that stands out from a napari theme's text and background."""
    return "#7ab8ff" if is_dark(theme_id) else "#0b5cad"


def warning_colour(theme_id: str) -> str:
    """Return a warning colour that can be read on a napari theme's background."""
    # napari's warning yellow cannot be read on a light background.
    return str(get_theme(theme_id).warning.as_hex()) if is_dark(theme_id) else "#8a5a00"


def is_dark(theme_id: str) -> bool:
    """Return whether a napari theme has a dark background."""
    return bool(get_theme(theme_id).background.as_rgb_tuple()[0] < 128)
