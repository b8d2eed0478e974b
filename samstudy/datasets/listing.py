"""Records of a folder: one for each picture or labelled axial slice of a volume, and their groups."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
from tqdm import tqdm

from samstudy.datasets.base import Record
from samstudy.datasets.layout import Entry
from samstudy.errors import StudyError
from samstudy.images import FileError, kind_of, shown
from samstudy.images.volume import dicom_group, read_nifti, volume_shape


def list_records(entries: tuple[Entry, ...]) -> list[Record]:
    """Return the records of a folder's entries, groups by name, not yet split.

    Masks of NIfTI volumes are read, to know the slices that have a label; pictures are not opened.
    """
    volumes = [e for e in entries if e.image is not None and not e.problem and kind_of(e.image) == "nifti"]
    slices: dict[str, list[Record]] = {}
    for entry in tqdm(volumes, desc="listing volumes", unit="volume", disable=len(volumes) < 4):
        slices[entry.stem] = _slices_of(entry)
    records: list[Record] = []
    for entry in entries:
        records += slices.get(entry.stem) or [
            Record(
                entry.stem, entry.stem, "", entry.image, entry.masks, None, entry.problem, entry.problem_file
            )
        ]
    return records


def _slices_of(entry: Entry) -> list[Record]:
    """Return one record for each axial slice with a label, or one that says why there is none."""
    whole = Record(entry.stem, entry.stem, "", entry.image, entry.masks)
    try:
        shape = volume_shape(entry.image)
        if shape[2] == 1:
            return [replace(whole, index=0)]
        labelled: set[int] = set()
        for _, path in entry.masks:
            if kind_of(path) != "nifti":
                raise FileError(path, f"is no mask for the volume {shown(entry.image)}; NIfTI is expected.")
            size, expected = ("x".join(map(str, s)) for s in (volume_shape(path), shape))
            if size != expected:
                raise FileError(path, f"has {size} voxels but its image {entry.image.name} has {expected}.")
            values = read_nifti(path).slices
            labelled |= set(np.flatnonzero((np.nan_to_num(values) != 0).any(axis=(0, 1))).tolist())
    except FileError as error:
        return [replace(whole, problem=error.reason, problem_file=error.file)]
    if not labelled:
        problem = "has no labelled voxel: nothing to score."
        return [replace(whole, problem=problem, problem_file=entry.masks[0][1])]
    return [replace(whole, image_id=f"{entry.stem}_z{k:03d}", index=k) for k in sorted(labelled)]


def stem_of_slice(record: Record) -> str:
    """Return the name of the volume a slice was cut from; of another image, its own id."""
    return re.sub(r"_z\d{3,}$", "", record.image_id) if record.index is not None else record.image_id


def with_groups(records: list[Record], pattern: str | None) -> list[Record]:
    """Return the records with the groups that DICOM headers or a regular expression give.

    Raises
    ------
    StudyError
        If the pattern is no regular expression, or finds nothing in a name.
    """
    if pattern is None:
        return [
            replace(r, group_id=dicom_group(r.image) or r.group_id)
            if r.image is not None and kind_of(r.image) == "dicom"
            else r
            for r in records
        ]
    try:
        finder = re.compile(pattern)
    except re.error as error:
        raise StudyError(f"groups is not a regular expression: {pattern!r}: {error}.") from error
    grouped = []
    for record in records:
        match = finder.search(record.group_id)
        if match is None or not match[1 if finder.groups else 0]:
            raise StudyError(f"groups={pattern!r} finds nothing in the image name {record.group_id!r}.")
        grouped.append(replace(record, group_id=match[1 if finder.groups else 0]))
    return grouped
