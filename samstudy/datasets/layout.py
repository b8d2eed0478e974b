"""Which mask files belong to which image, by their names alone; no file is opened.

Under ``images/`` and ``masks/`` (any capitals; or ``image``, ``mask``, ``labels``), for an image ``a.png``:

* ``masks/a.<any image suffix>``, or ``a_mask``, ``a_segmentation``, ``a_seg``, ``a_label``, ``a_gt``, ...:
  one file, whose codes tell the labels;
* ``masks/a_<label>.<suffix>`` or ``masks/a/<label>.<suffix>``: one file for each label. ``nucleus_1`` and
  ``nucleus_2`` are the objects ``nucleus#1`` and ``nucleus#2``; names that say nothing (numbers, hashes) are
  ``object#1``, ``object#2``, ...

Where several images fit (``a`` and ``a_1`` for ``a_1_liver``), the longest name wins. Capitals do not matter.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from samstudy.datasets.tree import visible
from samstudy.errors import StudyError
from samstudy.images import IMAGE_SUFFIXES, kind_of, stem_of

IMAGE_FOLDERS = ("images", "image")
MASK_FOLDERS = ("masks", "mask", "labels")
MASK_WORDS = frozenset(
    "mask masks segmentation seg label labels gt groundtruth ground_truth annotation annotations".split()
)
_SEPARATORS = "_-. "
_SIDECARS = frozenset("splits.csv labels.json labels.csv readme.md readme.txt readme license licence".split())
_INSTANCE = re.compile(r"^(.+)[_\-. ](\d+)$")
_ANONYMOUS = re.compile(r"^(\d+|[0-9a-f]{12,}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$", re.IGNORECASE)


@dataclass(frozen=True)
class Entry:
    """One image with its mask files, or what is wrong with it.

    Attributes
    ----------
    stem : str
        Name of the image without suffix; of the mask where there is no image.
    image : pathlib.Path or None
    masks : tuple of (str or None, pathlib.Path)
        Label, None where the file's codes tell it.
    problem : str
        The rest of a sentence that starts with ``problem_file``; ``""`` where image and masks are complete.
    problem_file : pathlib.Path or None
        The file that is to blame.
    """

    stem: str
    image: Path | None
    masks: tuple[tuple[str | None, Path], ...]
    problem: str = ""
    problem_file: Path | None = None


@dataclass(frozen=True)
class Layout:
    """What a folder holds: entries in the order of their stems, and files that belong to none."""

    entries: tuple[Entry, ...]
    ignored: tuple[tuple[Path, str], ...]


def scan(root: Path) -> Layout:
    """Pair the images and masks under a folder.

    Raises
    ------
    StudyError
        If the folder, its ``images/`` or its ``masks/`` is missing, or there is no image: with what was
        looked for and what was found instead.
    """
    image_dir, mask_dir = find_folders(root)
    ignored = [(path, "is not read: it is in neither images/ nor masks/") for path in _strays(root)]
    images: dict[str, list[Path]] = defaultdict(list)
    for path in visible(image_dir):
        if path.is_file() and kind_of(path):
            images[stem_of(path).casefold()].append(path)
        else:
            ignored.append((path, _why_ignored(path)))
    if not images:
        raise StudyError(
            f"{image_dir} holds no image; looked for files that end in {', '.join(IMAGE_SUFFIXES)}, "
            f"{_found(image_dir)}."
        )
    masks: dict[str, list[tuple[str, Path]]] = defaultdict(list)
    orphans: list[Path] = []
    for path in visible(mask_dir):
        if path.is_dir():
            _take_subfolder(path, images, masks, ignored)
        elif not kind_of(path):
            ignored.append((path, _why_ignored(path)))
        else:
            key, rest = _owner(stem_of(path), images)
            if key is None:
                orphans.append(path)
            else:
                masks[key].append((rest, path))
    entries = [_entry(key, paths, masks.get(key, [])) for key, paths in images.items()]
    taken = {entry.stem for entry in entries}
    entries += [_orphan(path, taken) for path in orphans]
    return Layout(tuple(sorted(entries, key=lambda entry: entry.stem)), tuple(ignored))


def find_folders(root: Path) -> tuple[Path, Path]:
    """Return the folders of images and of masks, whatever their capitals.

    Raises
    ------
    StudyError
        If one of them is missing.
    """
    if not root.is_dir():
        what = "is a file" if root.exists() else "does not exist"
        near = f" ({root.parent} exists)" if root.parent.is_dir() else ""
        raise StudyError(f"the folder {root} {what}{near}; give one that holds images/ and masks/.")
    by_name = {path.name.casefold(): path for path in visible(root) if path.is_dir()}
    found = [
        next((by_name[n] for n in names if n in by_name), None) for names in (IMAGE_FOLDERS, MASK_FOLDERS)
    ]
    if found[0] is None or found[1] is None:
        missing = " and ".join(
            name for name, path in zip(("images/", "masks/"), found, strict=True) if path is None
        )
        raise StudyError(
            f"{root} has no {missing}; looked for images/ and masks/ with files of the same names, "
            f"{_found(root)}. Put the pictures in images/ and their masks, named like them, in masks/."
        )
    return found[0], found[1]


def _strays(root: Path) -> list[Path]:
    return [p for p in visible(root) if p.is_file() and p.name.casefold() not in _SIDECARS]


def _found(folder: Path) -> str:
    entries = visible(folder)
    folders = [f"{path.name}/" for path in entries if path.is_dir()]
    pictures = [path.name for path in entries if path.is_file() and kind_of(path)]
    others = len(entries) - len(folders) - len(pictures)
    parts = [", ".join(folders[:6]) + (", ..." if len(folders) > 6 else "")] if folders else []
    if pictures:
        parts.append(f"{len(pictures)} image files such as {pictures[0]}")
    if others:
        parts.append(f"{others} other files")
    return f"found {' and '.join(parts)}" if parts else "found nothing"


def _why_ignored(path: Path) -> str:
    if path.is_dir():
        return "is a folder; not searched. Put its images directly in images/"
    hint = "; a DICOM file must end in .dcm" if "." not in path.name else ""
    return f"is not read: no known image type{hint}"


def _owner(stem: str, images: dict[str, list[Path]]) -> tuple[str | None, str]:
    """Return the key of the image with the longest name that a mask's name starts with, and the rest."""
    folded = stem.casefold()
    if folded in images:
        return folded, ""
    for end in range(len(folded) - 1, 0, -1):
        if folded[end] in _SEPARATORS and folded[:end] in images:
            return folded[:end], stem[end + 1 :]
    return None, ""


