"""Folders as people keep them: any capitals, hidden and system files aside, a level of nesting too many."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from samstudy.errors import StudyError

DEPTH = 3
"""So many levels of folders below the one that was pointed at are searched."""

_RUBBISH = frozenset("thumbs.db desktop.ini __macosx".split())
_COPY = re.compile(r" \(\d+\)$")


def visible(folder: Path) -> list[Path]:
    """Return what a folder holds, by name; hidden files and what systems leave behind are left out.

    Raises
    ------
    StudyError
        If it cannot be listed.
    """
    try:
        paths = list(folder.iterdir())
    except OSError as error:
        raise StudyError(f"the folder {folder} cannot be listed: {error.strerror or error}.") from error
    return sorted((p for p in paths if _is_visible(p.name)), key=lambda path: path.name)


def _is_visible(name: str) -> bool:
    return not name.startswith(".") and name.casefold() not in _RUBBISH


def is_named(name: str, *patterns: str) -> bool:
    """Whether a name matches any of the patterns, whatever its capitals.

    The number that systems add to the second download of one name, ``"masks (1)"``, does not matter.
    """
    plain = _COPY.sub("", name.casefold())
    return any(fnmatchcase(name.casefold(), p) or fnmatchcase(plain, p) for p in map(str.casefold, patterns))


def child(folder: Path, *patterns: str) -> Path | None:
    """Return the entry of a folder that matches the first pattern that any entry matches, else None.

    Parameters
    ----------
    folder : pathlib.Path
        May be absent: then there is no entry.
    *patterns : str
        Names or glob patterns, in order of preference, see :func:`is_named`; of ``masks`` and ``masks (1)``, the
        former is taken.
    """
    entries = visible(folder) if folder.is_dir() else []
    for pattern in patterns:
        found = [entry for entry in entries if is_named(entry.name, pattern)]
        if found:
            return min(found, key=lambda entry: bool(_COPY.search(entry.name)))
    return None


def descend(folder: Path, *parts: str) -> Path | None:
    """Follow names (or patterns) down from a folder, whatever their capitals; None where one is missing."""
    current: Path | None = folder
    for part in parts:
        current = child(current, part) if current is not None else None
    return current


def files(folder: Path | None, *patterns: str) -> list[Path]:
    """Return the files of a folder that match any of the patterns, whatever their capitals, by name.

    An absent folder (or None) has no files.
    """
    if folder is None or not folder.is_dir():
        return []
    lowered = [pattern.casefold() for pattern in patterns]
    return [
        p for p in visible(folder) if p.is_file() and any(fnmatchcase(p.name.casefold(), q) for q in lowered)
    ]


def nearest(folder: Path, name: str, official: Sequence[str] = ()) -> str:
    """Return ``"; there is 'masks1'"`` for the entry with the most similar name, ``""`` where none is similar.

    Entries of an ``official`` name or pattern are not offered: they are what they are called.
    """
    entries = visible(folder) if folder.is_dir() else []
    names = {e.name.casefold(): e.name for e in entries if not is_named(e.name, *official)}
    names.pop(name.casefold(), None)
    close = difflib.get_close_matches(name.casefold(), names, n=1, cutoff=0.6)
    return f"; there is {names[close[0]]!r}" if close else ""


def locate(root: Path, landmarks: Sequence[str], depth: int = DEPTH) -> Path | None:
    """Find the folder in which a data set begins.

    Parameters
    ----------
    root : pathlib.Path
        Where to begin.
    landmarks : sequence of str
        Slash-separated patterns (``"Training/Images"``), any one of which marks the folder; capitals do not
        matter. The first part names a folder.
    depth : int
        So many levels of folders below ``root`` are searched: archives unpack into a folder of their own.

    Returns
    -------
    pathlib.Path or None
        The nearest one to ``root``.
    """
    return next(
        (folder for folder, names in _walk(root, depth) if any(_marks(folder, names, m) for m in landmarks)),
        None,
    )


def locate_all(root: Path, landmarks: Sequence[str], depth: int = DEPTH) -> Path | None:
    """Find the folder below which every part of a data set is, wherever each archive was unpacked.

    Parameters
    ----------
    root, landmarks, depth
        As in :func:`locate`.

    Returns
    -------
    pathlib.Path or None
        The folder that holds the landmarks; where each of them is in a folder of its own, what these have in
        common. Of each landmark the one nearest to ``root`` counts.
    """
    homes: dict[str, Path] = {}
    for folder, names in _walk(root, depth):
        for landmark in landmarks:
            if landmark not in homes and _marks(folder, names, landmark):
                homes[landmark] = folder
    return Path(os.path.commonpath(homes.values())) if homes else None


def enclosing(start: Path, landmarks: Sequence[str]) -> Path | None:
    """Return the folder, one or two levels above, in which a landmark leads through ``start``; else None."""
    for above in (start.parent, start.parent.parent):
        inside = start.relative_to(above).parts
        for landmark in landmarks:
            parts = landmark.split("/")
            is_through = all(is_named(*pair) for pair in zip(inside, parts, strict=False))
            if inside and is_through and descend(above, *parts) is not None:
                return above
    return None


def seek(root: Path, *names: str, depth: int = DEPTH) -> Path | None:
    """Return the folder of the first name (or pattern) that is anywhere below a root, the nearest one; else None."""
    for name in names:
        above = locate(root, (name,), depth)
        if above is not None:
            return child(above, name)
    return None


def _walk(root: Path, depth: int) -> Iterator[tuple[Path, list[str]]]:
    """Yield each folder down to a depth, the nearest first, and the names of the folders in it."""
    level = [root] if root.is_dir() else []
    for _ in range(depth + 1):
        below: list[Path] = []
        for folder in level:
            try:
                with os.scandir(folder) as entries:
                    inside = sorted(e.name for e in entries if _is_visible(e.name) and e.is_dir())
            except OSError as error:
                raise StudyError(
                    f"the folder {folder} cannot be listed: {error.strerror or error}."
                ) from error
            below += [folder / name for name in inside]
            yield folder, inside
        level = below


def _marks(folder: Path, names: Sequence[str], landmark: str) -> bool:
    """Whether a landmark begins in a folder that holds folders of these names."""
    first, _, rest = landmark.partition("/")
    if not any(is_named(name, first) for name in names):
        return False
    return not rest or descend(folder, *landmark.split("/")) is not None
