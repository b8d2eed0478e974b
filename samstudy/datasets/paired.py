"""What data sets of one's own share: pictures and their masks are read, split and described in one way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np

from samstudy.datasets.base import Dataset, Reading, Record
from samstudy.datasets.listing import stem_of_slice
from samstudy.datasets.splits import hashed_split, read_splits
from samstudy.errors import StudyError
from samstudy.images import FileError, ImageFile, kind_of, labels_of, read_codes, read_image, shown, upright
from samstudy.images.masks import distinct
from samstudy.images.volume import read_nifti, same_grid

DISPLAY_NOTE = (
    "NIfTI: axial, anterior up, patient's right on the left; 8 bits as they are, CT at level 40 width 400, else the "
    "0.5-99.5 percentile"
)
_SNIFFED_MASKS = 32

Finding = tuple[Path, str]


class PairedDataset(Dataset):
    """Images with mask files, listed by a subclass.

    Parameters
    ----------
    records : sequence of Record
        With their parts.
    split_source : str
        For error sentences.
    names : dict of str to (str or None)
        Names of the codes of label maps, see ``samstudy.datasets.label_names``.
    ignored : sequence of (pathlib.Path, str)
        Files that belong to no record, and why: notes of ``check``.
    window : tuple of float, optional
        (level, width) for images of more than 8 bits.
    spacing_mm : tuple of float, optional
        (row, column) pitch of images whose files state none.
    """

    def __init__(
        self,
        records: Sequence[Record],
        split_source: str,
        names: dict[str, str | None],
        ignored: Sequence[Finding] = (),
        window: tuple[float, float] | None = None,
        spacing_mm: tuple[float, float] | None = None,
    ) -> None:
        self._names, self._ignored = names, list(ignored)
        self._window, self._spacing_mm = window, spacing_mm
        super().__init__(records, split_source)

    @cached_property
    def _map_codes(self) -> frozenset[int]:
        """Codes of the label maps among 32 evenly spaced mask files.

        They decide what a file of one single code is: a label map with one label left, or a binary mask.
        """
        files = sorted({path for r in self._records.values() for label, path in r.masks if label is None})
        chosen = np.unique(np.linspace(0, max(len(files) - 1, 0), _SNIFFED_MASKS).astype(int))
        return frozenset().union(*(_codes_of_map(path) for i in chosen for path in files[i : i + 1]))

    def _read(self, record: Record) -> Reading:
        picture = read_image(record.image, record.index, self._window)
        notes = [(record.image, note) for note in picture.notes]
        labels: dict[str, np.ndarray] = {}
        sources: dict[str, Path] = {}
        for label, path in record.masks:
            found, remarks = self._read_mask(label, path, record.index)
            for name, mask in found.items():
                if name in labels:
                    raise FileError(path, f"gives the label {name!r}; {shown(sources[name])} gives it too.")
                labels[name], sources[name] = mask, path
            notes += [(path, remark) for remark in remarks]
            if record.index is not None and kind_of(path) == "nifti":
                notes += [(path, text) for text in [same_grid(record.image, path)] if text]
        image, note = _oriented(picture, next(iter(labels.values())).shape)
        notes += [(record.image, note)] if note else []
        spacing, note = self._spacing(picture)
        notes += [(record.image, note)] if note else []
        return Reading(image, labels, spacing, None, sources, notes)

    def _spacing(self, picture: ImageFile) -> tuple[tuple[float, float] | None, str]:
        stated, found = self._spacing_mm, picture.spacing_mm
        if stated is None or found is None:
            return found or stated, ""
        if np.allclose(stated, found, rtol=0.01):
            return found, ""
        shown_mm = ["x".join(f"{pitch:g}" for pitch in pair) for pair in (found, stated)]
        return found, f"has pixels of {shown_mm[0]} mm by its header; spacing_mm says {shown_mm[1]}, not used"

    def _read_mask(
        self, label: str | None, path: Path, index: int | None
    ) -> tuple[dict[str, np.ndarray], list[str]]:
        codes = read_codes(path, index)
        try:
            if label is None:
                return labels_of(codes, self._names, self._map_codes)
            found, notes = labels_of(codes)
        except ValueError as error:
            raise FileError(path, f"{error}.") from error
        if len(found) > 1:
            notes.append(f"holds {len(found)} codes; all of them are {label!r}, as the file is named")
        return {label: np.logical_or.reduce(list(found.values()))}, notes

    def _listing_findings(self) -> list[tuple[Path, str, str]]:
        return [(path, text, "note") for path, text in self._ignored]


def split_by_hash(records: Sequence[Record]) -> list[Record]:
    """Deal the groups of the records to the parts, see ``splits.hashed_split``."""
    parts = hashed_split(record.group_id for record in records)
    return [replace(record, split=parts[record.group_id]) for record in records]


def split_by_table(records: Sequence[Record], table: Path) -> tuple[list[Record], list[Finding]]:
    """Give the records the parts and groups of a table; a volume may be named as a whole.

    Returns
    -------
    records : list of Record
        Those in the table; an id without an image is a record with a problem.
    left_out : list of (pathlib.Path, str)
        Images that the table does not name.

    Raises
    ------
    StudyError
        See ``splits.read_splits``.
    """
    rows = read_splits(table)
    kept, left_out, used = [], [], set()
    for record in records:
        key = next((k for k in (record.image_id, stem_of_slice(record)) if k in rows.index), None)
        if key is None:
            left_out.append((record.image or table, f"is not in {table.name}: left out"))
            continue
        used.add(key)
        kept.append(replace(record, group_id=rows.group_id[key] or record.group_id, split=rows.split[key]))
    for image_id in rows.index.difference(used, sort=False):
        row = rows.loc[image_id]
        problem = f"names {image_id!r}, but there is no such image."
        kept.append(
            Record(image_id, row.group_id or image_id, row.split, problem=problem, problem_file=table)
        )
    return kept, left_out


def checked_window(window: Sequence[float] | None) -> tuple[float, float] | None:
    """Return (level, width) as floats; StudyError unless these are two numbers, the width above 0."""
    if window is None:
        return None
    try:
        level, width = (float(value) for value in window)
    except (TypeError, ValueError):
        level, width = 0.0, 0.0
    if not width > 0:
        raise StudyError(f"window is {window!r}; give (level, width), the width above 0: (40, 400).")
    return level, width


def group_words(records: Sequence[Record], grouped: bool) -> tuple[str, str]:
    """Return what a group is, and the sentence said beside intervals over such groups."""
    kinds = {kind_of(r.image) for r in records if r.image is not None}
    noun = "group" if grouped else {("nifti",): "volume", ("dicom",): "patient"}.get(tuple(kinds), "image")
    if noun == "image":
        return noun, (
            "Every image counts as independent; where several come from one patient, give groups (groups, or "
            "group_id in splits.csv), or the intervals are too narrow."
        )
    return noun, f"Intervals are over {noun}s."


def spacing_is_known(records: Sequence[Record]) -> bool:
    """Whether every image is of a kind whose header states the pixel spacing."""
    kinds = {kind_of(r.image) for r in records if r.image is not None}
    return bool(kinds) and kinds <= {"nifti", "dicom"}


def _codes_of_map(path: Path) -> set[int]:
    """Return the codes of a label map; none for a binary mask, or a file that cannot be read."""
    try:
        if kind_of(path) == "nifti":
            values = np.unique(np.nan_to_num(read_nifti(path).slices))
            found = set(np.rint(values).astype(int).tolist()) - {0}
        else:
            code_map = read_codes(path)
            found = set(distinct(code_map.codes).tolist()) if len(labels_of(code_map)[0]) > 1 else set()
    except ValueError:
        return set()
    return found if len(found) > 1 else set()


def _oriented(picture: ImageFile, mask_hw: tuple[int, int]) -> tuple[np.ndarray, str]:
    """Apply the EXIF orientation only where the mask's size asks for it."""
    if picture.orientation == 1:
        return picture.rgb, ""
    turned = upright(picture)
    if picture.rgb.shape[:2] != mask_hw and turned.shape[:2] == mask_hw:
        return turned, f"is turned by its EXIF orientation tag ({picture.orientation}), as its mask is"
    note = f"has the EXIF orientation tag {picture.orientation}, not applied: pixels are taken as stored"
    return picture.rgb, note
