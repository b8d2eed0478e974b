"""Folders as people keep them: any capitals, hidden and system files aside, a level of nesting too many."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from samstudy.errors import StudyError

_RUBBISH = frozenset("thumbs.db desktop.ini __macosx".split())


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
    kept = [p for p in paths if not p.name.startswith(".") and p.name.casefold() not in _RUBBISH]
    return sorted(kept, key=lambda path: path.name)


def child(folder: Path, *patterns: str) -> Path | None:
    """Return the entry of a folder that matches the first pattern that any entry matches, else None.

    Parameters
    ----------
    folder : pathlib.Path
        May be absent: then there is no entry.
    *patterns : str
        Names or glob patterns, in order of preference; capitals do not matter.
    """
    entries = visible(folder) if folder.is_dir() else []
    for pattern in patterns:
        for entry in entries:
            if fnmatchcase(entry.name.casefold(), pattern.casefold()):
                return entry
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


def nearest(folder: Path, name: str) -> str:
    """Return ``"; there is 'masks1'"`` for the entry with the most similar name, ``""`` where none is similar."""
    names = {entry.name.casefold(): entry.name for entry in visible(folder)} if folder.is_dir() else {}
    names.pop(name.casefold(), None)
    close = difflib.get_close_matches(name.casefold(), names, n=1, cutoff=0.6)
    return f"; there is {names[close[0]]!r}" if close else ""


def locate(root: Path, landmarks: Sequence[str], depth: int = 2) -> Path | None:
    """Find the folder in which a data set begins.

    Parameters
    ----------
    root : pathlib.Path
        Where to begin.
    landmarks : sequence of str
        Slash-separated patterns (``"Training/Images"``), any one of which marks the folder; capitals do not
        matter.
    depth : int
        So many levels of folders below ``root`` are searched: archives unpack into a folder of their own.

    Returns
    -------
    pathlib.Path or None
        The nearest one to ``root``.
    """
    level = [root] if root.is_dir() else []
    for _ in range(depth + 1):
        for folder in level:
            if any(descend(folder, *landmark.split("/")) is not None for landmark in landmarks):
                return folder
        level = [entry for folder in level for entry in visible(folder) if entry.is_dir()]
    return None
