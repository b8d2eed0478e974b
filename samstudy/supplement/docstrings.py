"""Docstrings as sentences for a reader: the methods text is what the code says of itself."""

from __future__ import annotations

import inspect
import re

_ENTRY = re.compile(r"^\*{0,2}(?P<names>\w+(?:, \w+)*) : .*$")
_UNDERLINE = re.compile(r"^-{3,}$")
_ROLE = re.compile(r":\w+:`~?(?:[\w.]*\.)?(\w+)`")
_LITERAL = re.compile(r"``?([^`]+)``?")
_EMPHASIS = re.compile(r"(?<![\w*])\*([^*\s][^*]*)\*(?![\w*])")


def plain_text(text: str) -> str:
    """Remove the markup of a docstring and its line breaks: ``:mod:`~samstudy.ranks``` -> ``ranks``."""
    text = _LITERAL.sub(r"\1", _ROLE.sub(r"\1", text))
    return " ".join(_EMPHASIS.sub(r"\1", text).split())


def paragraphs(thing: object) -> list[str]:
    """Return the prose of a docstring, a paragraph each; items of a list are paragraphs too.

    Parameters
    ----------
    thing : module, class or function
        Its sections (parameters, notes) and its first line, a title, where more follows, are left out.
    """
    lines = (inspect.getdoc(thing) or "").splitlines()
    end = next((i for i, line in enumerate(lines) if i and _UNDERLINE.match(line)), len(lines) + 1) - 1
    text = re.sub(r"^[-*] ", "\n", "\n".join(lines[:end]), flags=re.MULTILINE)
    said = [plain_text(part) for part in re.split(r"\n\s*\n", text)]
    return [part for part in said if part]


def first_paragraph(thing: object) -> str:
    """Return the first paragraph of a docstring; ``""`` where there is none."""
    return next(iter(paragraphs(thing)), "")


def described(thing: object) -> dict[str, str]:
    """Return what a NumPy docstring says of each parameter or attribute, by its name.

    ``steps, patience : int`` with a text gives that text under both names.
    """
    found: dict[str, str] = {}
    names: list[str] = []
    for line in (inspect.getdoc(thing) or "").splitlines():
        entry = _ENTRY.match(line)
        if entry:
            names = entry["names"].split(", ")
            found |= dict.fromkeys(names, "")
        elif names and line.startswith(" "):
            found |= {name: f"{found[name]} {line.strip()}" for name in names}
        elif line.strip():
            names = []
    return {name: plain_text(text) for name, text in found.items()}
