"""What a supplement is made of, before it is a web page or a PDF: sections of paragraphs, facts, tables and figures."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

_INTERVAL = re.compile(r"\[[^\[\]]{1,24}\]")


@dataclass(frozen=True)
class Facts:
    """A short list of terms, each with its text; entries without text are left out.

    Attributes
    ----------
    title : str
        What the facts are about; ``""`` for none.
    entries : tuple of (str, str)
    """

    title: str
    entries: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Table:
    """A table of text.

    Attributes
    ----------
    name : str
        Identifier, e.g. ``"table1_dice"``; ``""`` for a table without one.
    columns : tuple of str
    rows : tuple of tuple of str
        As long as ``columns`` each.
    caption : str
    n_keys : int
        So many leading columns name a row: they are repeated where a table is cut between columns.
    csv : pathlib.Path or None
        The same with every digit.
    """

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""
    n_keys: int = 1
    csv: Path | None = None


@dataclass(frozen=True)
class FigureFile:
    """A figure as :func:`samstudy.figures.save_figure` left it.

    Attributes
    ----------
    name, caption : str
    png, pdf : pathlib.Path
    """

    name: str
    caption: str
    png: Path
    pdf: Path


@dataclass(frozen=True)
class Verbatim:
    """A file as it is, e.g. ``study.yaml``."""

    title: str
    text: str


Block = str | Facts | Table | FigureFile | Verbatim
"""A ``str`` is a paragraph of plain text."""


@dataclass(frozen=True)
class Section:
    """A heading with what is below it.

    Attributes
    ----------
    title : str
    blocks : tuple
        See :data:`Block`.
    """

    title: str
    blocks: tuple[Block, ...] = field(default=())

    @property
    def anchor(self) -> str:
        """Name of the section in an address: lower case, words joined by hyphens."""
        return anchor(self.title)


def anchor(*words: str) -> str:
    """Join words to an identifier of a web page: ``("Mask choice",)`` -> ``"mask-choice"``."""
    joined = "-".join(words).lower()
    return "".join(c if c.isalnum() or c == "_" else "-" for c in joined).strip("-")


def whole_intervals(text: str) -> str:
    """Keep an interval on one line: its spaces do not break."""
    return _INTERVAL.sub(lambda found: found[0].replace(" ", "\N{NO-BREAK SPACE}"), text)
