"""An executed notebook as pieces of a page: text, code to be folded, and what each cell answered."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass

import bleach
import mistune
import nbformat
from nbconvert.filters import Highlight2HTML, strip_ansi

from samstudy.supplement.pictures import Picture, inline_picture

_TABLE_TAGS = ("table", "caption", "thead", "tbody", "tfoot", "tr", "th", "td")
_TEXT_TAGS = (
    "div",
    "p",
    "span",
    "br",
    "b",
    "strong",
    "i",
    "em",
    "code",
    "pre",
    "sup",
    "sub",
    "ul",
    "ol",
    "li",
)
_ATTRIBUTES = {"th": ["colspan", "rowspan", "scope"], "td": ["colspan", "rowspan"]}
_HIDDEN = re.compile(r"<(style|script)\b.*?</\1\s*>", re.DOTALL | re.IGNORECASE)
_DEEPEST = 6
_LINK = re.compile(r"^(?:https?://|mailto:)")
_highlight = Highlight2HTML(pygments_lexer="python")


@dataclass(frozen=True)
class Piece:
    """One thing that a cell shows.

    Attributes
    ----------
    kind : {"text", "code", "table", "output", "picture"}
        ``text`` and ``table`` are HTML that is safe to insert, ``code`` too; ``output`` is plain text.
    content : str
        Empty for a picture.
    picture : Picture or None
    alt : str
        What the picture shows, in words.
    """

    kind: str
    content: str = ""
    picture: Picture | None = None
    alt: str = ""


class _Renderer(mistune.HTMLRenderer):
    """Puts headings below those of the page, and leads nowhere but to addresses on the web."""

    def __init__(self, below: int) -> None:
        super().__init__(escape=True)
        self._below = below

    def heading(self, text: str, level: int, **attributes: object) -> str:
        level = min(level + self._below, _DEEPEST)
        return f"<h{level}>{text}</h{level}>\n"

    def link(self, text: str, url: str, title: str | None = None) -> str:
        # A notebook links files beside it, which a page sent alone does not have.
        return super().link(text, url, title) if _LINK.match(url) else text

    def image(self, text: str, url: str, title: str | None = None) -> str:
        return text


def markdown_html(text: str, below: int = 0) -> str:
    """Turn Markdown into HTML that loads nothing.

    Parameters
    ----------
    text : str
        HTML in it is shown as text; a picture becomes its description.
    below : int
        Levels by which headings are lowered, to 6 at most.
    """
    return str(mistune.create_markdown(renderer=_Renderer(below), plugins=["table", "strikethrough"])(text))


def pieces(notebook: nbformat.NotebookNode, below: int) -> Iterator[Piece]:
    """Yield what an executed notebook shows, in order.

    Parameters
    ----------
    notebook : nbformat.NotebookNode
        Version 4.
    below : int
        Level of the heading that the notebook is under.
    """
    heading = ""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            heading = _last_heading(cell.source) or heading
            yield Piece("text", markdown_html(cell.source, below))
        elif cell.cell_type == "code" and cell.source.strip():
            yield Piece("code", _highlight(cell.source))
            for output in cell.get("outputs", []):
                yield from _answer(output, heading, below)


def _last_heading(source: str) -> str:
    found = re.findall(r"^#+ +(.+?)\s*$", source, re.MULTILINE)
    return found[-1] if found else ""


def _answer(output: nbformat.NotebookNode, heading: str, below: int) -> Iterator[Piece]:
    if output.output_type == "stream":
        yield Piece("output", strip_ansi(output.text))
    elif output.output_type == "error":
        yield Piece("output", strip_ansi("\n".join(output.traceback)))
    elif "image/png" in output.data:
        alt = f"Output of the notebook: {heading}" if heading else "Output of the notebook"
        yield Piece("picture", picture=inline_picture(output.data["image/png"]), alt=alt)
    elif "text/html" in output.data:
        yield Piece("table", clean_html(output.data["text/html"]))
    elif "text/markdown" in output.data:
        yield Piece("text", markdown_html(output.data["text/markdown"], below))
    elif "text/plain" in output.data:
        yield Piece("output", output.data["text/plain"])


def clean_html(text: str) -> str:
    """Keep tables and text of a cell's HTML: no script, style, picture, link or attribute that could load something."""
    text = _HIDDEN.sub("", text)
    return bleach.clean(text, tags={*_TABLE_TAGS, *_TEXT_TAGS}, attributes=_ATTRIBUTES, strip=True).strip()


def escaped(text: str) -> str:
    """Return plain text as HTML."""
    return html.escape(text)
