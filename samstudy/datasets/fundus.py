"""What the loaders of the fundus sets share: finding and pairing files, binary masks, disc and cup."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from samstudy.datasets.base import Record
from samstudy.datasets.tree import child, descend, is_named, locate, visible
from samstudy.errors import StudyError
from samstudy.images import FileError, kind_of, labels_of, read_codes, read_image, shown
from samstudy.images.masks import distinct

DISC, CUP = "optic_disc", "optic_cup"
_LEAST_INSIDE = 0.8
_MOST_COVERED = 0.5


@dataclass
class Masks:
    """Named masks of one image while they are read.

    Attributes
    ----------
    labels : dict of str to numpy.ndarray
        bool, H x W.
    sources : dict of str to pathlib.Path
        File of each.
    notes : list of (pathlib.Path, str)
        Remarks that are no reason to leave the image out.
    """

    labels: dict[str, np.ndarray] = field(default_factory=dict)
    sources: dict[str, Path] = field(default_factory=dict)
    notes: list[tuple[Path, str]] = field(default_factory=list)


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
    names = {
        entry.name.casefold(): entry.name for entry in visible(folder) if not is_named(entry.name, *official)
    }
    close = difflib.get_close_matches(name.casefold(), names, n=1, cutoff=0.6)
    hint = f"; there is {names[close[0]]!r}" if close else ""
    return f"(the folder {folder.name}/{name} is not there{hint})"


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


def one_of(option: str, value: object, known: Sequence[str]) -> str:
    """Return an option's value as text.

    Raises
    ------
    StudyError
        If it is none of ``known``; near misses are offered.
    """
    text = str(value).strip().casefold()
    if text in known:
        return text
    close = difflib.get_close_matches(text, known, n=1, cutoff=0.5)
    hint = f"; did you mean {close[0]!r}?" if close else "."
    raise StudyError(f"{option} is {value!r}{hint} Use one of {', '.join(known)}.")


def pair_masks(
    images: Mapping[str, Path], masks: Mapping[str, Mapping[str, Path]], split: str, where: Mapping[str, str]
) -> list[Record]:
    """Pair images and masks of several targets by a key, so that no file is left out silently.

    Parameters
    ----------
    images : mapping of str to pathlib.Path
        File of each key.
    masks : mapping of str to mapping
        Target -> key -> file.
    split : str
        Part that the archive states, or ``""``.
    where : mapping of str to str
        For each target, and for ``"image"``, where it was looked for, see :func:`looked_in`.

    Returns
    -------
    list of Record
        In the order of the keys, which are image id and group. A record that lacks its image or a mask has a
        ``problem``.
    """
    records = []
    for key in sorted({*images, *(key for files in masks.values() for key in files)}):
        image = images.get(key)
        found = tuple((target, files[key]) for target, files in masks.items() if key in files)
        record = Record(key, key, split, image, found)
        lacking = [target for target, files in masks.items() if key not in files]
        if image is None:
            record = replace(
                record, problem=f"is a mask without its image {where['image']}.", problem_file=found[0][1]
            )
        elif lacking:
            places = dict.fromkeys(where[target] for target in lacking)
            named = {place: " and ".join(t for t in lacking if where[t] == place) for place in places}
            problem = " and ".join(f"has no {targets} mask {place}" for place, targets in named.items())
            record = replace(record, problem=f"{problem}.")
        records.append(record)
    return records


def binary_mask(path: Path, what: str) -> tuple[np.ndarray, list[str]]:
    """Read a mask of one structure.

    Parameters
    ----------
    path : pathlib.Path
        Mask with 0 for background and 255 for the structure.
    what : str
        The structure, for the sentence.

    Returns
    -------
    mask : numpy.ndarray, bool, H x W
    notes : list of str
        Where another single code than 255 stands for the structure, or greys of a resized or lossy mask had to be
        cut at half.

    Raises
    ------
    FileError
        If the file cannot be read or holds several codes.
    """
    code_map = read_codes(path)
    codes = distinct(code_map.codes)
    labels, notes = labels_of(code_map)
    if set(labels) != {"mask"}:
        # a palette's codes are its indices; its greys are what one sees in the file
        shades = codes if code_map.colour else distinct(grey_values(path))
        values = ", ".join(map(str, shades[:8]))
        raise FileError(
            path, f"holds the values {values} beside 0; 0 for background and 255 for {what} are expected."
        )
    if len(codes) == 1 and code_map.full_scale and codes[0] != code_map.full_scale:
        notes.append(f"has the value {codes[0]} for {what} where the official files have 255; read as {what}")
    return labels["mask"], notes


def grey_values(path: Path) -> np.ndarray:
    """Read a file whose greys are the label codes, palette or not.

    Returns
    -------
    numpy.ndarray, uint8, H x W

    Raises
    ------
    FileError
        If it cannot be read, or holds colours.
    """
    rgb = read_image(path).rgb
    if (rgb != rgb[..., :1]).any():
        raise FileError(path, "holds colours; a grey label map is expected.")
    return rgb[..., 0]


def refuse_inverted(path: Path, mask: np.ndarray, what: str, region: np.ndarray | None = None) -> None:
    """Raise if a structure that is always small covers more than half of the picture, or of ``region``.

    Raises
    ------
    FileError
        With the share in per cent.
    """
    within = mask if region is None or region.shape != mask.shape or not region.any() else mask[region]
    share = float(within.mean()) if within.size else 0.0
    if share > _MOST_COVERED:
        raise FileError(
            path, f"marks {share:.0%} of the field as {what}; are background and {what} exchanged?"
        )


def nest(masks: Masks) -> Masks:
    """Return disc and cup such that the disc includes the cup, as the rim between them is part of the disc.

    Parameters
    ----------
    masks : Masks
        With the labels ``optic_disc`` and ``optic_cup``. Masks of different sizes are returned as they are, to be
        refused by name.

    Raises
    ------
    FileError
        If the cup is larger than the disc, or less than 80 % of it lies inside the disc: then the files are
        exchanged or belong to different images. A smaller excess is added to the disc and noted.
    """
    disc, cup = masks.labels[DISC], masks.labels[CUP]
    if disc.shape != cup.shape:
        return masks
    n_cup, outside = int(cup.sum()), int((cup & ~disc).sum())
    file = masks.sources[CUP]
    if outside and (n_cup > disc.sum() or n_cup - outside < _LEAST_INSIDE * n_cup):
        raise FileError(
            file,
            f"has a cup of {n_cup} px of which {n_cup - outside} lie in the disc of {int(disc.sum())} px "
            f"({shown(masks.sources[DISC])}); a cup lies inside its disc: are the two files exchanged?",
        )
    if outside:
        masks.notes.append((file, f"has {outside} px of cup outside the disc; they were added to the disc."))
    masks.labels[DISC] = disc | cup
    return masks
