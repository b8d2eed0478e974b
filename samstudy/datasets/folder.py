"""``folder:<path>``: a directory of one's own images and masks. See ``samstudy.datasets.layout`` for the names.

Beside ``images/`` and ``masks/`` the folder may hold

* ``labels.json``: names of the codes of label maps, see ``samstudy.datasets.label_names``;
* ``splits.csv`` with the columns image_id, group_id, split: images not in it are left out. Without it every
  image is its own group (a volume is one group; DICOM slices group by patient) and groups are dealt by their
  hash, 60 : 15 : 25.

A NIfTI volume gives one image for each axial slice with any label, ``<stem>_z012``; for this its mask is read when the
folder is listed. Nothing else is decoded before it is loaded.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
from tqdm import tqdm

from samstudy.datasets.base import Dataset, DatasetInfo, Reading, Record
from samstudy.datasets.label_names import read_label_names
from samstudy.datasets.layout import Entry, scan
from samstudy.datasets.splits import hashed_split, read_splits
from samstudy.errors import DataError, StudyError
from samstudy.images import FileError, ImageFile, kind_of, labels_of, read_codes, read_image, shown, upright
from samstudy.images.masks import distinct
from samstudy.images.volume import dicom_group, read_nifti, same_grid, volume_shape

_SNIFFED_MASKS = 32


class FolderDataset(Dataset):
    """Images and masks in a folder of one's own.

    Parameters
    ----------
    root : pathlib.Path
        Folder that holds ``images/`` and ``masks/``.
    groups : str, optional
        Regular expression that finds the group (the patient) in an image's name: its first bracket, or all of it.
    window : tuple of float, optional
        (level, width) for images of more than 8 bits; see ``samstudy.images.display`` for the default.

    Raises
    ------
    StudyError
        If the layout, ``labels.json``, ``splits.csv`` or ``groups`` does not fit: what was looked for, what was found.
    """

    info = DatasetInfo(
        name="folder",
        title="a folder of one's own images and masks",
        modality="any",
        targets=(),
        licence="the owner's",
        citation="none",
        how_to_get="folder:<path>, a folder with images/ and masks/ of the same names",
        group_noun="image",
        display_note="NIfTI: axial, anterior up, patient's right on the left; 8 bits as they are, CT at level 40 "
        "width 400, else the 0.5-99.5 percentile",
    )

    def __init__(
        self, root: Path, groups: str | None = None, window: tuple[float, float] | None = None
    ) -> None:
        self.root = Path(root)
        self._window = _checked_window(window)
        layout = scan(self.root)
        self._ignored = list(layout.ignored)
        self._names = read_label_names(self.root)
        records = _records(layout.entries)
        grouped = _with_groups(records, groups)
        table = self.root / "splits.csv"
        records, source = self._with_splits(grouped, table)
        self.default_split = "test" if table.is_file() and any(r.split == "test" for r in records) else "all"
        self.info = _describe(self.root, records, self._names, groups or table.is_file())
        super().__init__(records, source)

    def _with_splits(self, records: list[Record], table: Path) -> tuple[list[Record], str]:
        if not table.is_file():
            parts = hashed_split(record.group_id for record in records)
            return [replace(r, split=parts[r.group_id]) for r in records], "the folder"
        rows = read_splits(table)
        kept, used = [], set()
        for record in records:
            # a volume may be named as a whole
            key = next((k for k in (record.image_id, _stem_of_slice(record)) if k in rows.index), None)
            if key is None:
                self._ignored.append((record.image or table, "is not in splits.csv: left out"))
                continue
            used.add(key)
            kept.append(replace(record, group_id=rows.group_id[key], split=rows.split[key]))
        for image_id in rows.index.difference(used, sort=False):
            problem = f"splits.csv names {image_id!r}, but there is no such image."
            kept.append(Record(image_id, rows.group_id[image_id], rows.split[image_id], problem=problem))
        return kept, "splits.csv"

    @cached_property
    def _label_maps(self) -> bool:
        """Whether mask files hold label maps: any of 32 evenly spaced ones has several codes.

        Decides what a file with one single code is: a label map with one label left in it, or a binary mask.
        """
        files = [path for r in self._records.values() for label, path in r.masks if label is None]
        files = sorted(set(files))
        chosen = (
            [files[i] for i in np.unique(np.linspace(0, len(files) - 1, _SNIFFED_MASKS).astype(int))]
            if files
            else []
        )
        return any(_has_several_codes(path) for path in chosen)

    def _read(self, record: Record) -> Reading:
        picture = read_image(record.image, record.index, self._window)
        notes = [(record.image, note) for note in picture.notes]
        labels: dict[str, np.ndarray] = {}
        sources: dict[str, Path] = {}
        for label, path in record.masks:
            found, remarks = self._read_mask(label, path, record.index)
            for name, mask in found.items():
                if name in labels:
                    raise FileError(
                        path, f"gives the label {name!r}, which {shown(sources[name])} gives too."
                    )
                labels[name], sources[name] = mask, path
            notes += [(path, remark) for remark in remarks]
            if record.index is not None and kind_of(path) == "nifti":
                notes += [(path, text) for text in [same_grid(record.image, path)] if text]
        image, note = _oriented(picture, next(iter(labels.values())).shape)
        notes += [(record.image, note)] if note else []
        return Reading(image, labels, picture.spacing_mm, None, sources, notes)

    def _read_mask(
        self, label: str | None, path: Path, index: int | None
    ) -> tuple[dict[str, np.ndarray], list[str]]:
        codes = read_codes(path, index)
        try:
            if label is None:
                return labels_of(codes, self._names, self._label_maps)
            found, notes = labels_of(codes)
        except ValueError as error:
            raise FileError(path, f"{error}.") from error
        if len(found) > 1:
            notes.append(f"holds {len(found)} codes; all of them are {label!r}, as the file is named")
        return {label: np.logical_or.reduce(list(found.values()))}, notes

    def _listing_notes(self) -> list[tuple[Path, str]]:
        return self._ignored


def _checked_window(window: tuple[float, float] | None) -> tuple[float, float] | None:
    if window is None:
        return None
    if len(window) != 2 or not float(window[1]) > 0:
        raise StudyError(
            f"window is {window!r}; give (level, width) with a width above 0, such as (40, 400)."
        )
    return float(window[0]), float(window[1])


def _records(entries: tuple[Entry, ...]) -> list[Record]:
    volumes = [e for e in entries if e.image is not None and not e.problem and kind_of(e.image) == "nifti"]
    slices: dict[str, list[Record]] = {}
    for entry in tqdm(volumes, desc="listing volumes", unit="volume", disable=len(volumes) < 4):
        slices[entry.stem] = _slices_of(entry)
    records: list[Record] = []
    for entry in entries:
        records += slices.get(entry.stem) or [
            Record(entry.stem, entry.stem, "", entry.image, entry.masks, None, entry.problem)
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
                raise FileError(
                    path, f"cannot be the mask of the volume {shown(entry.image)}; it must be NIfTI too."
                )
            if volume_shape(path) != shape:
                sizes = ["x".join(map(str, s)) for s in (volume_shape(path), shape)]
                raise FileError(
                    path, f"has {sizes[0]} voxels but its image {entry.image.name} has {sizes[1]}."
                )
            values = read_nifti(path).slices
            labelled |= set(np.flatnonzero((np.nan_to_num(values) != 0).any(axis=(0, 1))).tolist())
    except DataError as error:
        return [replace(whole, problem=str(error))]
    if not labelled:
        return [
            replace(whole, problem=f"{shown(entry.masks[0][1])} has no labelled voxel: nothing to score.")
        ]
    return [replace(whole, image_id=f"{entry.stem}_z{k:03d}", index=k) for k in sorted(labelled)]


def _stem_of_slice(record: Record) -> str:
    return re.sub(r"_z\d{3,}$", "", record.image_id) if record.index is not None else record.image_id


def _with_groups(records: list[Record], pattern: str | None) -> list[Record]:
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


def _describe(
    root: Path, records: list[Record], names: dict[str, str | None], grouped: object
) -> DatasetInfo:
    kinds = {kind_of(r.image) for r in records if r.image is not None}
    noun = (
        "group"
        if grouped
        else "volume"
        if kinds == {"nifti"}
        else "patient"
        if kinds == {"dicom"}
        else "image"
    )
    note = f"Intervals are over groups ({noun}s)."
    if not grouped and noun == "image":
        note = (
            "Every image counts as independent; where several come from one patient, give groups in splits.csv, "
            "or the intervals are too narrow."
        )
    return replace(
        FolderDataset.info,
        name=f"folder-{re.sub(r'[^A-Za-z0-9.-]+', '_', root.resolve().name) or 'root'}",
        title=f"folder {root.resolve().name}",
        targets=tuple(dict.fromkeys(name for name in names.values() if name)),
        n_images=len(records),
        group_noun=noun,
        interval_note=note,
        spacing_known=bool(kinds) and kinds <= {"nifti", "dicom"},
    )


def _has_several_codes(path: Path) -> bool:
    try:
        if kind_of(path) == "nifti":
            return len(np.unique(np.nan_to_num(read_nifti(path).slices))) > 2
        codes = read_codes(path)
        return len(labels_of(codes)[0]) > 1 and len(distinct(codes.codes)) > 1
    except ValueError:
        # the file's own error is told when it is loaded
        return False


def _oriented(picture: ImageFile, mask_hw: tuple[int, int]) -> tuple[np.ndarray, str]:
    """Apply the EXIF orientation only where the mask's size asks for it."""
    if picture.orientation == 1:
        return picture.rgb, ""
    turned = upright(picture)
    if picture.rgb.shape[:2] != mask_hw and turned.shape[:2] == mask_hw:
        return turned, f"is turned by its EXIF orientation tag ({picture.orientation}), as its mask is"
    return (
        picture.rgb,
        f"has the EXIF orientation tag {picture.orientation}, not applied: pixels are taken as stored",
    )
