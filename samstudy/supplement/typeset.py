"""Text, rules and places for figures on A4 pages: how wide words are, where lines break, and what goes where.

Lengths are points (1/72 inch); x runs from the left edge of the page, y from its lower edge.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.ft2font import LoadFlags

PAGE_WIDTH_PT, PAGE_HEIGHT_PT = 595.28, 841.89
MARGIN_PT, FOOT_PT = 38.0, 30.0
COLUMN_PT = PAGE_WIDTH_PT - 2 * MARGIN_PT
LINE = 1.32
SANS, BOLD, MONO = "sans", "bold", "mono"
_FONTS = {
    SANS: FontProperties(family="DejaVu Sans"),
    BOLD: FontProperties(family="DejaVu Sans", weight="bold"),
    MONO: FontProperties(family="DejaVu Sans Mono"),
}
_MEASURED_PT = 100


@dataclass(frozen=True)
class Words:
    """A line of text whose baseline starts at (x, y)."""

    x: float
    y: float
    text: str
    size: float
    font: str = SANS


@dataclass(frozen=True)
class Rule:
    """A horizontal line."""

    x: float
    y: float
    length: float
    thickness: float = 0.5


@dataclass(frozen=True)
class Placed:
    """A figure's own page, scaled, with its lower left corner at (x, y)."""

    pdf: Path
    x: float
    y: float
    scale: float


@dataclass
class Page:
    """What stands on one page."""

    words: list[Words] = field(default_factory=list)
    rules: list[Rule] = field(default_factory=list)
    figures: list[Placed] = field(default_factory=list)


@dataclass(frozen=True)
class Mark:
    """A heading as the reader's outline shows it: the page counts from 0, the level from 1."""

    title: str
    page: int
    level: int


def font(name: str) -> FontProperties:
    """Return the font of a name: ``SANS``, ``BOLD`` or ``MONO``."""
    return _FONTS[name]


@cache
def _advance(character: str, name: str) -> float:
    face = get_font(findfont(_FONTS[name]))
    face.set_size(_MEASURED_PT, 72)
    return face.load_char(ord(character), flags=LoadFlags.NO_HINTING).linearHoriAdvance / 65536 / _MEASURED_PT


def width_pt(text: str, size: float, name: str = SANS) -> float:
    """Return how wide a line is, without kerning."""
    return size * sum(_advance(character, name) for character in text)


def wrapped(text: str, width: float, size: float, name: str = SANS) -> list[str]:
    """Break a text into lines of a width; a word that is longer breaks where it must.

    Returns
    -------
    list of str
        One empty line for an empty text. No-break spaces do not break.
    """
    lines, line = [], ""
    for word in text.split(" "):
        longer = f"{line} {word}" if line else word
        if width_pt(longer, size, name) <= width:
            line = longer
            continue
        if line:
            lines.append(line)
        *full, line = _cut(word, width, size, name)
        lines += full
    return [*lines, line]


def _cut(word: str, width: float, size: float, name: str) -> list[str]:
    parts, part = [], ""
    for character in word:
        if part and width_pt(part + character, size, name) > width:
            # better behind a joint of the word than in the middle of it
            joint = max(part.rfind(mark) for mark in "_/-.=,") + 1
            at = joint if joint > len(part) // 2 else len(part)
            parts.append(part[:at])
            part = part[at:]
        part += character
    return [*parts, part]


class Flow:
    """Fills pages from top to bottom.

    Attributes
    ----------
    pages : list of Page
    marks : list of Mark
    """

    def __init__(self) -> None:
        self.pages: list[Page] = []
        self.marks: list[Mark] = []
        self._y = 0.0
        self.new_page()

    @property
    def page(self) -> Page:
        """The page that is being filled."""
        return self.pages[-1]

    @property
    def room(self) -> float:
        """Height that is left on the page."""
        return self._y - MARGIN_PT - FOOT_PT / 2

    def new_page(self) -> None:
        """Go on at the top of a new page."""
        self.pages.append(Page())
        self._y = PAGE_HEIGHT_PT - MARGIN_PT

    def need(self, height: float) -> None:
        """Go to a new page unless there is so much room, or the page is new."""
        if self.room < height and self._y < PAGE_HEIGHT_PT - MARGIN_PT:
            self.new_page()

    def skip(self, height: float) -> None:
        """Leave room, unless at the top of a page."""
        if self._y < PAGE_HEIGHT_PT - MARGIN_PT:
            self._y -= height

    def mark(self, title: str, level: int) -> None:
        """Note a heading for the outline."""
        self.marks.append(Mark(title, len(self.pages) - 1, level))

    def lines(self, lines: Iterable[str], size: float, name: str = SANS, indent: float = 0.0) -> None:
        """Write lines one below the other, over as many pages as they take."""
        for line in lines:
            self.need(size * LINE)
            self._y -= size * LINE
            self.page.words.append(Words(MARGIN_PT + indent, self._y + 0.25 * size, line, size, name))

    def row(self, cells: Sequence[tuple[float, Sequence[str]]], size: float, name: str = SANS) -> None:
        """Write the cells of a table's row, each (x from the margin, lines), side by side."""
        top = self._y
        for x, cell in cells:
            for i, line in enumerate(cell):
                y = top - (i + 1) * size * LINE + 0.25 * size
                self.page.words.append(Words(MARGIN_PT + x, y, line, size, name))
        self._y = top - size * LINE * max((len(cell) for _, cell in cells), default=0)

    def rule(self, length: float, thickness: float = 0.5) -> None:
        """Draw a line across, with a little room above and below."""
        self._y -= 1.5
        self.page.rules.append(Rule(MARGIN_PT, self._y, length, thickness))
        self._y -= 1.5

    def figure(self, pdf: Path, width: float, height: float, scale: float) -> None:
        """Place a figure of an unscaled size in the middle of the column; the room must have been asked for."""
        self._y -= height * scale
        x = MARGIN_PT + (COLUMN_PT - width * scale) / 2
        self.page.figures.append(Placed(pdf, x, self._y, scale))
