"""Which mask files belong to which image, by patterns of their paths; no file is opened."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from samstudy.datasets.layout import Entry, named_labels
from samstudy.datasets.patterns import Files, Pattern
from samstudy.errors import StudyError
from samstudy.images import IMAGE_SUFFIXES, kind_of, stem_of

Finding = tuple[Path, str]
Masks = Mapping[str | None, Pattern]
"""Pattern of the mask files of each label; None where codes, or ``{label}`` in the path, tell the labels."""


def pair(root: Path, images: Pattern, masks: Masks) -> tuple[tuple[Entry, ...], list[Finding]]:
    """Pair the images and masks below a root.

    Parameters
    ----------
    root : pathlib.Path
        Exists.
    images : Pattern
        What is an image; a file that is the mask of another image is not one.
    masks : mapping of (str or None) to Pattern
        With names of ``images``, ``{stem}`` (the image's own name without suffix, unless ``images`` names it) and
        ``{label}``. Where a mask fits several images, those with the longest id have it.

    Returns
    -------
    entries : tuple of Entry
        In the order of their ids. An image without a mask, and a mask without an image, have a ``problem``.
    ignored : list of (pathlib.Path, str)
        Files in the folders of the patterns that are neither, and labels an image has no file of.

    Raises
    ------
    StudyError
        If a folder of a pattern is not there, no file fits ``images``, or two images get one id.
    """
    files = Files(root, (images, *masks.values()))
    ignored: list[Finding] = []
    candidates = _candidates(files, images, ignored)
    claims = {one.relative: _claims(files, masks, one) for one in candidates}
    owners = _owners(candidates, claims)
    chosen = [one for one in candidates if one.relative not in owners]
    _refuse_none_or_two(files, images, candidates, chosen)
    entries = [
        _entry(
            files,
            one,
            [c for c in claims[one.relative] if one.image_id in owners[c.relative]],
            masks,
            ignored,
        )
        for one in chosen
    ]
    used = {*owners, *(one.relative for one in chosen)}
    orphans = _orphans(files, images, masks, used, {entry.stem for entry in entries})
    known = {files.by_path[relative] for relative in used}
    known |= {path for path, _ in ignored} | {orphan.problem_file for orphan in orphans}
    strays = [path for path in files.by_path.values() if path not in known]
    ignored += [(path, "is not read: it fits neither images nor masks") for path in strays]
    return tuple(sorted([*entries, *orphans], key=lambda entry: entry.stem)), ignored


@dataclass(frozen=True)
class _Candidate:
    """A file that fits ``images``: its path below the root, its id, and what the names stand for."""

    relative: str
    image_id: str
    values: Mapping[str, str]


@dataclass(frozen=True)
class _Claim:
    """A mask file that fits an image: the label it is listed under, and what ``{label}`` stands for in it."""

    relative: str
    label: str | None
    rest: str


def _candidates(files: Files, images: Pattern, ignored: list[Finding]) -> list[_Candidate]:
    found = []
    for relative, values in files.fitting(images):
        path = files.by_path[relative]
        if kind_of(path):
            image_id = images.id_of(relative, values)
            found.append(_Candidate(relative, image_id, {"stem": stem_of(path), **values}))
        else:
            ignored.append((path, "is not read: no known image type"))
    return found


def _claims(files: Files, masks: Masks, one: _Candidate) -> list[_Claim]:
    return [
        _Claim(relative, label, values.get("label", ""))
        for label, pattern in masks.items()
        for relative, values in files.fitting(pattern.filled(one.values))
        if relative != one.relative and kind_of(files.by_path[relative])
    ]


def _owners(candidates: list[_Candidate], claims: Mapping[str, list[_Claim]]) -> dict[str, set[str]]:
    """Return which images have each mask file: of those it fits, the ones with the longest id."""
    fitting: dict[str, set[str]] = defaultdict(set)
    for one in candidates:
        for claim in claims[one.relative]:
            fitting[claim.relative].add(one.image_id)
    longest = {relative: max(map(len, ids)) for relative, ids in fitting.items()}
    return {relative: {i for i in ids if len(i) == longest[relative]} for relative, ids in fitting.items()}


def _refuse_none_or_two(
    files: Files, images: Pattern, candidates: list[_Candidate], chosen: list[_Candidate]
) -> None:
    if not chosen:
        held = ", such as " + next(iter(files.by_path)) if files.by_path else ""
        reason = "every file that fits it is the mask of another" if candidates else "no image fits it"
        raise StudyError(
            f"{images.where} is {images.text!r}, but {reason}; looked at {len(files.by_path)} files below "
            f"{files.root}{held}. Images end in {', '.join(IMAGE_SUFFIXES)}."
        )
    first: dict[str, str] = {}
    for one in chosen:
        other = first.setdefault(one.image_id, one.relative)
        if other != one.relative:
            raise StudyError(
                f"{images.where} is {images.text!r}, which gives {other} and {one.relative} the same id "
                f"{one.image_id!r}; name what tells them apart with a further {{name}}."
            )


def _entry(
    files: Files, one: _Candidate, claims: list[_Claim], masks: Masks, ignored: list[Finding]
) -> Entry:
    path = files.by_path[one.relative]
    wanted = {label: str(pattern.filled(one.values)) for label, pattern in masks.items()}
    if not claims:
        problem = f"has no mask; looked for {' and '.join(wanted.values())}."
        return Entry(one.image_id, path, (), problem, path)
    named = [
        pair for label in masks for pair in _labels_of(files, label, [c for c in claims if c.label == label])
    ]
    owner: dict[str | None, Path] = {}
    for label, mask in named:
        if label in owner:
            what = f"the label {label!r}" if label else "the whole mask"
            problem = (
                f"and {owner[label].name} both fit {what} of the image {one.image_id!r}; keep one, or tell labels "
                "apart with {label} in masks."
            )
            return Entry(one.image_id, path, (), problem, mask)
        owner[label] = mask
    for label in masks:
        if label is not None and not any(claim.label == label for claim in claims):
            ignored.append((path, f"has no file for {label!r}; looked for {wanted[label]}"))
    return Entry(one.image_id, path, tuple(owner.items()))


def _labels_of(files: Files, label: str | None, claims: list[_Claim]) -> list[tuple[str | None, Path]]:
    """Return label and file of what fits one pattern: several files of one label are its objects 1, 2, ..."""
    if label is None:
        return named_labels([(claim.rest, files.by_path[claim.relative]) for claim in claims])
    paths = [files.by_path[claim.relative] for claim in claims]
    if len(paths) == 1:
        return [(label, paths[0])]
    return [(f"{label}#{number}", path) for number, path in enumerate(paths, start=1)]


def _orphans(files: Files, images: Pattern, masks: Masks, used: set[str], taken: set[str]) -> list[Entry]:
    found: dict[str, Entry] = {}
    for label, pattern in masks.items():
        for relative, values in files.fitting(pattern):
            path = files.by_path[relative]
            if relative in used or relative in found or not kind_of(path):
                continue
            stem = "_".join(values.get(name, "") for name in images.fields) or values.get(
                "stem", stem_of(path)
            )
            # an id of its own: its path, where the image's is taken
            image_id = relative.replace("/", "_") if stem in taken else stem
            taken.add(image_id)
            problem = f"has no image: none that fits {images.text} goes with it."
            found[relative] = Entry(image_id, None, ((label, path),), problem, path)
    return list(found.values())
