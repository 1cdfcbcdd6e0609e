"""Read the code in the project's Markdown pages and in the comments of its recipes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
_FENCE = re.compile(r"^\s*(```|~~~)")
_SPAN = re.compile(r"(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)


@dataclass(frozen=True)
class Code:
    """A line of a code block, or an inline code span, with its place in the pages."""

    page: str
    line: int
    text: str
    inline: bool


def pages() -> list[Path]:
    """Return every Markdown page that users and contributors read."""
    card = ROOT / "src" / "napari_ct_assistant" / "bundled" / "demo" / "README.md"
    folders = (ROOT / "docs", ROOT / "examples")
    return sorted([*ROOT.glob("*.md"), *(p for f in folders for p in f.rglob("*.md")), card])


def recipes() -> list[Path]:
    """Return the bundled recipes, whose comments say how to run them."""
    return sorted((ROOT / "training" / "recipes").rglob("*.yaml"))


def code(file: Path) -> Iterator[Code]:
    """Yield the code of a page, or of a recipe's comments."""
    name = file.relative_to(ROOT).as_posix()
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".yaml":
        comments = "\n".join(line.partition("# ")[2] for line in text.splitlines())
        yield from _spans(name, comments)
        yield from _blocks(name, dict(enumerate(_SPAN.sub("", comments).splitlines(), 1)))
    else:
        prose, blocks = split(text)
        yield from _blocks(name, blocks)
        yield from _spans(name, prose)


def split(text: str) -> tuple[str, dict[int, str]]:
    """Return a page's prose, with empty lines for its code blocks, and the lines of those."""
    prose: list[str] = []
    blocks: dict[int, str] = {}
    fenced = False
    for number, line in enumerate(text.splitlines(), 1):
        fence = bool(_FENCE.match(line))
        fenced ^= fence
        indented = line.startswith("    ") and not (prose and prose[-1].strip())
        if not fence and (fenced or indented):
            blocks[number] = line
        prose.append("" if fence or fenced or indented else line)
    return "\n".join(prose), blocks


def _blocks(name: str, lines: dict[int, str]) -> Iterator[Code]:
    """Yield the lines of code blocks; those that end with a backslash are joined."""
    held, start = "", 0
    for number, line in lines.items():
        start = start or number
        held += line.strip()
        if held.endswith("\\"):
            held = held[:-1] + " "
            continue
        yield Code(name, start, held, inline=False)
        held, start = "", 0


def _spans(name: str, text: str) -> Iterator[Code]:
    """Yield the inline code of a text."""
    for span in _SPAN.finditer(text):
        number = text.count("\n", 0, span.start()) + 1
        yield Code(name, number, " ".join(span[2].split()), inline=True)
