"""Files of an official archive by image: found by name, paired with their masks, and none left out silently."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from samstudy.datasets.base import Record
from samstudy.datasets.tree import child, descend, is_named, locate, nearest, visible
from samstudy.images import kind_of, shown


def pictures(folder: Path | None, depth: int = 0) -> list[Path]:
    """Return the PNG, JPEG, TIFF, BMP and GIF files of a folder and of ``depth`` levels below it, by name.

    An absent folder (or None) has none.
    """
    if folder is None or not folder.is_dir():
        return []
    entries = visible(folder)
    found = [path for path in entries if path.is_file() and kind_of(path) == "raster"]
    if depth:
        found += [p for entry in entries if entry.is_dir() for p in pictures(entry, depth - 1)]
    return found


def keyed(
    paths: Sequence[Path], key: Callable[[Path], str | None], official: str
) -> tuple[dict[str, Path], list[tuple[Path, str, str]]]:
    """Find out which image each file belongs to.

    Parameters
    ----------
    paths : sequence of pathlib.Path
        Files, the preferred one of an image first.
    key : callable
        Image id of a file by its name, None where the name is not understood.
    official : str
        Example of an official name, for the sentence.

    Returns
    -------
    files : dict of str to pathlib.Path
        The first file of each image.
    findings : list of (file, text, level)
        A note for every other file: nothing is left out silently.
    """
    found: dict[str, Path] = {}
    findings = []
    for path in paths:
        name = key(path)
        if name is None:
            findings.append((path, f"is not read: official names are as {official}.", "note"))
        elif found.setdefault(name, path) != path:
            findings.append((path, f"is not read: {shown(found[name])} is taken for {name}.", "note"))
    return found, findings


def part_folders(root: Path, parts: Sequence[str], landmarks: Sequence[str]) -> dict[str, Path]:
    """Return the folder of each part of an archive that is there.

    Parameters
    ----------
    root : pathlib.Path
        Folder below which every part is.
    parts : sequence of str
        Names of the folders.
    landmarks : sequence of str
        Each begins with the part it marks.
    """
    found = {}
    for part in parts:
        parent = locate(root, [mark for mark in landmarks if mark.startswith(f"{part}/")])
        if parent is not None:
            found[part] = descend(parent, part)
    return found


def looked_in(folder: Path, name: str, official: Sequence[str] = ()) -> str:
    """Say where masks were looked for.

    Parameters
    ----------
    folder, name : pathlib.Path, str
        Folder, and the one in it that should hold the masks.
    official : sequence of str
        Names or patterns of the other folders there: they are not offered as ``name`` misspelt.

    Returns
    -------
    str
        ``"in test/mask"``, or that it is not there and which folder has a similar name.
    """
    if child(folder, name) is not None:
        return f"in {folder.name}/{name}"
    return f"(the folder {folder.name}/{name} is not there{nearest(folder, name, official)})"


def unread_folders(
    folder: Path, official: Sequence[str], read: Sequence[Path] = ()
) -> list[tuple[Path, str, str]]:
    """Say which folders with pictures in them no loader will read.

    Parameters
    ----------
    folder : pathlib.Path
        Where they are.
    official : sequence of str
        Names or glob patterns of the folders that are read there.
    read : sequence of pathlib.Path
        Folders that are read wherever they lie; those above them are known too.

    Returns
    -------
    list of (folder, text, level)
        An ``error`` where it looks like an official folder that is absent, under another name; else a ``note``.
    """
    absent = {name.casefold(): name for name in official if child(folder, name) is None}
    findings = []
    for entry in visible(folder):
        name = entry.name.casefold()
        known = is_named(entry.name, *official) or any(path.is_relative_to(entry) for path in read)
        if known or not entry.is_dir() or not pictures(entry, depth=4):
            continue
        close = difflib.get_close_matches(name, absent, n=1, cutoff=0.5)
        if close:
            text = f"is not read: is it the folder {absent[close[0]]!r} under another name?"
            findings.append((entry, text, "error"))
        else:
            findings.append((entry, "is not read: the official archive has no folder of this name.", "note"))
    return findings


def pair_masks(
    images: Mapping[str, Path],
    masks: Mapping[str | None, Mapping[str, Path]],
    split: str,
    where: Mapping[str | None, str],
    mask_words: str = "",
) -> list[Record]:
    """Pair images and masks by a key, so that no file is left out silently.

    Parameters
    ----------
    images : mapping of str to pathlib.Path
        File of each key.
    masks : mapping of (str or None) to mapping
        Target -> key -> file; the target is None where the file's codes tell it.
    split : str
        Part that the archive states, or ``""``.
    where : mapping of (str or None) to str
        For each target, where its masks were looked for, see :func:`looked_in`; for ``"image"`` likewise, if stated.
    mask_words : str
        What any of the masks is called, for the sentences; ``"<target> mask"`` by default.

    Returns
    -------
    list of Record
        In the order of the keys, which are image id and group. A record that lacks its image or a mask has a
        ``problem``.
    """
    records = []
    for key in sorted({*images, *(key for files in masks.values() for key in files)}):
        found = tuple((target, files[key]) for target, files in masks.items() if key in files)
        record = Record(key, key, split, images.get(key), found)
        lacking = [target for target, files in masks.items() if key not in files]
        if record.image is None:
            words = " ".join(filter(None, (mask_words or "mask", "without its image", where.get("image"))))
            record = replace(record, problem=f"is a {words}.", problem_file=found[0][1])
        elif lacking:
            places = dict.fromkeys(where[target] for target in lacking)
            named = {place: " and ".join(str(t) for t in lacking if where[t] == place) for place in places}
            lacks = [f"has no {mask_words or f'{targets} mask'} {place}" for place, targets in named.items()]
            record = replace(record, problem=f"{' and '.join(lacks)}.")
        records.append(record)
    return records
