"""The supplement as one web page that asks nothing of the network: styles, script, pictures and tables are in it."""

from __future__ import annotations

import base64
import hashlib
import re

import jinja2
from markupsafe import Markup, escape
from pygments.formatters import HtmlFormatter

from samstudy.paths import PACKAGE_DIR
from samstudy.supplement.blocks import Facts, FigureFile, Table, Verbatim, anchor, whole_intervals
from samstudy.supplement.document import TITLE, Supplement
from samstudy.supplement.notebooks import pieces
from samstudy.supplement.pictures import figure_picture

_TEMPLATES = PACKAGE_DIR / "supplement" / "templates"
_NOTEBOOK_LEVEL = 3
_CODE_STYLES = {"light": "friendly", "dark": "github-dark"}
_ADDRESS = re.compile(r"https?://[^\s;,<>]+[^\s;,.<>)]|\bdoi:? ?(?P<doi>10\.\d{4,}/[^\s;,<>]*[^\s;,.<>])")


def page_html(supplement: Supplement) -> str:
    """Lay a supplement out as HTML.

    Parameters
    ----------
    supplement : Supplement

    Returns
    -------
    str
        A whole document. Its content security policy forbids every request; the only addresses in it are links.

    Raises
    ------
    StudyError
        If a picture cannot be read.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    kinds = {"text": str, "facts": Facts, "table": Table, "figure": FigureFile, "verbatim": Verbatim}
    environment.tests |= {
        name: lambda block, kind=kind: isinstance(block, kind) for name, kind in kinds.items()
    }
    environment.filters |= {
        "linked": linked,
        "picture": figure_picture,
        "plain": lambda name: name.replace("_", " "),
        "first_sentence": lambda text: text.split(". ", 1)[0].rstrip("."),
        "csv": lambda path: f"data:text/csv;base64,{base64.b64encode(path.read_bytes()).decode('ascii')}",
        "whole_intervals": whole_intervals,
        "pieces": lambda notebook: pieces(notebook, below=_NOTEBOOK_LEVEL),
    }
    script = (_TEMPLATES / "page.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    return environment.get_template("page.html.j2").render(
        supplement=supplement,
        title=TITLE,
        anchor=anchor,
        style=Markup((_TEMPLATES / "page.css").read_text(encoding="utf-8") + _code_styles()),
        script=Markup(script),
        script_digest=digest,
    )


def linked(text: str) -> Markup:
    """Escape a text and make its web addresses and DOIs links."""
    made, at = Markup(""), 0
    for found in _ADDRESS.finditer(text):
        href = f"https://doi.org/{found['doi']}" if found["doi"] else found[0]
        made += escape(text[at : found.start()]) + Markup('<a href="{}">{}</a>').format(href, found[0])
        at = found.end()
    return made + escape(text[at:])


def _code_styles() -> str:
    light, dark = (
        HtmlFormatter(style=name).get_style_defs(".highlight")
        for name in (_CODE_STYLES["light"], _CODE_STYLES["dark"])
    )
    return f"\n{light}\n@media screen and (prefers-color-scheme: dark) {{\n{dark}\n}}\n"
