"""Flows the blocks of a report over the pages of a PDF, and keeps together what belongs together.

A heading stays with its first line. The provenance is never split, and never on a page of its
own: if it does not fit below the report, the end of the report goes to the next page with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

LINE: Final = 0.48  # mm of line height for each point of the font
# The provenance takes the last part of the report along, unless that is longer.
MOST_TAKEN_ALONG: Final = 12


@dataclass(frozen=True)
class Block:
    """A paragraph or a heading.

    runs: pieces of text, each with its size in points and its grey level (0 is black). gap: mm
    above. bold: a heading. begins: a heading that begins a part of the report. last: a line of
    the provenance.
    """

    runs: tuple[tuple[str, float, int], ...]
    gap: float = 0.0
    bold: bool = False
    begins: bool = False
    last: bool = False


def groups(blocks: Sequence[Block]) -> list[list[Block]]:
    """Return the blocks in groups; a page never ends inside a group."""
    report = [block for block in blocks if not block.last]
    made: list[list[Block]] = []
    for block in report:
        if made and made[-1][-1].bold:
            made[-1].append(block)
        else:
            made.append([block])
    taken: list[Block] = []
    parts = [n for n, group in enumerate(made) if group[0].begins]
    begin = parts[-1] if parts else len(made) - 1
    if len(made) - begin > MOST_TAKEN_ALONG:
        begin = len(made) - 1
    for group in made[max(begin, 0) :]:
        taken += group
    return [*made[: max(begin, 0)], taken + [block for block in blocks if block.last]]


class Flow:
    """Draws blocks below one another on an fpdf2 document.

    Parameters
    ----------
    paper : fpdf.FPDF
        With a page, and the font `family` in its regular and bold styles.
    family : str
    margin : float
        Left margin in mm.
    """

    def __init__(self, paper: Any, family: str, margin: float) -> None:
        self._paper, self._family, self._margin = paper, family, margin

    def heading(self, text: str, size: float) -> None:
        """Draw a heading where the page has got to."""
        self._draw(Block(((text, size, 0),), bold=True))

    def draw(self, blocks: Iterable[Block]) -> None:
        """Draw blocks, and begin a page before each group that does not fit on the rest of one."""
        paper = self._paper
        whole = paper.page_break_trigger - paper.t_margin
        for group in groups(list(blocks)):
            for part in self._fitting(group, whole):
                height = sum(map(self._height, part))
                if paper.get_y() + height > paper.page_break_trigger and height <= whole:
                    paper.add_page()
                for block in part:
                    self._draw(block)

    def _fitting(self, group: list[Block], whole: float) -> list[list[Block]]:
        """Return the group, in pieces if it is higher than a page.

        The last piece is the provenance with the line above it.
        """
        if sum(map(self._height, group)) <= whole:
            return [group]
        at = next((n for n, block in enumerate(group) if block.last), 0)
        return [[block] for block in group[: max(at - 1, 0)]] + [group[max(at - 1, 0) :]]

    def _height(self, block: Block) -> float:
        """Return the height of a block in mm, if all of its runs had the first one's size."""
        size = block.runs[0][1]
        self._paper.set_font(self._family, "B" if block.bold else "", size)
        text = "".join(run[0] for run in block.runs)
        height: float = self._paper.multi_cell(
            0, size * LINE, text, align="L", dry_run=True, output="HEIGHT"
        )
        return block.gap + height

    def _draw(self, block: Block) -> None:
        paper = self._paper
        paper.ln(block.gap)
        paper.set_x(self._margin)
        high = block.runs[0][1] * LINE
        for text, size, grey in block.runs:
            paper.set_font(self._family, "B" if block.bold else "", size)
            paper.set_text_color(grey)
            if len(block.runs) == 1:
                paper.multi_cell(0, high, text, align="L", new_x="LMARGIN", new_y="NEXT")
            else:
                paper.write(high, text)
        if len(block.runs) > 1:
            paper.ln(high)