def _take_subfolder(
    folder: Path,
    images: dict[str, list[Path]],
    masks: dict[str, list[tuple[str, Path]]],
    ignored: list[tuple[Path, str]],
) -> None:
    key = folder.name.casefold()
    if key not in images:
        ignored.append((folder, "is a folder of masks, but images/ has no image of that name"))
        return
    for path in visible(folder):
        if path.is_file() and kind_of(path):
            stem = stem_of(path)
            owned = stem.casefold().startswith(key) and stem[len(key) : len(key) + 1] in ("", *_SEPARATORS)
            masks[key].append((stem[len(key) + 1 :] if owned else stem, path))
        else:
            ignored.append((path, _why_ignored(path)))


def _entry(key: str, paths: list[Path], masks: list[tuple[str, Path]]) -> Entry:
    stem = stem_of(paths[0])

    def refused(path: Path, problem: str) -> Entry:
        return Entry(stem, paths[0], (), problem, path)

    if len(paths) > 1:
        return refused(paths[1], f"and {paths[0].name} have one name {stem!r}; rename one, and its mask.")
    if not masks:
        names = f"masks/{stem}.*, {stem}_mask.*, {stem}_<label>.* and masks/{stem}/"
        return refused(paths[0], f"has no mask; looked for {names}.")
    owner: dict[str | None, Path] = {}
    for label, path in named_labels(masks):
        if label in owner:
            what = f"the label {label!r}" if label else "the whole mask"
            return refused(
                path, f"and {owner[label].name} both claim {what} of the image {stem!r}; keep one."
            )
        owner[label] = path
    return Entry(stem, paths[0], tuple(owner.items()))


def named_labels(masks: Sequence[tuple[str, Path]]) -> list[tuple[str | None, Path]]:
    """Turn what mask files of one image are called, the image's own name left out, into labels.

    Parameters
    ----------
    masks : sequence of (str, pathlib.Path)
        ``""`` or a word such as ``mask`` for a file whose codes tell its labels.

    Returns
    -------
    list of (str or None, pathlib.Path)
        Label of each file, see the module; None where its codes tell.
    """
    named: list[tuple[str | None, Path]] = []
    anonymous = 0
    for rest, path in masks:
        instance = _INSTANCE.match(rest)
        if rest == "" or rest.casefold() in MASK_WORDS:
            named.append((None, path))
        elif rest.isdigit():
            named.append((f"object#{int(rest)}", path))
        elif _ANONYMOUS.match(rest):
            anonymous += 1
            named.append((f"object#{anonymous}", path))
        elif instance:
            named.append((f"{_tidy(instance[1])}#{int(instance[2])}", path))
        else:
            named.append((_tidy(rest), path))
    return named


def _tidy(label: str) -> str:
    return re.sub(r"[\s#]+", "_", label.strip(_SEPARATORS)) or "object"


def _orphan(path: Path, taken: set[str]) -> Entry:
    stem = stem_of(path)
    problem = f"has no image: images/{stem}.* is missing."
    return Entry(path.name if stem in taken else stem, None, ((None, path),), problem, path)
