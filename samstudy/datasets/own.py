"""Data sets of one's own, described by a few lines under ``own_datasets`` in ``study.yaml``.

The files stay where they are and are called what they are called; the lines say which are images, where the masks
of an image are, and what their codes mean::

    own_datasets:
      thyroid:
        root: ../thyroid                        # relative: to the folder of study.yaml
        images: images/{patient}_{view}.png     # see samstudy.datasets.patterns
        masks: masks/{patient}_{view}_map.png   # one file whose codes tell, or {label: pattern}, or {label} in it
        labels: {1: gland, 2: nodule}
        groups: ^(P[0-9]+)                      # what finds the patient in an image's id
        splits: splits.csv                      # or {train: folder, val: folder, test: folder}; else dealt by hash
        modality: ultrasound
        window: [40, 400]                       # level and width, for more than 8 bits
        spacing_mm: 0.1                         # where the files state none
        title: Thyroid ultrasound of our clinic
        licence: not to be passed on
        citation: none

Only ``root``, ``images`` and ``masks`` are needed. The id of an image is its named parts joined by ``_``, else its path
from the first open part on. What is read, and how, is as in ``folder:<path>``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from samstudy.datasets.base import DatasetInfo, Record
from samstudy.datasets.label_names import checked_names
from samstudy.datasets.listing import list_records, with_groups
from samstudy.datasets.matching import Masks, pair
from samstudy.datasets.paired import (
    DISPLAY_NOTE,
    Finding,
    PairedDataset,
    checked_window,
    group_words,
    spacing_is_known,
    split_by_hash,
    split_by_table,
)
from samstudy.datasets.patterns import Pattern
from samstudy.datasets.splits import PARTS
from samstudy.entries import Section
from samstudy.errors import StudyError, unknown_name

_REQUIRED = ("root", "images", "masks")
_OPTIONAL = (
    "labels", "groups", "splits", "modality", "window", "spacing_mm", "title", "licence", "citation",
)  # fmt: skip
_TEXTS = ("groups", "modality", "title", "licence", "citation")


@dataclass(frozen=True)
class OwnEntry:
    """The checked lines of one data set; no file is looked at.

    Attributes
    ----------
    name : str
    root : pathlib.Path
        Absolute, or relative to the working folder as ``base`` was.
    images : Pattern
    masks : dict of (str or None) to Pattern
        Pattern of each label; None where codes, or ``{label}`` in the path, tell the labels.
    labels : dict of str to (str or None)
        Names of codes.
    splits : pathlib.Path, dict of str to Pattern, or None
        A table, the pattern of each part, or neither.
    groups, modality, title, licence, citation : str
        ``""`` where not given.
    window, spacing_mm : tuple of float or None
    """

    name: str
    root: Path
    images: Pattern
    masks: Masks
    labels: dict[str, str | None]
    splits: Path | dict[str, Pattern] | None
    groups: str
    modality: str
    title: str
    licence: str
    citation: str
    window: tuple[float, float] | None
    spacing_mm: tuple[float, float] | None


def read_entry(name: str, entries: Mapping[str, Any], base: Path) -> OwnEntry:
    """Check the lines that describe a data set.

    Parameters
    ----------
    name : str
        What it is called; letters, digits, ``_``, ``-`` and ``.``, as it becomes part of file names.
    entries : mapping
        As YAML gives it.
    base : pathlib.Path
        Folder that a relative root begins at.

    Raises
    ------
    StudyError
        If the name does not do, or an entry is unknown (with near misses), missing, or of another form.
    """
    where = f"own_datasets.{name}"
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name, re.ASCII):
        raise StudyError(
            f"{where}: a data set's name has letters, digits, _, - and . only, as in file names."
        )
    if name == "folder" or name.startswith("phantom_"):
        raise StudyError(f"{where}: this name is taken by the study; choose another.")
    section = Section(entries, where, _REQUIRED, _OPTIONAL)
    texts = {key: section.text(key) if key in section.entries else "" for key in _TEXTS}
    images = Pattern(section.text("images"), f"{where}.images")
    root = base / Path(section.text("root")).expanduser()
    masks, labels = _masks(section, images), _labels(section)
    if labels and None not in masks:
        raise StudyError(
            f"{where}.labels names codes, but masks gives one file for each label: leave one of them out."
        )
    return OwnEntry(
        name, root, images, masks, labels, _splits(section, root, base), **texts,
        window=_pair_of(section, "window"), spacing_mm=_pair_of(section, "spacing_mm"),
    )  # fmt: skip


def own_dataset(name: str, entries: Mapping[str, Any], base: Path) -> OwnDataset:
    """Open a data set that ``study.yaml`` describes; see :func:`read_entry` and :class:`OwnDataset`."""
    return OwnDataset(read_entry(name, entries, base))


class OwnDataset(PairedDataset):
    """Images and masks of one's own, wherever they are.

    Parameters
    ----------
    entry : OwnEntry

    Raises
    ------
    StudyError
        If the root or a folder is not there (with the nearest name there is), no file fits ``images``, two images
        get one id, or ``splits`` or ``groups`` does not fit.
    """

    def __init__(self, entry: OwnEntry) -> None:
        self.root = entry.root
        if not self.root.is_dir():
            raise StudyError(
                f"the root of {entry.name} is {self.root}, which is no folder; mend own_datasets.{entry.name}.root in "
                "study.yaml (a relative root begins at the folder of study.yaml)."
            )
        paired, ignored = pair(self.root, entry.images, entry.masks)
        records = with_groups(list_records(paired), entry.groups or None)
        records, left_out = _split(records, entry)
        has_test = entry.splits is not None and any(record.split == "test" for record in records)
        self.default_split = "test" if has_test else "all"
        self.info = _describe(entry, records)
        source = (
            "the folders" if isinstance(entry.splits, dict) else "splits.csv" if entry.splits else "the hash"
        )
        super().__init__(records, source, entry.labels, [*ignored, *left_out], entry.window, entry.spacing_mm)


def _split(records: Sequence[Record], entry: OwnEntry) -> tuple[list[Record], list[Finding]]:
    if entry.splits is None:
        return split_by_hash(records), []
    if isinstance(entry.splits, Path):
        return split_by_table(records, entry.splits)
    kept, left_out = [], []
    for record in records:
        file = record.image or record.problem_file or entry.root
        relative = file.relative_to(entry.root).as_posix()
        parts = [part for part, pattern in entry.splits.items() if _lies_in(relative, pattern)]
        if len(parts) == 1:
            kept.append(replace(record, split=parts[0]))
        elif record.problem and record.image is None:
            kept.append(replace(record, split=PARTS[-1]))
        else:
            fault = f"is in the parts {' and '.join(parts)}" if parts else "is in none of the parts"
            left_out.append((file, f"{fault} that splits describes: left out"))
    if not any(record.image for record in kept):
        described = ", ".join(f"{part}: {pattern}" for part, pattern in entry.splits.items())
        raise StudyError(
            f"own_datasets.{entry.name}.splits ({described}) fits no image; give folders below the root."
        )
    return kept, left_out


def _lies_in(relative: str, pattern: Pattern) -> bool:
    return (
        pattern.match(relative) is not None
        or Pattern(f"{pattern.text.rstrip('/')}/**").match(relative) is not None
    )


def _describe(entry: OwnEntry, records: Sequence[Record]) -> DatasetInfo:
    noun, note = group_words(records, bool(entry.groups) or isinstance(entry.splits, Path))
    named = [*(label for label in entry.masks if label), *(name for name in entry.labels.values() if name)]
    return DatasetInfo(
        name=entry.name,
        title=entry.title or entry.name,
        modality=entry.modality or "any",
        targets=tuple(dict.fromkeys(named)),
        licence=entry.licence or "the owner's",
        citation=entry.citation or "none",
        how_to_get="files of one's own, described in study.yaml",
        n_images=len(records),
        group_noun=noun,
        interval_note=note,
        spacing_known=spacing_is_known(records) or entry.spacing_mm is not None,
        display_note=_shown(entry),
        split_note="as described in study.yaml"
        if entry.splits
        else "none given: 60 : 15 : 25 by the hash of the group",
    )


def _shown(entry: OwnEntry) -> str:
    window = f"; window: level {entry.window[0]:g}, width {entry.window[1]:g}" if entry.window else ""
    return f"{DISPLAY_NOTE}{window}"


def _masks(section: Section, images: Pattern) -> Masks:
    given = section.entries["masks"]
    where = f"{section.where}.masks"
    if isinstance(given, str):
        masks: Masks = {None: Pattern(section.text("masks"), where)}
    else:
        listed = section.section("masks")
        masks = {str(label): Pattern(listed.text(label), f"{where}.{label}") for label in listed.entries}
    known = (*images.fields, "stem", *(("label",) if None in masks else ()))
    for pattern in masks.values():
        for name in pattern.fields:
            if name not in known:
                error = unknown_name(f"name in {pattern.where}", f"{{{name}}}", [f"{{{k}}}" for k in known])
                raise StudyError(f"{error} Names come from images: {images.text}.")
        if not set(pattern.fields) - {"label"}:
            raise StudyError(
                f"{pattern.where} is {pattern.text!r}; say with {{stem}} which image a mask belongs to."
            )
    return masks


def _labels(section: Section) -> dict[str, str | None]:
    if "labels" not in section.entries:
        return {}
    return checked_names(section.section("labels").entries, f"{section.where}.labels")


def _splits(section: Section, root: Path, base: Path) -> Path | dict[str, Pattern] | None:
    if "splits" not in section.entries:
        return None
    if isinstance(section.entries["splits"], dict):
        parts = section.section("splits", (), PARTS)
        return {part: Pattern(parts.text(part), f"{parts.where}.{part}") for part in parts.entries}
    text = section.text("splits")
    # beside the images, or committed with the study
    return next((path for path in (root / text, base / text) if path.is_file()), root / text)


def _pair_of(section: Section, key: str) -> tuple[float, float] | None:
    value = section.entries.get(key)
    try:
        if value is not None and key == "spacing_mm":
            value = (value, value) if isinstance(value, int | float) else value
            if not min(float(pitch) for pitch in value) > 0:
                raise StudyError("not positive")
        return checked_window(value)
    except (StudyError, TypeError, ValueError) as error:
        form = (
            "a number above 0, or [row, column]"
            if key == "spacing_mm"
            else "[level, width], the width above 0"
        )
        raise StudyError(
            f"{section.where}.{key}: expected {form}, found {section.entries[key]!r}."
        ) from error
