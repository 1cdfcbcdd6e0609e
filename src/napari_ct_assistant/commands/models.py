"""`models`: the models that are installed."""

from __future__ import annotations

import typer

app = typer.Typer(help="List the installed models.", rich_markup_mode=None)
