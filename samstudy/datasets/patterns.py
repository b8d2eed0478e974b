"""Path patterns with named parts: ``{patient}/raw/{stem}.png`` finds images and tells where their masks are.

A pattern is a path below a root, with slashes, in any capitals. ``*`` and ``?`` stand for text without a slash, ``**/``
for any folders, ``[ab]`` for one of these characters. ``{name}`` stands for text without a slash too, and gives it
a name: what ``{stem}`` or ``{patient}`` stood for in the path of an image is put back in the pattern of its masks.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path

from samstudy.datasets.tree import descend, nearest, visible
from samstudy.errors import StudyError
from samstudy.images import stem_of

_TOKENS = re.compile(r"(\{\w*\}|\*\*/|\*+|\?|\[[^\]/]+\])")
_WILD = {"**/": "(?:.*/)?", "?": "[^/]"}


class Pattern:
    """A glob with named parts.

    Parameters
    ----------
    text : str
        See the module.
    where : str
        What it is, for error sentences.

    Raises
    ------
    StudyError
        If it is absolute, climbs out of the root, or a name is no word.
    """

    def __init__(self, text: str, where: str = "the pattern") -> None:
        self.text, self.where = text.strip().removeprefix("./"), where
        parts = self.text.split("/")
        if ".." in parts or not parts[0] or re.match(r"[A-Za-z]:", self.text) or "\\" in self.text:
            raise StudyError(
                f"{where} is {text!r}; give a path below the root, with slashes and without '..', such as "
                "images/{stem}.png."
            )
        for token in _TOKENS.findall(self.text):
            if token.startswith("{") and not re.fullmatch(r"\{[A-Za-z]\w*\}", token):
                raise StudyError(f"{where} is {text!r}; a name in braces is a word, such as {{stem}}.")

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """The names in braces, in order, each once."""
        return tuple(dict.fromkeys(t[1:-1] for t in _TOKENS.findall(self.text) if t.startswith("{")))

    @cached_property
    def prefix(self) -> str:
        """What stands before the first open part, in lower case."""
        return _TOKENS.split(self.text, maxsplit=1)[0].casefold()

    @cached_property
    def folder(self) -> str:
        """The folders before the first open part, ``""`` for the root."""
        return _TOKENS.split(self.text, maxsplit=1)[0].rpartition("/")[0]

    @cached_property
    def _regex(self) -> re.Pattern[str]:
        seen: set[str] = set()
        pieces = []
        for token in _TOKENS.split(self.text):
            name = token[1:-1] if token.startswith("{") else ""
            if name:
                pieces.append(f"(?P={name})" if name in seen else f"(?P<{name}>[^/]+)")
                seen.add(name)
            elif token.startswith("[") and len(token) > 2:
                negated, inside = token[1] == "!" and len(token) > 3, token[1:-1]
                inside = re.sub(r"[\\\[\^&~|]", r"\\\g<0>", inside[negated:])
                pieces.append(f"[{'^' * negated}{inside}]")
            else:
                pieces.append(_WILD.get(token, "[^/]*" if token.startswith("*") else re.escape(token)))
        try:
            return re.compile("".join(pieces), re.IGNORECASE)
        except re.error as error:
            raise StudyError(
                f"{self.where} is {self.text!r}, which cannot be understood: {error}."
            ) from error

    def match(self, relative: str) -> dict[str, str] | None:
        """Return what each name stands for in a path below the root, None where the path does not fit."""
        found = self._regex.fullmatch(relative)
        return None if found is None else found.groupdict()

    def filled(self, values: Mapping[str, str]) -> Pattern:
        """Return the pattern with the known names put in, as text that stands for itself."""

        def put(match: re.Match[str]) -> str:
            value = values.get(match[0][1:-1]) if match[0].startswith("{") else None
            return match[0] if value is None else re.sub(r"([*?\[{])", r"[\1]", value)

        return Pattern(_TOKENS.sub(put, self.text), self.where)

    def id_of(self, relative: str, values: Mapping[str, str]) -> str:
        """Return the id of an image: its named parts, else its path from the first open part, joined by ``_``."""
        if self.fields:
            return "_".join(values[name] for name in self.fields)
        open_from = self.folder.count("/") + 1 if self.folder else 0
        parts = relative.split("/")[open_from:]
        return "_".join([*parts[:-1], stem_of(Path(parts[-1]))])

    def __str__(self) -> str:
        return re.sub(r"\[([*?\[{])\]", r"\1", self.text)


class Files:
    """The files below some folders of a root, by their path.

    Parameters
    ----------
    root : pathlib.Path
    patterns : iterable of Pattern
        Only the folders that these begin with are walked.

    Raises
    ------
    StudyError
        If such a folder is not there, with the nearest name there is.
    """

    def __init__(self, root: Path, patterns: Iterable[Pattern]) -> None:
        self.root = root
        found: dict[str, Path] = {}
        for pattern in patterns:
            found |= {p.relative_to(root).as_posix(): p for p in _walk(_start(root, pattern))}
        self.by_path = dict(sorted(found.items()))
        self._folded = sorted((relative.casefold(), relative) for relative in found)

    def fitting(self, pattern: Pattern) -> list[tuple[str, dict[str, str]]]:
        """Return the paths that fit, in order, with what the names stand for."""
        first = bisect_left(self._folded, (pattern.prefix, ""))
        found = []
        for folded, relative in self._folded[first:]:
            if not folded.startswith(pattern.prefix):
                break
            values = pattern.match(relative)
            if values is not None:
                found.append((relative, values))
        return found


def _start(root: Path, pattern: Pattern) -> Path:
    current = root
    for part in filter(None, pattern.folder.split("/")):
        below = descend(current, part)
        if below is None:
            raise StudyError(
                f"{pattern.where} is {pattern.text!r}, but {current} has no folder {part!r}{nearest(current, part)}."
            )
        current = below
    return current


def _walk(folder: Path) -> Iterator[Path]:
    seen, waiting = set(), [folder]
    while waiting:
        current = waiting.pop()
        # a link to a folder above would go round for ever
        if current.resolve() in seen:
            continue
        seen.add(current.resolve())
        for path in visible(current):
            if path.is_dir():
                waiting.append(path)
            else:
                yield path
