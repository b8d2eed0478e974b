"""The supplement as pages: paragraphs, facts, tables that break between rows and columns, figures with captions."""

from __future__ import annotations

from dataclasses import replace

from pypdf import PdfReader

from samstudy.supplement.blocks import Block, Facts, FigureFile, Section, Verbatim
from samstudy.supplement.document import TITLE, Supplement
from samstudy.supplement.set_table import set_table
from samstudy.supplement.typeset import (
    BOLD,
    COLUMN_PT,
    LINE,
    MARGIN_PT,
    MONO,
    PAGE_HEIGHT_PT,
    Flow,
    Words,
    width_pt,
    wrapped,
)

_TEXT_PT, _CAPTION_PT, _FILE_PT, _FOOT_PT = 8.5, 7.5, 6.0, 6.5
_HEADING_PT = {1: 14.0, 2: 11.0, 3: 9.0}
_TERM_PT, _TERM_GAP_PT = 112.0, 6.0
_MOST_CAPTION_LINES = 14


def lay_out(supplement: Supplement) -> Flow:
    """Put a supplement on pages.

    Returns
    -------
    Flow
        Its pages, each with a foot that says the page, the profile and what has to be said of every result.
    """
    flow = Flow()
    _title(flow, supplement)
    parts = (("Methods", supplement.methods), ("Figures", supplement.figures), ("Tables", supplement.tables))
    for title, sections in (*parts, ("Sources", (supplement.sources,))):
        if title != "Methods":
            flow.new_page()
        _heading(flow, title, 1)
        for section in sections:
            _section(flow, supplement, section)
    _feet(flow, supplement)
    return flow


def _title(flow: Flow, supplement: Supplement) -> None:
    flow.lines([TITLE], 18, BOLD)
    flow.skip(4)
    flow.lines(wrapped(supplement.subtitle, COLUMN_PT, 10), 10)
    if supplement.stamps:
        flow.skip(8)
        flow.lines(wrapped(" ".join(supplement.stamps), COLUMN_PT, 10, BOLD), 10, BOLD)
    flow.skip(16)


def _heading(flow: Flow, title: str, level: int, spare: float = 0.0) -> None:
    size = _HEADING_PT[level]
    flow.skip(size)
    flow.need(max(6 * size, 2 * size + spare))
    if level < 3:
        flow.mark(title, level)
    flow.lines(wrapped(title, COLUMN_PT, size, BOLD), size, BOLD)
    flow.skip(3)


def _section(flow: Flow, supplement: Supplement, section: Section) -> None:
    first = next(iter(section.blocks), None)
    spare = _figure_size(first, supplement)[1] if isinstance(first, FigureFile) else 0.0
    _heading(flow, section.title, 2, spare)
    for block in section.blocks:
        _block(flow, supplement, block)


def _block(flow: Flow, supplement: Supplement, block: Block) -> None:
    if isinstance(block, str):
        flow.lines(wrapped(block, COLUMN_PT, _TEXT_PT), _TEXT_PT)
        flow.skip(5)
    elif isinstance(block, Facts):
        _facts(flow, block)
    elif isinstance(block, Verbatim):
        _heading(flow, block.title, 3)
        for line in block.text.splitlines():
            flow.lines(wrapped(line, COLUMN_PT, _FILE_PT, MONO), _FILE_PT, MONO)
    elif isinstance(block, FigureFile):
        _figure(flow, supplement, block)
    else:
        flow.skip(6)
        _caption(flow, supplement.number(block) if block.name else "", block.name, block.caption, spare=60)
        set_table(flow, block)


def _facts(flow: Flow, facts: Facts) -> None:
    if facts.title:
        _heading(flow, facts.title, 3)
    for term, text in facts.entries:
        if not text:
            continue
        named = wrapped(term, _TERM_PT - _TERM_GAP_PT, _TEXT_PT, BOLD)
        said = wrapped(text, COLUMN_PT - _TERM_PT, _TEXT_PT)
        flow.need(max(len(named), len(said)) * _TEXT_PT * LINE)
        named += [""] * (len(said) - len(named))
        for head, line in zip(named, [*said, *[""] * (len(named) - len(said))], strict=True):
            flow.need(_TEXT_PT * LINE)
            flow.row([(_TERM_PT, [line])], _TEXT_PT)
            flow.page.words.append(replace(flow.page.words[-1], x=MARGIN_PT, text=head, font=BOLD))
    flow.skip(5)


def _caption(flow: Flow, number: str, name: str, caption: str, spare: float = 0.0) -> None:
    said = f"{number}. {name}. {caption}" if number else caption
    if not said:
        return
    lines = wrapped(said, COLUMN_PT, _CAPTION_PT)
    flow.need(min(len(lines), _MOST_CAPTION_LINES) * _CAPTION_PT * LINE + spare)
    flow.lines(lines, _CAPTION_PT)
    flow.skip(3)


def _figure(flow: Flow, supplement: Supplement, figure: FigureFile) -> None:
    scale, height = _figure_size(figure, supplement)
    flow.need(height)
    flow.figure(figure.pdf, *_page_size(figure), scale)
    flow.skip(4)
    _caption(flow, supplement.number(figure), figure.name, figure.caption)
    flow.skip(10)


def _page_size(figure: FigureFile) -> tuple[float, float]:
    box = PdfReader(figure.pdf).pages[0].mediabox
    return float(box.width), float(box.height)


def _figure_size(figure: FigureFile, supplement: Supplement) -> tuple[float, float]:
    """Return the scale of a figure, at most 1, and the height that it takes with its caption."""
    width, height = _page_size(figure)
    lines = wrapped(f"{supplement.number(figure)}. {figure.name}. {figure.caption}", COLUMN_PT, _CAPTION_PT)
    below = len(lines) * _CAPTION_PT * LINE + 10
    most = PAGE_HEIGHT_PT - 2 * MARGIN_PT - 4 * _HEADING_PT[1] - below
    scale = min(1.0, COLUMN_PT / width, most / height)
    return scale, height * scale + below


def _feet(flow: Flow, supplement: Supplement) -> None:
    said = " ".join((f"samstudy, profile {supplement.profile}.", *supplement.stamps))
    for number, page in enumerate(flow.pages, start=1):
        count = f"{number} / {len(flow.pages)}"
        right = MARGIN_PT + COLUMN_PT - width_pt(count, _FOOT_PT)
        size = min(_FOOT_PT, _FOOT_PT * (right - MARGIN_PT - 12) / width_pt(said, _FOOT_PT))
        page.words += [Words(MARGIN_PT, 20, said, size), Words(right, 20, count, _FOOT_PT)]
